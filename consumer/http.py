"""What a worker's HTTP port has beside health and metrics: predictions, for the control API alone."""

import hmac
import ipaddress
import time
from collections.abc import Sequence

import orjson
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from consumer.metrics import ConsumerMetrics
from consumer.predictions import PredictionRefusedError, Predictions
from framebus.errors import DetectionError, FrameError, FrameTooLargeError
from framebus.logs import get_logger
from framebus.settings import Settings
from framebus.tracing import Tracing
from framebus.tracing.requests import TracedRequests

_STATUS = {"not_loaded": 404, "busy": 429, "stopping": 503, "deadline": 504, "unauthorized": 401}
_LONGEST_WAIT_S = 600.0
_LONGEST_ID = 200

log = get_logger("predictions")


def prediction_routes(
    settings: Settings, predictions: Predictions, metrics: ConsumerMetrics, tracing: Tracing | None = None
) -> Sequence[BaseRoute]:
    """The routes of one-off predictions.

    `POST /models/<model>/predict` takes a picture as its body and answers with a detection message, or with
    `reason` and `message`. Who asks shows `FRAMEBUS_CONTROL__WORKER_TOKEN` as a bearer token.
    """
    token = settings.control.worker_token
    expected = None if token is None else f"Bearer {token.get_secret_value()}".encode()
    is_private = _is_loopback(settings.consumer.http_host)

    def check(request: Request) -> None:
        if expected is None:
            if not is_private:
                raise PredictionRefusedError(
                    "unauthorized", "this worker has no FRAMEBUS_CONTROL__WORKER_TOKEN, so it answers nobody"
                )
        elif not hmac.compare_digest(request.headers.get("authorization", "").encode("latin-1"), expected):
            raise PredictionRefusedError(
                "unauthorized", "the token is not this worker's FRAMEBUS_CONTROL__WORKER_TOKEN"
            )

    async def predict(request: Request) -> Response:
        came_s = time.monotonic()
        model = request.path_params["model"]
        outcome = "failed"
        try:
            check(request)
            data = await _body(request, settings.topics.max_message_bytes)
            answer = await predictions.predict(model, data, came_s + _time_left_s(request))
            outcome = "answered"
            return Response(orjson.dumps(answer), media_type="application/json")
        except ClientDisconnect:
            outcome = "gone"
            return Response(status_code=400)  # which nobody reads
        except PredictionRefusedError as error:
            outcome = error.reason
            return _trouble(_STATUS[outcome], outcome, error)
        except FrameError as error:
            outcome = error.reason
            return _trouble(_frame_status(error), outcome, error)
        finally:
            # Only names of models that are here, so that nobody can flood Prometheus.
            metrics.predictions.labels(model if predictions.serves(model) else "", outcome).inc()
            log.info(
                "prediction",
                model=model,
                outcome=outcome,
                took_ms=round((time.monotonic() - came_s) * 1000, 1),
                **_ids(request),
            )

    traced = [] if tracing is None else [Middleware(TracedRequests, tracing=tracing)]
    return [Route("/models/{model}/predict", predict, methods=["POST"], middleware=traced)]


async def _body(request: Request, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > max_bytes:
            raise FrameTooLargeError(
                f"the picture has more than {max_bytes} bytes, the most (FRAMEBUS_TOPICS__MAX_MESSAGE_BYTES)"
            )
        parts.append(part)
    return b"".join(parts)


def _time_left_s(request: Request) -> float:
    try:
        left_ms = int(request.headers.get("x-deadline-ms", ""))
    except ValueError:
        return _LONGEST_WAIT_S
    return min(max(left_ms, 0) / 1000, _LONGEST_WAIT_S)


def _ids(request: Request) -> dict[str, str]:
    """What finds the line of the control API that belongs to this one."""
    names = {"traceparent": "traceparent", "request_id": "x-request-id"}
    headers = request.headers
    return {name: headers[header][:_LONGEST_ID] for name, header in names.items() if header in headers}


def _frame_status(error: FrameError) -> int:
    if isinstance(error, FrameTooLargeError):
        return 413
    return 422 if isinstance(error, DetectionError) else 400


def _trouble(status: int, reason: str, error: Exception) -> JSONResponse:
    return JSONResponse({"reason": reason, "message": str(error)}, status_code=status)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
