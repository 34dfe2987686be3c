"""A worker's HTTP port with one model behind it, as the control API sees it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from consumer.http import prediction_routes
from consumer.inference import Inference
from consumer.metrics import ConsumerMetrics
from consumer.model_host import ModelHost
from consumer.predictions import Predictions
from framebus.environment import load_settings
from framebus.health import health_app
from framebus.tracing import Tracing
from tests.engines import ScriptedEngine, stored_model
from tests.pictures import jpeg

TOKEN = "what-the-workers-and-the-api-share"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
MAX_BYTES = 100_000


class Port:
    """A worker's HTTP app, with one model behind it."""

    def __init__(
        self,
        *,
        token: str | None = TOKEN,
        host: str = "127.0.0.1",
        engine: ScriptedEngine | None = None,
        tracing: Tracing | None = None,
        **limits: object,
    ) -> None:
        self.registry = CollectorRegistry()
        self.engine = engine or ScriptedEngine()
        self.metrics = metrics = ConsumerMetrics(self.registry, max_cameras=10)
        self.inference = Inference(
            host=ModelHost(stored_model("ssd"), self.engine), max_batch_delay_s=1000, metrics=metrics
        )
        settings = load_settings(
            control={"worker_token": token},
            consumer={"http_host": host, **limits},
            topics={"max_message_bytes": MAX_BYTES},
        )
        self.predictions = Predictions(
            settings.consumer, lambda name: self.inference if name == "ssd" else None
        )
        routes = prediction_routes(settings, self.predictions, metrics, tracing)
        self.app = health_app(self.registry, alive=lambda: None, ready=lambda: None, routes=routes)
        self._thread = threading.Thread(target=self.inference.run, daemon=True)
        self._thread.start()

    def ask(
        self, data: Any = None, *, model: str = "ssd", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with self.client() as client:
                content = jpeg() if data is None else data
                return await client.post(f"/models/{model}/predict", content=content, headers=headers or {})

        return asyncio.run(ask())

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://worker")

    def counted(self) -> dict[tuple[str, str], float]:
        """One-off predictions by model and outcome."""
        return {
            (sample.labels["model"], sample.labels["outcome"]): sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == "framebus_predictions_total"
        }

    def close(self) -> None:
        self.engine.gate.set()
        self.inference.close()
        self._thread.join(timeout=20)


@contextmanager
def opened(**options: Any) -> Iterator[Port]:
    port = Port(**options)
    try:
        yield port
    finally:
        port.close()


def trouble(response: httpx.Response, status: int, reason: str) -> str:
    """Checks a refusal and returns its message."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"reason", "message"}
    assert body["reason"] == reason
    assert body["message"]
    return str(body["message"])
