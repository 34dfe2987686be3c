"""Runs batches through the engine, on as many threads as the engine takes calls at once."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from consumer.batcher import Batcher
from consumer.metrics import ConsumerMetrics
from consumer.model_host import Detected, ModelHost, Result
from framebus.errors import DetectionError
from framebus.frames import Image
from framebus.logs import get_logger
from framebus.wire import ModelInForce

log = get_logger("inference")


@dataclass(frozen=True, slots=True)
class EngineCall:
    """An engine call that is over.

    Attributes:
        model: What was in force for it.
        started_s: When it began, in monotonic seconds.
        call_s: How long it took, in seconds.
        batch_size: Pictures in it.
    """

    model: ModelInForce
    started_s: float
    call_s: float
    batch_size: int


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture on its way through the engine.

    Attributes:
        image: uint8 (H, W, 3) RGB.
        answer: Told what came of it, on the engine's thread.
        is_urgent: It came by itself and from no stream: it waits for no other picture, and goes first.
        queued_at: Monotonic seconds.
    """

    image: Image
    answer: Callable[[Result, EngineCall], None]
    is_urgent: bool = False
    queued_at: float = field(default_factory=time.monotonic)


def _untold(*_: float) -> None:
    """Where nobody wants to be told of engine calls."""


class Inference:
    """The engine stage of one model; `run` is called by each of its threads.

    Args:
        host: The model.
        max_batch_delay_s: Longest wait of a batch's first picture for the others.
        metrics: The consumer's.
        begins: Told of each engine call before it: how many pictures of streams are in it.
        ended: Told of each engine call: its pictures, and its time in seconds.
    """

    def __init__(
        self,
        *,
        host: ModelHost,
        max_batch_delay_s: float,
        metrics: ConsumerMetrics,
        begins: Callable[[int], None] = _untold,
        ended: Callable[[int, float], None] = _untold,
    ) -> None:
        self.host = host
        self.calls = self.pictures = 0
        """Engine calls so far, and pictures in them."""
        self._counted = threading.Lock()
        self._metrics = metrics
        self._begins = begins
        self._ended = ended
        # When each call that runs now began, by thread.
        self._began_s: dict[int, float] = {}
        self._batcher: Batcher[Picture] = Batcher(host.batch_size, max_batch_delay_s)

    def put(self, picture: Picture) -> bool:
        """Queues a picture; never blocks, as those that come are bounded.

        Returns:
            False if this stage was closed: the picture gets no answer.
        """
        return self._batcher.put(self.host.batch_key(picture.image), picture, is_urgent=picture.is_urgent)

    def discard(self, picture: Picture) -> None:
        """Forgets an urgent picture that nobody waits for any more, unless the engine has it already."""
        self._batcher.discard(picture)

    def close(self) -> None:
        """Ends every `run` after what is queued."""
        self._batcher.close()

    @property
    def longest_call_s(self) -> float:
        """How long the longest call that runs now has taken so far; 0 while none runs."""
        now_s = time.monotonic()
        return now_s - min(self._began_s.copy().values(), default=now_s)

    def __len__(self) -> int:
        return len(self._batcher)

    def run(self) -> None:
        """Runs batches until closed."""
        while batch := self._batcher.take():
            self._begins(sum(not picture.is_urgent for picture in batch))
            self._run(batch)
            batch.clear()  # else the pictures would stay until the next batch comes
            self._batcher.batch_size = self.host.batch_size  # a newer version may like others

    def _run(self, batch: list[Picture]) -> None:
        started_s = self._began_s[threading.get_ident()] = time.monotonic()
        try:
            detected = self.host.detect([picture.image for picture in batch])
        except Exception as bug:
            alone = [picture for picture in batch if picture.is_urgent]
            if not alone:
                raise
            # It ends the process if a frame of a stream met it, which is on the bus still. One that came by
            # itself would be sent to the next worker, and end that one too: it is told, and alone.
            if len(batch) > 1:
                frames = [picture for picture in batch if not picture.is_urgent]
                for some in filter(None, [frames, *([picture] for picture in alone)]):
                    self._run(some)
                return
            log.exception("the engine failed on a picture", model=self.host.in_force.name)
            failure = DetectionError(f"the engine failed: {type(bug).__name__}: {bug}")
            detected = Detected(self.host.in_force, [failure])
        finally:
            self._began_s.pop(threading.get_ident(), None)
        call_s = time.monotonic() - started_s
        self._ended(len(batch), call_s)
        with self._counted:
            self.calls += 1
            self.pictures += len(batch)
        name = detected.model.name
        self._metrics.batch_size.labels(name).observe(len(batch))
        self._metrics.inference.labels(name).observe(call_s)
        call = EngineCall(detected.model, started_s, call_s, len(batch))
        for picture, result in zip(batch, detected.results, strict=True):
            self._metrics.batch_wait.labels(name).observe(started_s - picture.queued_at)
            picture.answer(result, call)
