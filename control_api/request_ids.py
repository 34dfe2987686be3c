"""What tells requests apart: an id of ours, and the trace that a request belongs to."""

import re
import secrets
import uuid
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.datastructures import Headers

_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
# https://www.w3.org/TR/trace-context/#traceparent-header-field-values
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_current: ContextVar["RequestIds"] = ContextVar("request_ids")


@dataclass(frozen=True, slots=True)
class RequestIds:
    """The ids of one request.

    Attributes:
        request_id: What the client sent as `X-Request-ID`, if that is a sane one; else made here.
        traceparent: What the client sent (W3C Trace Context), if it is one; else the start of a trace.
    """

    request_id: str
    traceparent: str

    @classmethod
    def of(cls, headers: Headers) -> "RequestIds":
        """Takes or makes the ids of a request."""
        request_id, traceparent = headers.get("x-request-id", ""), headers.get("traceparent", "")
        if not _ID.fullmatch(request_id):
            request_id = uuid.uuid4().hex
        if not _TRACEPARENT.fullmatch(traceparent):
            traceparent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
        return cls(request_id, traceparent)

    @property
    def trace_id(self) -> str:
        """The trace."""
        return self.traceparent.split("-")[1]

    @property
    def headers(self) -> dict[str, str]:
        """As they are passed on."""
        return {"X-Request-ID": self.request_id, "traceparent": self.traceparent}

    def enter(self) -> None:
        """Makes them those of the request that is being answered."""
        _current.set(self)


def current_request_ids() -> RequestIds:
    """The ids of the request that is being answered."""
    return _current.get()
