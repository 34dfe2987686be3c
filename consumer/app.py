"""The consumer program: loads its models, runs a pipeline for each that is routed, until told to stop."""

import threading
import time
import uuid
from collections.abc import Sequence
from functools import partial

from prometheus_client import CollectorRegistry

from consumer.address import own_address
from consumer.control import Control
from consumer.frame_trace import new_trace
from consumer.http import prediction_routes
from consumer.in_process import InProcessPredictions
from consumer.metrics import ConsumerMetrics
from consumer.model_host import ModelHost
from consumer.models import Models
from consumer.pipeline import Pipeline
from consumer.predictions import Predictions
from consumer.stages import Stages
from consumer.turn import Turn
from consumer.watchdog import watchdog
from framebus.bus import Bus, BusAdmin
from framebus.bus.kafka import KafkaConsumer, KafkaProducer, KafkaTransactionalProducer, static_member
from framebus.errors import BusRefusedError, ModelError, TopicMissingError, TransportError
from framebus.health import HttpServer, health_app
from framebus.logs import get_logger
from framebus.routes import Routes, ensure_consumer_topics, group_id
from framebus.settings import Settings
from framebus.topics import detections_topic
from framebus.tracing import Tracing, start_tracing
from framebus.tracing.producer import traced

# How soon a topic is read that is new and matches a route, or one is missed that a route names.
_TOPICS_INTERVAL_S = 5.0
_RETRY_INTERVAL_S = 1.0
# A poll loop that makes no turn for so long is stuck, as far as the control API needs to know.
_SILENT_S = 10.0
_CONTROL_END_S = 5.0

log = get_logger("consumer")


