"""Bodies of requests are bounded: one that is too large is refused by its declared length, or where it is."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_api.problems import TooLargeError
from framebus.settings import ApiSettings

# What JSON bodies may have, and forms beside their pictures.
_OVERHEAD_BYTES = 64 * 1024
# Headers and boundaries of one part of a form.
_PART_OVERHEAD_BYTES = 1024


def body_limit_bytes(path: str, settings: ApiSettings) -> int:
    """The most bytes that the body of a request to a path may have."""
    picture_bytes = settings.max_image_bytes + _PART_OVERHEAD_BYTES
    if path.endswith("/predict_batch"):
        return settings.max_images * picture_bytes + _OVERHEAD_BYTES
    if path == "/detect" or path.endswith(("/predict", "/predict_image")):
        return picture_bytes + _OVERHEAD_BYTES
    return _OVERHEAD_BYTES


class BodyLimitMiddleware:
    """Ends reading a body with `TooLargeError` where its limit is passed.

    Args:
        app: The app, which answers the error.
        limit_bytes: The limit of a path.
    """

    def __init__(self, app: ASGIApp, limit_bytes: Callable[[str], int]) -> None:
        self._app, self._limit_bytes = app, limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, its body limited."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_bytes(scope["path"])
        declared = Headers(scope=scope).get("content-length", "")
        is_too_large = declared.isdecimal() and int(declared) > limit
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            # Not one byte is read, and a client that waits for `100 Continue` never sends any.
            if not is_too_large:
                message = await receive()
                received += len(message.get("body", b""))
            if is_too_large or received > limit:
                raise TooLargeError(f"the body is larger than {limit} bytes, the most here")
            return message

        await self._app(scope, receive_limited, send)
