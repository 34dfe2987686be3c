"""Topics, a group and a quick model on a broker, with the real processes that use them."""

import time
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from framebus.bus.kafka import KafkaAdmin
from framebus.routes import group_id
from framebus.settings import KafkaSettings, TopicSettings
from framebus.topics import detections_topic, topic_specs
from tests.integration.accounts import Account, account, uncommitted
from tests.integration.framebus_process import FramebusProcess
from tests.kafka import unique
from tests.pictures import jpeg
from tests.quick_model import install_quick_model

_PICTURES = 4
_COMMIT_PATIENCE_S = 60.0


class Installation:
    """What the processes of one test share; a context that kills them all at its end.

    Args:
        servers: The broker.
        directory: For the model, the pictures of the cameras, and logs.
        partitions: Of each topic.
        replication_factor: Of each topic.
        call_s: How long each call of the engine takes, for a batch of at most 8 frames.
        delivery: The setting.

    Attributes:
        servers: The broker.
        partitions: Of each topic.
        topic: Of the frames.
        dead: Of the dead letters.
        detections: Of the detections.
        model: The model's name.
        model_group: The consumer group.
    """

    def __init__(
        self,
        servers: str,
        directory: Path,
        *,
        partitions: int = 4,
        replication_factor: int = 1,
        call_s: float = 0.02,
        delivery: str = "at_least_once",
    ) -> None:
        self.servers, self.partitions = servers, partitions
        self._is_exactly_once = delivery == "exactly_once"
        self.topic, self.model, group = unique("frames"), unique("quick"), unique("group")
        self.dead, self.detections = f"{self.topic}.dead", detections_topic(self.model)
        self.model_group = group_id(KafkaSettings(group_id=group), self.model)
        self._directory = directory
        self._topics = TopicSettings(
            frames=self.topic, dead=self.dead, partitions=partitions, replication_factor=replication_factor
        )
        self._environment = {
            **install_quick_model(directory, self.model, call_s=call_s),
            "FRAMEBUS_CONSUMER__MODEL": self.model,
            "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": servers,
            "FRAMEBUS_KAFKA__GROUP_ID": group,
            # The shortest that brokers allow, and how soon a consumer hears of a rebalance.
            "FRAMEBUS_KAFKA__CONSUMER_OPTIONS__SESSION_TIMEOUT_MS": "6000",
            "FRAMEBUS_KAFKA__CONSUMER_OPTIONS__HEARTBEAT_INTERVAL_MS": "1000",
            # More than come while a broker is away.
            "FRAMEBUS_PRODUCER__MAX_BUFFER_FRAMES": "4096",
            "FRAMEBUS_TOPICS__FRAMES": self.topic,
            "FRAMEBUS_TOPICS__DEAD": self.dead,
            "FRAMEBUS_DELIVERY": delivery,
        }
        self._pictures = directory / "pictures"
        self._pictures.mkdir(parents=True)
        for number in range(_PICTURES):
            (self._pictures / f"{number}.jpg").write_bytes(jpeg(seed=number))
        self._started = 0
        self._processes = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._processes.close()

    def create_topics(self) -> None:
        """Creates the topics of frames, detections and dead letters."""
        KafkaAdmin(KafkaSettings(bootstrap_servers=self.servers)).create_topics(
            topic_specs(self._topics, self.model)
        )

    def start(self, *arguments: str, **environment: str) -> FramebusProcess:
        """Starts any `framebus` command."""
        self._started += 1
        process = FramebusProcess(
            f"{arguments[0]}-{self._started}",
            *arguments,
            environment=self._environment | environment,
            directory=self._directory,
        )
        self._processes.callback(process.kill)
        return process

    def consumer(self, **environment: str) -> FramebusProcess:
        """Starts `framebus consume`."""
        return self.start("consume", **environment)

    def producer(self, *options: str, cameras: int, fps: float, **environment: str) -> FramebusProcess:
        """Starts `framebus produce` with cameras that never end, unless options say how many frames."""
        sources = (("--camera", f"cam-{number}={self._pictures}") for number in range(cameras))
        arguments = (*chain(*sources), "--loop", "--fps", str(fps), "--json", *options)
        return self.start("produce", *arguments, **environment)

    def until_shared(self, *consumers: FramebusProcess) -> None:
        """Waits until these consumers, and no others, share the partitions evenly."""
        every = sorted(f"{self.topic}/{number}" for number in range(self.partitions))

        def shared() -> bool:
            shares = [consumer.partitions() for consumer in consumers]
            return sorted(chain(*shares)) == every and max(map(len, shares)) - min(map(len, shares)) <= 1

        consumers[0].until(shared, "the partitions to be shared")

    def until_more_frames(self, *consumers: FramebusProcess, each: int = 20) -> None:
        """Waits until each of these consumers has finished so many more frames."""
        wanted = {consumer: consumer.finished_frames() + each for consumer in consumers}
        for consumer, frames in wanted.items():
            consumer.until_finished(frames)

    def unfinished(self) -> int:
        """How many frames the group has not committed."""
        return uncommitted(self.servers, self.model_group, self.topic)

    def wait_until_committed(self) -> None:
        """Returns when the group has finished all frames that are there."""
        deadline_s, least = time.monotonic() + _COMMIT_PATIENCE_S, None
        while left := self.unfinished():
            if least is None or left < least:
                deadline_s, least = time.monotonic() + _COMMIT_PATIENCE_S, left
            assert time.monotonic() < deadline_s, f"{left} frames are not finished, and nothing moves"
            time.sleep(0.2)

    def account(self) -> Account:
        """What became of all frames, as an onlooker sees it who reads what is committed only."""
        return account(self.servers, self.topic, self.detections, self.dead)

    def assert_delivered(self) -> None:
        """Fails unless every frame of every camera was answered in order, and once if that was promised."""
        account = self.account()
        assert account.is_flawless() if self._is_exactly_once else account.is_sound(), account
