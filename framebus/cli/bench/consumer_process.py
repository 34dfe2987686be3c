"""`framebus consume`, as a user runs it, and what it does in a window of time."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from framebus.cli.bench.own_broker import OwnBroker
from framebus.cli.bench.program import Program
from framebus.cli.bench.usage import Usage
from framebus.local_broker.ports import LOOPBACK, free_ports

# What the user has set for brokers and topics of his own is not for these.
_NOT_OURS = ("FRAMEBUS_KAFKA__", "FRAMEBUS_TOPICS__", "FRAMEBUS_ROUTES", "FRAMEBUS_CONSUMER__INSTANCE_ID")
# So long without a frame, and it is taken for stuck.
_STUCK_S = 60.0
_LOOK_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class Reading:
    """What a consumer has done so far, all of one moment.

    Attributes:
        at_s: When, in monotonic seconds.
        frames: Frames whose detections the broker acknowledged.
        cpu_s: CPU time that the consumer has used.
        broker_cpu_s: CPU time that the broker has used.
    """

    at_s: float
    frames: int
    cpu_s: float
    broker_cpu_s: float


@dataclass(frozen=True, slots=True)
class Window:
    """What was done between two readings."""

    first: Reading
    last: Reading

    def figures(self) -> dict[str, float]:
        """fps, cpu_ms_per_frame of the consumer, broker_cpu_ms_per_frame."""
        frames = self.last.frames - self.first.frames
        return {
            "fps": frames / (self.last.at_s - self.first.at_s),
            "cpu_ms_per_frame": 1000 * (self.last.cpu_s - self.first.cpu_s) / frames,
            "broker_cpu_ms_per_frame": 1000 * (self.last.broker_cpu_s - self.first.broker_cpu_s) / frames,
        }


class ConsumerProcess(Program):
    """A consumer that reads its topic from the start.

    Args:
        broker: Where its topics are.
        model: Name of its model, in the models directory of the broker's settings.
        topic: Where its frames are.
        group: Which group it joins; None: one of its own.
        environment: More variables of its environment.
    """

    def __init__(
        self,
        broker: OwnBroker,
        model: str,
        topic: str,
        *,
        group: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        from consumer.devices import default_devices

        [port] = free_ports(1)
        # Of several GPUs one, as each has a worker of its own.
        devices = default_devices(broker.settings)[:1]
        super().__init__(
            f"the consumer of {model}",
            ["consume", "--model", model, *(part for one in devices for part in ("--devices", one))],
            port=port,
            settings={
                **(environment or {}),
                "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": broker.settings.kafka.bootstrap_servers,
                "FRAMEBUS_KAFKA__GROUP_ID": group or f"bench-{uuid.uuid4().hex}",
                "FRAMEBUS_TOPICS__FRAMES": topic,
                "FRAMEBUS_MODELS_DIR": str(broker.settings.models_dir.resolve()),
                "FRAMEBUS_CONSUMER__HTTP_HOST": LOOPBACK,
                "FRAMEBUS_CONSUMER__HTTP_PORT": str(port),
            },
            without=_NOT_OURS,
        )
        self._broker_pid = broker.pid

    def read(self) -> Reading:
        """Reads what it has done so far.

        Raises:
            FramebusError: It has ended, or made a dead letter: then it does less than its work.
        """
        metrics = self._metrics()
        if dead := _total(metrics, "framebus_dead_letters_total"):
            raise self.failure(f"made dead letters of {dead} frames")
        return Reading(
            time.monotonic(),
            _total(metrics, "framebus_frames_total"),
            self.usage().cpu_s,
            Usage.of([self._broker_pid]).cpu_s,
        )

    def partitions(self) -> int:
        """How many partitions the group has given it.

        Raises:
            FramebusError: It has ended.
        """
        return _total(self._metrics(), "framebus_assigned_partitions")

    def _metrics(self) -> str:
        metrics = self.get("/metrics")
        if metrics is None:
            raise self.failure("does not answer on its port")
        return metrics

    def wait_for(self, frames: int) -> Reading:
        """Waits until so many frames are acknowledged.

        Raises:
            FramebusError: It failed, or does not get on.
        """
        reading, moved_s = self.read(), time.monotonic()
        while reading.frames < frames:
            time.sleep(_LOOK_INTERVAL_S)
            before, reading = reading, self.read()
            if reading.frames > before.frames:
                moved_s = reading.at_s
            elif reading.at_s - moved_s > _STUCK_S:
                raise self.failure(f"has acknowledged {reading.frames} of {frames} frames, and no more")
        return reading

    def window(self, warm_up_frames: int, seconds: float, backlog_frames: int) -> Window:
        """Measures for so long, after so many of a backlog's frames were acknowledged.

        Raises:
            FramebusError: It failed, or does not get on.
        """
        first = self.wait_for(warm_up_frames)
        time.sleep(seconds)
        return Window(first, self.wait_for(min(first.frames + 1, backlog_frames)))


def _total(metrics: str, name: str) -> int:
    """Adds up a metric over its labels (the Prometheus text format)."""
    lines = [line for line in metrics.splitlines() if line.startswith(f"{name}{{")]
    return round(sum(float(line.rpartition(" ")[2]) for line in lines))