class Consumer:
    """One consumer process: a worker.

    Args:
        settings: All settings.
        bus: Where it is told what to do, and says what it has.
        routes: Which topics feed which models; none: it only answers one-off predictions.
        engine_name: Wins over the engines that the models' config.json name.
    """

    def __init__(
        self, settings: Settings, bus: Bus, routes: Routes, *, engine_name: str | None = None
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._routes = routes
        self.registry = CollectorRegistry()
        """What it measures; on its own HTTP port, too."""
        self._metrics = ConsumerMetrics(self.registry, settings.consumer.metrics_cameras)
        self._models = Models(settings, self._metrics, engine_name=engine_name)
        self._predictions = Predictions(settings.consumer, self._models.serving)
        self.predictions = InProcessPredictions(self._predictions, self._metrics)
        """For a control API in the same process."""
        self._tracing: Tracing | None = None
        self._pipelines: Sequence[Pipeline] = ()
        self._preparing: str | None = f"waiting for a broker at {settings.kafka.bootstrap_servers}"

    def run(self, stop: threading.Event) -> None:
        """Runs until `stop` is set, then drains.

        Raises:
            ModelError: A model of a route cannot be loaded.
            SettingsError: A setting is wrong.
            TransportError: The bus failed for good.
            TooManyDeadLettersError: Hardly a frame can be processed.
        """
        for name in self._routes.models:
            self._models.check(name)
        limits = self._settings.consumer
        self._tracing = start_tracing(self._settings.tracing, "consumer")
        http = HttpServer(
            health_app(
                self.registry,
                alive=self._not_alive,
                ready=self._not_ready,
                routes=prediction_routes(self._settings, self._predictions, self._metrics, self._tracing),
            ),
            limits.http_host,
            limits.http_port,
            port_setting="FRAMEBUS_CONSUMER__HTTP_PORT",
        )
        address = own_address(self._settings, http.start())
        try:
            # What is wrong with the bus shows at once, and not after the models have loaded.
            admin = self._bus.admin()
            if self._wait_for_broker(admin, stop):
                self._work(admin, address, stop)
        finally:
            http.stop()
            if self._tracing is not None:
                self._tracing.close()

    def _work(self, admin: BusAdmin, address: str, stop: threading.Event) -> None:
        self._metrics.broker_up.set(1)  # until there are pipelines that know
        self._preparing = "models are loading"
        if self._routes.models:
            log.info(
                "topics are there", created=ensure_consumer_topics(admin, self._routes, self._settings.topics)
            )
        control = Control(
            settings=self._settings,
            bus=self._bus,
            models=self._models,
            metrics=self._metrics,
            address=address,
            is_ready=lambda: not stop.is_set() and self._not_ready() is None,
            is_stuck=self._is_stuck,
            waiting=self._predictions.__len__,
        )
        control.catch_up(stop)
        has_ended = threading.Event()
        reporting = Stages("control", partial(_end, stop))
        reporting.start("follow", partial(control.run, has_ended))
        try:
            self._run_models(admin, stop)
        finally:
            has_ended.set()
            reporting.join(_CONTROL_END_S)
        if reporting.failure is not None:
            raise reporting.failure

    def _run_models(self, admin: BusAdmin, stop: threading.Event) -> None:
        """Runs all models until told to stop; what fails stops the others, which drain."""
        clients = {model: self._clients(model) for model in self._routes.models}
        hosts = {model: self._load(model, stop) for model in self._routes.models}
        alone = Turn()
        self._pipelines = [
            Pipeline(
                settings=self._settings,
                routes=self._routes,
                host=hosts[model],
                consumer=consumer,
                producer=traced(producer, self._tracing, but=self._settings.topics.dead),
                metrics=self._metrics,
                trace=new_trace(self._tracing, model, group_id(self._settings.kafka, model)),
                alone=alone,
            )
            for model, (consumer, producer) in clients.items()
        ]
        working = Stages("consumer", partial(_end, stop))
        self._metrics.broker_up.set_function(lambda: all(one.is_connected for one in self._pipelines))
        self._preparing = None
        with watchdog(self._not_alive):
            for pipeline in self._pipelines:
                self._models.attach(pipeline.model, pipeline.inference)
                working.start(pipeline.model, partial(pipeline.run, stop))
            working.start("models", partial(self._models.run, stop))
            if self._pipelines:
                working.start("topics", partial(self._watch_topics, admin, stop))
            stop.wait()
            self._predictions.close()
            working.join()
        # Of a pipeline that has not ended, a call may hang in the engine.
        self._models.close(hanging=[one.model for one in self._pipelines if not one.has_ended])
        if working.failure is not None:
            raise working.failure
        log.info("stopped")

    def _load(self, model: str, stop: threading.Event) -> ModelHost:
        for attempts_left in reversed(range(self._settings.consumer.load_attempts)):
            try:
                return self._models.load_routed(model)
            except ModelError:
                if not attempts_left:
                    raise
                stop.wait(_RETRY_INTERVAL_S)
        raise AssertionError("there is at least one attempt")

    def _wait_for_broker(self, admin: BusAdmin, stop: threading.Event) -> bool:
        """Waits until a broker answers; returns whether one did before the consumer was told to stop."""
        deadline_s = time.monotonic() + self._settings.kafka.patience_s
        while not stop.is_set():
            try:
                admin.partition_counts()
                return True
            except BusRefusedError:
                raise
            except TransportError as error:
                if time.monotonic() > deadline_s:
                    raise
                log.warning("waiting for a broker", error=str(error))
                stop.wait(_RETRY_INTERVAL_S)
        return False

    def _clients(self, model: str) -> tuple[KafkaConsumer, KafkaProducer]:
        kafka, instance_id = self._settings.kafka, self._settings.consumer.instance_id
        group = group_id(kafka, model)
        kafka = kafka.model_copy(update={"group_id": group})
        consumer = KafkaConsumer(
            kafka,
            **({} if instance_id is None else static_member(instance_id)),
        )
        size = {"message.max.bytes": str(self._settings.topics.max_message_bytes)}
        if self._settings.delivery == "exactly_once":
            name = f"{group}.{instance_id or uuid.uuid4().hex}"
            return consumer, KafkaTransactionalProducer(kafka, name, **size)
        timeout = {"message.timeout.ms": str(round(kafka.patience_s * 1000))}
        return consumer, KafkaProducer(kafka, **size, **timeout)

    def _watch_topics(self, admin: BusAdmin, stop: threading.Event) -> None:
        """Lets topics that match come and go, and fails when one that is named or published to is gone."""
        routes = self._routes
        published = {*map(detections_topic, routes.models), self._settings.topics.dead}
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
                was_gone, gone = gone, {*routes.topics, *published}.difference(existing)
                if lost := gone & was_gone:
                    raise TopicMissingError(min(lost))
            stop.wait(_TOPICS_INTERVAL_S)

    def _not_alive(self) -> str | None:
        reasons = (pipeline.not_alive for pipeline in self._pipelines)
        if (reason := next((reason for reason in reasons if reason), None)) is not None:
            return reason
        call_s = self._models.longest_call_s
        is_stuck = call_s > self._settings.consumer.stall_timeout_s
        return f"an engine call hangs for {call_s:.0f} s" if is_stuck else None

    def _not_ready(self) -> str | None:
        if self._preparing is not None:
            return self._preparing
        for pipeline in self._pipelines:
            if (reason := pipeline.not_ready) is not None:
                return f"model {pipeline.model}: {reason}"
        return None if self._models.has_settled else "models are loading"

    def _is_stuck(self) -> str | None:
        silent_s = max((pipeline.silent_s for pipeline in self._pipelines), default=0)
        return f"a poll loop hangs for {silent_s:.0f} s" if silent_s > _SILENT_S else None


def _end(stop: threading.Event, error: BaseException) -> None:
    log.error("failed, ending", what=threading.current_thread().name, error=str(error) or repr(error))
    stop.set()
