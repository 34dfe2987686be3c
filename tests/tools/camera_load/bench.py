"""What the scenarios share: a broker, the cameras, and the load that one consumer can serve."""

import time
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from framebus.settings import Settings
from framebus.topics import detections_topic
from tests.tools.camera_load.accounting import Account, account
from tests.tools.camera_load.cameras import Camera
from tests.tools.camera_load.installation import Installation
from tests.tools.camera_load.publishing import Action, Publisher
from tests.tools.camera_load.reading import (
    Answer,
    Position,
    PublishedFrame,
    read_answers,
    read_dead_letters,
    read_frames,
)
from tests.tools.camera_load.report import Row

# Left out at either end of the calibration, where the pipeline fills and empties.
_EDGE = 0.1


@dataclass(frozen=True, slots=True)
class Bench:
    """A broker, and the load that a scenario puts on it.

    Attributes:
        settings: With the broker to use, and the directory that holds the model.
        cameras: Who publishes.
        model: The model that every frame goes through.
        logs: Where consumers write their logs.
        frames_per_s: What is published, over all cameras.
        seconds: For how long.
    """

    settings: Settings
    cameras: Sequence[Camera]
    model: str
    logs: Path
    frames_per_s: float
    seconds: float

    def publish(self, installation: Installation, actions: Sequence[Action] = ()) -> Row:
        """Publishes, acts in between, and returns what is to be said of the load."""
        publisher = Publisher(installation.kafka, installation.topic)
        began_s = time.process_time()
        publisher.publish_live(self.cameras, self.frames_per_s, self.seconds, actions)
        return {
            "published": publisher.published,
            "frames/s": self.frames_per_s,
            "seconds": self.seconds,
            "cores it took": round((time.process_time() - began_s) / self.seconds, 2),
            "most behind its time ms": publisher.most_behind_s * 1000,
        }


def served_frames_per_s(
    settings: Settings, cameras: Sequence[Camera], model: str, logs: Path, frames: int
) -> float:
    """Measures what one consumer makes of a backlog of these very cameras."""
    installation = Installation(settings, [model], logs)
    Publisher(installation.kafka, installation.topic).publish_backlog(cameras, frames)
    with installation.consumer() as consumer:
        installation.wait_until_committed(model)
        consumer.stop()
    appended_ms = sorted(answer.appended_ms for answer in Seen(installation, model).answers)
    edge = int(len(appended_ms) * _EDGE)
    first, last = edge, len(appended_ms) - 1 - edge
    return (last - first) * 1000 / (appended_ms[last] - appended_ms[first])


class Seen:
    """What an outside reader finds on the topics of an installation, for one of its models."""

    def __init__(self, installation: Installation, model: str) -> None:
        servers = installation.kafka.bootstrap_servers
        self.frames: Sequence[PublishedFrame] = read_frames(servers, installation.topic)
        self.answers: Sequence[Answer] = read_answers(servers, detections_topic(model), installation.topic)
        self.dead: Sequence[Position] = read_dead_letters(servers, installation.dead, model)
        self.committed: Mapping[int, int] = installation.committed(model)

    def of_camera(self, camera_id: str) -> Self:
        """The same, of one camera only."""
        only = copy(self)
        only.frames = [frame for frame in self.frames if frame.camera_id == camera_id]
        only.answers = [answer for answer in self.answers if answer.camera_id == camera_id]
        positions = {frame.position for frame in only.frames}
        only.dead = [position for position in self.dead if position in positions]
        return only

    def account(self, dropped: int = 0) -> Account:
        """What became of every frame; `dropped` is what the consumers' metrics say."""
        return account(self.frames, self.answers, self.dead, self.committed, dropped)
