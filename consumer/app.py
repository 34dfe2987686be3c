"""The consumer program: loads the models of its routes, and runs a pipeline for each until told to stop."""

import threading
from collections.abc import Callable, Sequence
from functools import partial

from prometheus_client import CollectorRegistry

from consumer.engines.engine import create_engine
from consumer.metrics import ConsumerMetrics
from consumer.model_host import ModelHost
from consumer.pipeline import Pipeline
from framebus.bus import BusAdmin
from framebus.bus.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from framebus.errors import TopicMissingError, TransportError
from framebus.health import HttpServer, health_app
from framebus.logs import get_logger
from framebus.model_repository import ModelRepository, StoredModel
from framebus.routes import Routes, ensure_consumer_topics, group_id, load_routes
from framebus.settings import Settings

# How soon a topic is read that is new and matches a route, or one is missed that a route names.
_TOPICS_INTERVAL_S = 5.0

log = get_logger("consumer")


class Consumer:
    """One consumer process.

    Args:
        settings: All settings.
        engine_name: Wins over the engines that the models' config.json name.
    """

    def __init__(self, settings: Settings, *, engine_name: str | None = None) -> None:
        self._settings = settings
        self._engine_name = engine_name
        self._pipelines: Sequence[Pipeline] = ()

    def run(self, stop: threading.Event) -> None:
        """Runs until `stop` is set, then drains.

        Raises:
            ModelError: A model cannot be loaded.
            SettingsError: A setting is wrong.
            TransportError: The bus failed for good.
        """
        settings = self._settings
        routes = load_routes(settings)
        registry = CollectorRegistry()
        metrics = ConsumerMetrics(registry, settings.consumer.metrics_cameras)
        http = HttpServer(
            health_app(registry, alive=self._not_alive, ready=self._not_ready),
            settings.consumer.http_host,
            settings.consumer.http_port,
            port_setting="FRAMEBUS_CONSUMER__HTTP_PORT",
        )
        models = [self._open(name) for name in routes.models]
        engines = [create_engine(model, settings, name=self._engine_name) for model in models]
        http.start()
        try:
            # What is wrong with the bus shows at once, and not after the models have loaded.
            admin = KafkaAdmin(settings.kafka)
            created = ensure_consumer_topics(admin, routes, settings.topics)
            log.info("topics are there", created=created)
            clients = [self._clients(model.name) for model in models]
            for model, engine in zip(models, engines, strict=True):
                engine.load()
                log.info("model loaded", model=model.name, version=model.version, device=engine.device)
            self._pipelines = [
                Pipeline(
                    settings=settings,
                    routes=routes,
                    host=ModelHost(model, engine),
                    consumer=consumer,
                    producer=producer,
                    metrics=metrics,
                )
                for model, engine, (consumer, producer) in zip(models, engines, clients, strict=True)
            ]
            self._run_pipelines(routes, admin, stop)
            log.info("stopped")
            for pipeline, engine in zip(self._pipelines, engines, strict=True):
                if pipeline.has_ended:  # else a call may hang in there
                    engine.close()
        finally:
            http.stop()

    def _open(self, name: str) -> StoredModel:
        model = ModelRepository(self._settings.models_dir).open(name)
        if 0 < model.thresholds.confidence < 1:
            log.warning(
                "the model's confidence is below 1 %, and in config.json it is written in percent",
                model=model.name,
                confidence=model.thresholds.confidence,
            )
        return model

    def _clients(self, model: str) -> tuple[KafkaConsumer, KafkaProducer]:
        kafka, topics = self._settings.kafka, self._settings.topics
        return (
            KafkaConsumer(kafka.model_copy(update={"group_id": group_id(kafka, model)})),
            KafkaProducer(kafka, **{"message.max.bytes": str(topics.max_message_bytes)}),
        )

    def _run_pipelines(self, routes: Routes, admin: BusAdmin, stop: threading.Event) -> None:
        """Runs all pipelines until they are told to stop; one that fails stops the others, which drain."""
        failures: list[BaseException] = []

        def start(name: str, run: Callable[[], None]) -> threading.Thread:
            def guarded() -> None:
                try:
                    run()
                except BaseException as error:
                    log.error("failed, ending", what=name, error=str(error) or repr(error))
                    failures.append(error)
                    stop.set()

            thread = threading.Thread(target=guarded, name=name)
            thread.start()
            return thread

        threads = [start(pipeline.model, partial(pipeline.run, stop)) for pipeline in self._pipelines]
        threads.append(start("topics", lambda: self._watch_topics(routes, admin, stop)))
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def _watch_topics(self, routes: Routes, admin: BusAdmin, stop: threading.Event) -> None:
        """Lets topics that match come and go, and fails when one that a route names is gone."""
        gone: set[str] = set()
        while not stop.is_set():
            try:
                existing = admin.partition_counts()
            except TransportError as error:
                log.warning("topics cannot be listed, trying again", error=str(error))
            else:
                for pipeline in self._pipelines:
                    pipeline.follow(routes.topics_of(pipeline.model, existing))
                # Twice in a row: a broker may hear of a new topic later than others.
                was_gone, gone = gone, set(routes.topics).difference(existing)
                if lost := gone & was_gone:
                    raise TopicMissingError(min(lost))
            stop.wait(_TOPICS_INTERVAL_S)

    def _not_alive(self) -> str | None:
        reasons = (pipeline.not_alive for pipeline in self._pipelines)
        return next((reason for reason in reasons if reason), None)

    def _not_ready(self) -> str | None:
        if not self._pipelines:
            return "models are loading"
        reasons = ((pipeline.model, pipeline.not_ready) for pipeline in self._pipelines)
        return next((f"model {model}: {reason}" for model, reason in reasons if reason), None)
