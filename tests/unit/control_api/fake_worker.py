"""A worker as the control API sees one: beats and commands on the bus, predictions by HTTP, and no engine."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from framebus import images, wire
from framebus.bus import Bus, OutgoingRecord, Partition, Record
from framebus.control import (
    CameraStatus,
    DesiredState,
    ModelStatus,
    WorkerStatus,
    farewell_record,
    status_record,
)
from framebus.detections import Detections, Thresholds
from framebus.errors import FrameError, FrameTooLargeError, ModelError
from framebus.frames import EncodedFrame
from framebus.health import HttpServer, health_app
from framebus.model_config import read_model_config
from framebus.settings import Settings
from framebus.topics import control_topic_specs

BEAT_S = 0.05
MAX_PIXELS = 10**6

Refusal = Callable[[], Response | None]


class FakeWorker:
    """Loads what is commanded at once, and finds one person that fills the picture.

    Attributes:
        broken: Models that cannot be loaded, and why; may change.
        slow: Models that never finish loading.
        fallback: Why none of them runs on the engine that was asked for.
        refuse: What is answered in place of detections, if it returns something.
        requests: What was asked, in order: model and headers.
        most_at_once: The most predictions that were asked at the same time.
    """

    def __init__(
        self, bus: Bus, settings: Settings, name: str = "worker-1", routed: tuple[str, ...] = ()
    ) -> None:
        self.name = name
        self.broken: dict[str, str] = {}
        self.slow: set[str] = set()
        self.refuse: Refusal = lambda: None
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.fallback: str | None = None
        self.cameras: tuple[CameraStatus, ...] = ()
        self.waiting_predictions = 0
        self.most_at_once = 0
        self._at_once = 0
        self._bus, self._settings, self._routed = bus, settings, routed
        self._models: dict[str, ModelStatus] = {}
        self._started_at = datetime.now(UTC)
        self._desired = DesiredState()
        self._stop = threading.Event()
        self._is_held = False
        self._may_answer = threading.Event()
        self._may_answer.set()
        self._http = HttpServer(
            health_app(
                CollectorRegistry(),
                alive=lambda: None,
                ready=lambda: None,
                routes=[Route("/models/{model}/predict", self._predict, methods=["POST"])],
            ),
            "127.0.0.1",
            0,
            port_setting="FRAMEBUS_CONSUMER__HTTP_PORT",
        )
        self.port = self._http.start()
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def stop_http(self) -> None:
        """Closes the port, and goes on beating: as seen in the first seconds after a kill."""
        self._http.stop()

    def hold(self) -> None:
        """Carries out no command until told to go on."""
        self._is_held = True

    def go_on(self) -> None:
        """Carries out what has come meanwhile, and answers."""
        self._is_held = False
        self._may_answer.set()

    def hang(self) -> None:
        """Answers no prediction until told to go on."""
        self._may_answer.clear()

    def die(self) -> None:
        """Ends without a word."""
        self._stop.set()
        self._thread.join()
        self._http.stop()

    def leave(self) -> None:
        """Ends, and says so."""
        self.die()
        self._publish(farewell_record(self._settings.topics.workers, self.name))

    def _run(self) -> None:
        self._bus.admin().create_topics(control_topic_specs(self._settings.topics))
        reader = self._bus.reader()
        reader.follow([self._settings.topics.commands], from_start=True)
        while not self._stop.is_set():
            for record in reader.poll(100, BEAT_S):
                self._desired.apply(record)
            if not self._is_held:
                self._carry_out()
            self._publish(status_record(self._settings.topics.workers, self._status()))
        reader.close()

    def _publish(self, record: OutgoingRecord) -> None:
        producer = self._bus.producer()
        producer.publish(record)
        producer.flush(5)
        producer.close()

    def _status(self) -> WorkerStatus:
        return WorkerStatus(
            worker=self.name,
            address=f"http://127.0.0.1:{self.port}",
            started_at=self._started_at,
            is_ready=True,
            waiting_predictions=self.waiting_predictions,
            models=tuple(self._models.values()),
            cameras=self.cameras,
        )

    def _carry_out(self) -> None:
        wanted = {name for name, command in self._desired.loads.items() if command.loaded}
        for name in set(self._models) - wanted - set(self._routed):
            del self._models[name]
        for name in (*self._routed, *wanted):
            has, generation = self._models.get(name), self._desired.load(name).generation
            if has is None or has.state == "loading" or has.generation < generation:
                self._models[name] = self._loaded(name, generation, has)
            elif has.state == "loaded":
                self._models[name] = self._configured(has)

    def _loaded(self, name: str, generation: int, old: ModelStatus | None) -> ModelStatus:
        is_routed = name in self._routed
        if name in self.slow:
            return ModelStatus(name=name, state="loading", is_routed=is_routed)
        new = ModelStatus(
            name=name,
            state="loaded",
            generation=generation,
            version=f"{name}-{generation}",
            is_routed=is_routed,
        )
        try:
            if name in self.broken:
                raise ModelError(self.broken[name])
            return self._configured(new)
        except ModelError as error:
            why = {"error": str(error), "generation": generation}
            if old is not None and old.state == "loaded":
                return old.model_copy(update=why)
            return new.model_copy(update={"state": "failed", "version": None, **why})

    def _configured(self, status: ModelStatus) -> ModelStatus:
        try:
            config = read_model_config(self._settings.models_dir / status.name).model_dump(exclude_none=True)
        except (ModelError, OSError) as error:
            if status.config is None:
                raise
            return status.model_copy(update={"config_error": str(error)})
        overrides = self._desired.overrides.get(status.name)
        over = {} if overrides is None else overrides.model_dump(exclude_none=True)
        update = {
            "config": {**config, **over},
            "overridden": tuple(over),
            "device": "CPU",
            "engine": "tensorflow_detection",
            "precision": "f32",
            "fallback": self.fallback,
            "config_error": None,
        }
        return status.model_copy(update=update)

    async def _predict(self, request: Request) -> Response:
        model = request.path_params["model"]
        self.requests.append((model, dict(request.headers)))
        picture = await request.body()
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.to_thread(self._may_answer.wait)
            return self._answer(request, model, picture)
        finally:
            self._at_once -= 1

    def _answer(self, request: Request, model: str, picture: bytes) -> Response:
        token = self._settings.control.worker_token
        if token and request.headers.get("authorization") != f"Bearer {token.get_secret_value()}":
            return refusal(401, "unauthorized")
        if (refused := self.refuse()) is not None:
            return refused
        status = self._models.get(model)
        if status is None or status.state != "loaded":
            return refusal(404, "not_loaded")
        try:
            height, width, _ = images.decode(picture, MAX_PIXELS).shape
        except FrameTooLargeError as error:
            return refusal(413, error.reason, str(error))
        except FrameError as error:
            return refusal(400, error.reason, str(error))
        return JSONResponse(detection_message(model, width, height))


def refusal(status: int, reason: str, message: str = "the worker's words") -> Response:
    return JSONResponse({"reason": reason, "message": message}, status)


def detection_message(model: str, width: int, height: int) -> dict[str, object]:
    """One person that fills the picture, and a thing that the label map lacks."""
    found = Detections(
        boxes=np.array([[0, 0, width, height], [1.4, 2.6, 3.5, 4.5]], np.float32),
        scores=np.array([0.931, 0.5], np.float32),
        class_ids=np.array([1, 7], np.int32),
        width=width,
        height=height,
    )
    in_force = wire.ModelInForce(model, "0f3a61c0d2b4", Thresholds(0, 15), {1: "person"})
    frame = EncodedFrame("rest", "", datetime.now(UTC), b"")
    return wire.detections_json(frame, found, in_force)


def beat(worker: str, *models: ModelStatus) -> Record:
    """A beat as it stands on the bus; by its timestamp it is from 1970."""
    status = WorkerStatus(
        worker=worker,
        address="http://127.0.0.1:9101",
        started_at=datetime.now(UTC),
        is_ready=True,
        models=models,
    )
    value = status.model_dump_json().encode()
    return Record(Partition("framebus.workers", 0), 0, 0, worker.encode(), value)
