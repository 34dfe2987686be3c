"""The consumer program: loads the model, joins the group, and runs the pipeline until it is told to stop."""

import threading

from prometheus_client import CollectorRegistry

from consumer.engines.engine import create_engine
from consumer.metrics import ConsumerMetrics
from consumer.model_host import ModelHost
from consumer.pipeline import Pipeline
from framebus.bus.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from framebus.health import HttpServer, health_app
from framebus.logs import get_logger
from framebus.model_repository import ModelRepository
from framebus.settings import Settings
from framebus.topics import ensure_consumer_topics

log = get_logger("consumer")


class Consumer:
    """One consumer process.

    Args:
        settings: All settings.
        engine_name: Wins over the engine that the model's config.json names.
    """

    def __init__(self, settings: Settings, *, engine_name: str | None = None) -> None:
        self._settings = settings
        self._engine_name = engine_name
        self._pipeline: Pipeline | None = None

    def run(self, stop: threading.Event) -> None:
        """Runs until `stop` is set, then drains.

        Raises:
            ModelError: The model cannot be loaded.
            SettingsError: A setting is wrong.
            TransportError: The bus failed for good.
        """
        settings = self._settings
        registry = CollectorRegistry()
        metrics = ConsumerMetrics(registry, settings.consumer.metrics_cameras)
        http = HttpServer(
            health_app(registry, alive=self._not_alive, ready=self._not_ready),
            settings.consumer.http_host,
            settings.consumer.http_port,
            port_setting="FRAMEBUS_CONSUMER__HTTP_PORT",
        )
        model = ModelRepository(settings.models_dir).open(settings.consumer.model)
        if 0 < model.thresholds.confidence < 1:
            log.warning(
                "the model's confidence is below 1 %, and in config.json it is written in percent",
                model=model.name,
                confidence=model.thresholds.confidence,
            )
        engine = create_engine(model, settings, name=self._engine_name)
        http.start()
        try:
            # What is wrong with the bus shows at once, and not after the model has loaded.
            created = ensure_consumer_topics(KafkaAdmin(settings.kafka), settings.topics, model.name)
            log.info("topics are there", created=created)
            consumer = KafkaConsumer(settings.kafka)
            producer = KafkaProducer(
                settings.kafka, **{"message.max.bytes": str(settings.topics.max_message_bytes)}
            )
            engine.load()
            log.info("model loaded", model=model.name, version=model.version, device=engine.device)
            self._pipeline = Pipeline(
                settings=settings,
                host=ModelHost(model, engine),
                consumer=consumer,
                producer=producer,
                metrics=metrics,
            )
            self._pipeline.run(stop)
            log.info("drained and stopped")
            engine.close()
        finally:
            http.stop()

    def _not_alive(self) -> str | None:
        return None if self._pipeline is None else self._pipeline.not_alive

    def _not_ready(self) -> str | None:
        if self._pipeline is None:
            return f"model {self._settings.consumer.model} is loading"
        return self._pipeline.not_ready
