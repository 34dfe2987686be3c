"""Whatever fails and whoever takes partitions away, when it may be: each frame is answered once, in order.

The publish stage runs on its own thread, as at work; the test is the thread that polls, and the group.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.flight import FlyingFrame
from consumer.offsets import OffsetTracker
from consumer.transactions import TransactionalPublisher
from framebus.bus import Membership, OutgoingRecord, Partition, TopicSpec
from framebus.bus.memory import MemoryBus
from framebus.errors import FrameTooLargeError, TransactionFailedError
from tests.flights import flying
from tests.pipelines import wait_until
from tests.transactions import MemoryTransactionalProducer

GROUP = "group"
FRAMES = [Partition("frames", number) for number in range(3)]
ANSWERS = Partition("detections", 0)
# Where frames stand, with gaps; of some nothing is to be published.
OFFSETS = [0, 1, 2, 5, 6, 7, 8, 11, 12, 13, 17, 18, 19, 20, 22]
LEFT_OUT = {1, 6, 7, 20}
ANSWERED = [offset for offset in OFFSETS if offset not in LEFT_OUT]


class Producer(MemoryTransactionalProducer):
    """Nobody sees half a commit."""

    def __init__(self, bus: MemoryBus, lock: threading.RLock, **options: object) -> None:
        super().__init__(bus, GROUP, **options)  # type: ignore[arg-type]
        self._lock = lock

    def commit(self, offsets: Mapping[Partition, int], membership: Membership) -> None:
        with self._lock:
            super().commit(offsets, membership)


class World:
    """A group, one of its members with its publish stage, and another consumer."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.bus.create_topics([TopicSpec("detections", 1, 1, {})])
        self.lock = threading.RLock()
        self.generation = 1
        self.membership: Membership | None = self._current()
        self.tracked: dict[Partition, OffsetTracker] = {one: OffsetTracker() for one in FRAMES}
        self.positions = dict.fromkeys(FRAMES, 0)
        self.failing: Counter[str] = Counter()
        self.publisher = TransactionalPublisher(
            Producer(self.bus, self.lock, step=self._step, is_member=lambda one: one == self._current()),
            membership=lambda: self.membership,
            tracked=lambda: dict(self.tracked),
            acknowledged=lambda frame: frame.offsets.finish(frame.record.offset),
            discard=lambda _: None,
            shrink=self._never,
            interval_s=0.001,
            max_frames=4,
            patience_s=60,
        )
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _never(self, flying: FlyingFrame, error: FrameTooLargeError) -> None:
        raise error

    def _run(self) -> None:
        try:
            self.publisher.run()
        except BaseException as error:
            self.failure = error

    def _current(self) -> Membership:
        return Membership(str(self.generation).encode())

    def _step(self, step: str) -> None:
        if self.failing[step] > 0:
            self.failing[step] -= 1
            raise TransactionFailedError(f"{step} failed")

    def committed(self, partition: Partition) -> int:
        stored = self.bus.committed(GROUP, partition)
        return stored.offset if stored is not None else 0

    def take(self, partition: Partition, count: int) -> None:
        """Frames come, are processed, and are handed to the stage, unless the partition is another's."""
        tracker = self.tracked.get(partition)
        if tracker is None:
            return
        for offset in [one for one in OFFSETS if one >= self.positions[partition]][:count]:
            self.positions[partition] = offset + 1
            tracker.admit(offset)
            if offset in LEFT_OUT:
                tracker.finish(offset)
                continue
            frame = flying(partition.number, offset)
            frame.offsets = tracker
            frame.outcome = answer(partition, offset)
            self.publisher.put(frame)

    def revoke(self, partition: Partition) -> None:
        """The member gives the partition away, and then the group goes on."""
        if partition in self.tracked:
            self._forget(partition)
            with self.lock:
                self.generation += 1
            self.membership = self._current()

    def lose(self, partition: Partition) -> None:
        """The group goes on without the member, which hears of it afterwards."""
        if partition in self.tracked:
            with self.lock:
                self.generation += 1
            self.membership = None
            self._forget(partition)

    def _forget(self, partition: Partition) -> None:
        tracker = self.tracked.pop(partition)
        tracker.is_given_away = True

    def gain(self, partition: Partition, count: int) -> None:
        """The partition comes back, after another consumer has gone on with some of its frames."""
        if partition not in self.tracked:
            with self.lock:
                self.generation += 1
                for offset in [one for one in OFFSETS if one >= self.committed(partition)][:count]:
                    if offset not in LEFT_OUT:
                        self.bus.append(answer(partition, offset))
                    self.bus.commit(GROUP, {partition: offset + 1})
                self.positions[partition] = self.committed(partition)
            self.tracked[partition] = OffsetTracker()
        self.membership = self._current()

    def fail(self, step: str, times: int) -> None:
        """A step of the next transactions fails."""
        self.failing[step] += times

    def pause(self, count: int) -> None:
        """Lets the stage go on for a moment."""
        threading.Event().wait(count / 1_000)


def answer(partition: Partition, offset: int) -> OutgoingRecord:
    return OutgoingRecord("detections", b"cam-1", f"{partition.number}/{offset}".encode())


Deed = Callable[[World], None]
partitions = st.sampled_from(FRAMES)
counts = st.integers(1, 5)
deeds: st.SearchStrategy[Deed] = st.one_of(
    st.builds(lambda one, count: lambda world: world.take(one, count), partitions, counts),
    st.builds(lambda one, count: lambda world: world.take(one, count), partitions, counts),
    st.builds(lambda one: lambda world: world.revoke(one), partitions),
    st.builds(lambda one: lambda world: world.lose(one), partitions),
    st.builds(lambda one, count: lambda world: world.gain(one, count - 1), partitions, counts),
    st.builds(
        lambda step, count: lambda world: world.fail(step, count),
        st.sampled_from(["begin", "publish", "commit"]),
        st.integers(1, 2),
    ),
    st.builds(lambda count: lambda world: world.pause(count), counts),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(deeds, max_size=40))
def test_every_frame_is_answered_once_and_in_order(schedule: Sequence[Deed]) -> None:
    world = World()
    world.thread.start()
    for deed in schedule:
        deed(world)
    world.failing.clear()
    for partition in FRAMES:
        world.gain(partition, 0)
        world.take(partition, len(OFFSETS))
    wait_until(
        lambda: all(world.committed(one) == OFFSETS[-1] + 1 for one in FRAMES) or world.failure is not None
    )
    world.publisher.close()
    world.thread.join(20)

    assert world.failure is None
    answers = [record.value.decode() for record in world.bus.read({ANSWERS: 0}, 10_000, 0)]
    for partition in FRAMES:
        own = [int(answer.split("/")[1]) for answer in answers if answer.startswith(f"{partition.number}/")]
        assert own == ANSWERED
