"""Topics, a group, and real `framebus consume` processes on a broker."""

import json
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from framebus.bus import TopicSpec
from framebus.bus.kafka import KafkaAdmin
from framebus.cli.demo.programs import Program
from framebus.local_broker.ports import free_ports
from framebus.routes import group_id
from framebus.settings import KafkaSettings, Settings
from framebus.topics import detections_topic
from tests.tools.camera_load.reading import committed_offsets, end_offsets

_READY_TIMEOUT_S = 120.0
_QUIET_TIMEOUT_S = 60.0
_READY_INTERVAL_S = 0.5
# Seldom: looking takes time from what is measured.
_COMMITTED_INTERVAL_S = 2.0


class Consumer:
    """One `framebus consume` process."""

    def __init__(self, name: str, environment: Mapping[str, str], logs: Path) -> None:
        [self._http_port] = free_ports(1)
        self._program = Program(
            name, ["consume"], {**environment, "FRAMEBUS_CONSUMER__HTTP_PORT": str(self._http_port)}, logs
        )

    def wait_until_ready(self) -> None:
        """Returns when it has its partitions and its models."""
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        while True:
            self._program.has_ended()
            try:
                self._get("/readyz")
                return
            except urllib.error.URLError as error:
                if time.monotonic() > deadline_s:
                    raise SystemExit(
                        f"{self._program.name} is not ready; see {self._program.log_file}"
                    ) from error
            time.sleep(_READY_INTERVAL_S)

    def dropped(self) -> Counter[tuple[str, str]]:
        """Frames left out on purpose, by camera and reason, as its metrics tell."""
        found: Counter[tuple[str, str]] = Counter()
        for metric in text_string_to_metric_families(self._get("/metrics")):
            for sample in metric.samples:
                if sample.name == "framebus_dropped_frames_total":
                    found[sample.labels["camera"], sample.labels["reason"]] += int(sample.value)
        return found

    def ask_to_stop(self) -> None:
        """Sends SIGTERM."""
        self._program.ask_to_stop()

    def stop(self) -> None:
        """Sends SIGTERM and waits; fails if it did not end well."""
        self._program.ask_to_stop()
        self._program.wait()

    def kill(self) -> None:
        """Sends SIGKILL."""
        self._program.kill()

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http_port}{path}", timeout=10) as response:
            text: str = response.read().decode()
        return text


class Installation:
    """A topic of frames with its dead letters, a group, and the consumers that share it.

    Args:
        settings: With the broker to use, and the directory that holds the models.
        models: The models that every frame goes through.
        logs: Where consumers write their logs.
        freshness: Of the route.
        environment: Of the consumers, on top of this process's own.
    """

    def __init__(
        self,
        settings: Settings,
        models: Sequence[str],
        logs: Path,
        *,
        freshness: str = "all",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.topic = f"load-{uuid.uuid4().hex[:8]}"
        self.dead = f"{self.topic}.dead"
        self.kafka = KafkaSettings(bootstrap_servers=settings.kafka.bootstrap_servers, group_id=self.topic)
        self._logs = logs
        self._started = 0
        route = {"topic": self.topic, "models": list(models), "freshness": freshness}
        self._environment = {
            "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "FRAMEBUS_KAFKA__GROUP_ID": self.kafka.group_id,
            "FRAMEBUS_TOPICS__DEAD": self.dead,
            "FRAMEBUS_MODELS_DIR": str(settings.models_dir),
            "FRAMEBUS_ROUTES": json.dumps([route]),
            **(environment or {}),
        }
        partitions = settings.topics.partitions
        large = {"max.message.bytes": str(settings.topics.max_message_bytes)}
        # The broker's own clock tells when an answer was there to be read.
        answers = {"message.timestamp.type": "LogAppendTime"}
        KafkaAdmin(self.kafka).create_topics(
            [
                TopicSpec(self.topic, partitions, 1, large),
                TopicSpec(self.dead, partitions, 1, large),
                *(TopicSpec(detections_topic(model), partitions, 1, answers) for model in models),
            ]
        )

    def start_consumer(self) -> Consumer:
        """Starts one more consumer, whose end is the caller's affair."""
        self._started += 1
        return Consumer(f"{self.topic}-consumer-{self._started}", self._environment, self._logs)

    @contextmanager
    def consumer(self) -> Iterator[Consumer]:
        """One more consumer, ready; killed at the end if it still runs."""
        consumer = self.start_consumer()
        try:
            consumer.wait_until_ready()
            yield consumer
        finally:
            consumer.kill()

    def wait_until_committed(self, model: str) -> None:
        """Returns when a model's group has committed all frames, or has not got on for a minute."""
        moved_s, last = time.monotonic(), -1
        ends = end_offsets(self.kafka.bootstrap_servers, self.topic)
        while (committed := sum(self.committed(model).values())) < sum(ends.values()):
            if committed != last:
                moved_s, last = time.monotonic(), committed
            elif time.monotonic() - moved_s > _QUIET_TIMEOUT_S:
                return
            time.sleep(_COMMITTED_INTERVAL_S)

    def committed(self, model: str) -> dict[int, int]:
        """The offset that a model's group reads next, of each partition."""
        return committed_offsets(self.kafka.bootstrap_servers, group_id(self.kafka, model), self.topic)
