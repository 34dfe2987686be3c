"""How a picture gets to a worker: over HTTP, or however the worker of this process is asked."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote

import httpx
import orjson

from control_api.problems import InvalidInputError, TooLargeError
from control_api.request_ids import current_request_ids
from framebus.control import WorkerStatus
from framebus.settings import ControlSettings

_CONNECT_TIMEOUT_S = 2.0
# Below the time after which workers close an idle connection, so that none is used that is being closed.
_KEEP_ALIVE_S = 4.0

BROKEN_OFF = "broken_off"
"""The worker had the picture, and then was gone."""


class AnotherWorkerError(Exception):
    """This worker did not answer, and another one may; `reason` is a word for metrics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class WorkerClient(Protocol):
    """Asks one worker."""

    async def predict(
        self, worker: WorkerStatus, model: str, picture: bytes, timeout_s: float
    ) -> Mapping[str, Any]:
        """Has a worker run a picture through a model.

        Returns:
            The detection message (docs/wire-format.md).

        Raises:
            AnotherWorkerError: It does not answer, or not in time.
            InvalidInputError: The picture cannot be decoded or processed.
            TooLargeError: It is too large for the worker.
        """
        ...

    async def close(self) -> None:
        """Closes what it holds open."""
        ...


class HttpWorkerClient:
    """Posts pictures to the workers' ports.

    Args:
        settings: The token that opens them.
    """

    def __init__(self, settings: ControlSettings) -> None:
        token = settings.worker_token
        self._token = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
        self._client = httpx.AsyncClient(
            # The deadline of a request is its own; this is for hosts that are not there at all.
            timeout=httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S),
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=None, keepalive_expiry=_KEEP_ALIVE_S
            ),
            trust_env=False,
        )

    async def predict(
        self, worker: WorkerStatus, model: str, picture: bytes, timeout_s: float
    ) -> Mapping[str, Any]:
        """See `WorkerClient`."""
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._client.post(
                    f"{worker.address}/models/{quote(model, safe='')}/predict",
                    content=picture,
                    headers={
                        **self._token,
                        **current_request_ids().headers,
                        "X-Deadline-Ms": str(round(timeout_s * 1000)),
                    },
                )
            answer = orjson.loads(response.content)
        except TimeoutError:
            raise AnotherWorkerError("timeout", f"no answer within {timeout_s:.1f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, orjson.JSONDecodeError) as error:
            why = str(error) or type(error).__name__
            is_sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            has_begun = isinstance(error, httpx.TransportError) and is_sent
            reason = BROKEN_OFF if has_begun else "unreachable"
            raise AnotherWorkerError(reason, f"{worker.address}: {why}") from error
        return _checked(response.status_code, answer)

    async def close(self) -> None:
        """See `WorkerClient`."""
        await self._client.aclose()


def _checked(status: int, answer: Any) -> Mapping[str, Any]:
    """Returns a worker's detection message; raises what else it said."""
    if status == 200 and isinstance(answer, dict):
        return answer
    said = answer if isinstance(answer, dict) else {}
    reason, message = str(said.get("reason", f"status_{status}")), str(said.get("message", answer))
    match status:
        case 400 | 422:
            raise InvalidInputError(message)
        case 413:
            raise TooLargeError(message)
    raise AnotherWorkerError(reason, message)
