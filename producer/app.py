"""The producer program: waits for the broker, and publishes cameras until they end or it is told to stop."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from prometheus_client import CollectorRegistry

from framebus.bus import BusAdmin, BusProducer
from framebus.bus.kafka import KafkaAdmin, KafkaProducer
from framebus.errors import BusRefusedError, TopicMissingError, TransportError
from framebus.health import HttpServer, health_app
from framebus.logs import get_logger
from framebus.settings import Settings
from framebus.tracing import start_tracing
from framebus.tracing.producer import traced
from producer.camera_spec import CameraSpec
from producer.cameras import create_camera
from producer.metrics import ProducerMetrics
from producer.pipeline import Create, Pipeline, Reread
from producer.tally import Summary

_RETRY_INTERVAL_S = 1.0
_SERVE_INTERVAL_S = 0.1
# A broker that has frames and says nothing for so long makes the producer unready.
_STALL_S = 10.0

log = get_logger("producer")


class Producer:
    """One producer process.

    Args:
        settings: All settings.
        cameras: What to read.
        max_frames: Frames per camera, after which it ends; None: all.
        reread: Asked again and again whether there are other cameras now.
        create: Makes a camera of its description.
    """

    def __init__(
        self,
        settings: Settings,
        cameras: Sequence[CameraSpec],
        *,
        max_frames: int | None = None,
        reread: Reread = lambda: None,
        create: Create = create_camera,
    ) -> None:
        self._settings = settings
        self._cameras = cameras
        self._max_frames = max_frames
        self._reread = reread
        self._create = create
        self._pipeline: Pipeline | None = None
        self._is_connected: Callable[[], bool] = lambda: False

    def run(self, stop: threading.Event) -> Summary:
        """Runs until every camera has ended or `stop` is set, then drains.

        Raises:
            SettingsError: A setting is wrong.
            TransportError: There is no topic for frames, or the bus failed for good.
        """
        settings = self._settings
        tracing = start_tracing(settings.tracing, "producer")
        registry = CollectorRegistry()
        metrics = ProducerMetrics(registry, settings.producer.metrics_cameras)
        http = HttpServer(
            health_app(registry, alive=lambda: None, ready=self._not_ready),
            settings.producer.http_host,
            settings.producer.http_port,
            port_setting="FRAMEBUS_PRODUCER__HTTP_PORT",
        )
        producer = KafkaProducer(
            settings.kafka, **{"message.max.bytes": str(settings.topics.max_message_bytes)}
        )
        http.start()
        try:
            wait_for_topic(KafkaAdmin(settings.kafka), producer, settings.topics.frames, stop)
            metrics.broker_up.set_function(lambda: producer.is_connected)
            self._is_connected = lambda: producer.is_connected
            self._pipeline = Pipeline(
                settings=settings,
                cameras=self._cameras,
                producer=traced(producer, tracing),
                metrics=metrics,
                max_frames=self._max_frames,
                reread=self._reread,
                create=self._create,
            )
            summary = self._pipeline.run(stop)
            log.info("stopped", **summary.as_json())
            if summary.failures:
                log.error("cameras failed", cameras=sorted(summary.failures))
            return summary
        finally:
            http.stop()
            if tracing is not None:
                tracing.close()

    @property
    def hangs(self) -> bool:
        """Whether a camera that hangs is left after `run`."""
        return self._pipeline is not None and self._pipeline.hangs

    def _not_ready(self) -> str | None:
        if self._pipeline is None:
            return f"waiting for a broker at {self._settings.kafka.bootstrap_servers}"
        if not self._is_connected():
            return f"no broker can be reached at {self._settings.kafka.bootstrap_servers}"
        if self._pipeline.stalled_s > _STALL_S:
            return f"the broker has acknowledged nothing for {self._pipeline.stalled_s:.0f} s"
        return None


def wait_for_topic(admin: BusAdmin, producer: BusProducer, topic: str, stop: threading.Event) -> None:
    """Waits until a broker answers or `stop` is set, so that no frame is read before it can be published.

    Raises:
        TransportError: The broker has no such topic, or refuses for good.
    """
    answer: Future[dict[str, int]] = Future()

    def ask() -> None:
        while not stop.is_set():
            try:
                answer.set_result(admin.partition_counts())
                return
            except BusRefusedError as error:
                answer.set_exception(error)
                return
            except TransportError as error:
                log.warning("waiting for a broker", error=str(error))
                stop.wait(_RETRY_INTERVAL_S)
            except BaseException as error:
                answer.set_exception(error)
                return

    # A request lasts long when nobody answers; on a thread of its own it does not hold up a stop.
    threading.Thread(target=ask, name="admin", daemon=True).start()
    while not stop.is_set():
        producer.poll(0)  # raises what no waiting helps against, such as a wrong password
        try:
            topics = answer.result(timeout=_SERVE_INTERVAL_S)
        except TimeoutError:
            continue
        if topic not in topics:
            raise TopicMissingError(topic)
        return
