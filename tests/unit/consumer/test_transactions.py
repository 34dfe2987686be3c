"""The publish stage of exactly-once delivery against a bus whose steps fail when a test says so."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from consumer.flight import FlyingFrame
from consumer.offsets import OffsetTracker
from consumer.transactions import TransactionalPublisher
from framebus.bus import Membership, OutgoingRecord, Partition, TopicSpec
from framebus.bus.memory import MemoryBus
from framebus.errors import FrameTooLargeError, TransactionFailedError, TransportError
from tests.flights import flying
from tests.pipelines import wait_until
from tests.transactions import MemoryTransactionalProducer

GROUP = "group"
ANSWERS = Partition("detections", 0)
FIRST, SECOND = Partition("frames", 0), Partition("frames", 1)


class Faults:
    """Has a step fail as often as it is told to."""

    def __init__(self) -> None:
        self.left: Counter[str] = Counter()

    def __call__(self, step: str) -> None:
        if self.left[step] > 0:
            self.left[step] -= 1
            raise TransactionFailedError(f"{step} failed")


class Stage:
    """A publish stage, and all that it is told and tells."""

    def __init__(
        self,
        *,
        max_frames: int = 100,
        patience_s: float = 60,
        largest_bytes: int = 10**9,
        refuse_all: bool = False,
    ) -> None:
        self.bus = MemoryBus()
        self.bus.create_topics([TopicSpec("detections", 1, 1, {})])
        self.faults = Faults()
        self.membership: Membership | None = Membership(b"1")
        self.known = {b"1"}
        self.tracked: dict[Partition, OffsetTracker] = {FIRST: OffsetTracker(), SECOND: OffsetTracker()}
        self.acknowledged: list[FlyingFrame] = []
        self.discarded: list[FlyingFrame] = []
        self.shrunk: list[FlyingFrame] = []
        self.producer = MemoryTransactionalProducer(
            self.bus,
            GROUP,
            step=self.faults,
            is_member=lambda membership: not refuse_all and membership in self.known,
            is_too_large=lambda record: len(record.value or b"") > largest_bytes,
        )
        self.publisher = TransactionalPublisher(
            self.producer,
            membership=lambda: self.membership,
            tracked=lambda: dict(self.tracked),
            acknowledged=self._acknowledged,
            discard=self.discarded.append,
            shrink=self._shrink,
            interval_s=0.005,
            max_frames=max_frames,
            patience_s=patience_s,
        )
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _acknowledged(self, frame: FlyingFrame) -> None:
        self.acknowledged.append(frame)
        frame.offsets.finish(frame.record.offset)

    def _shrink(self, frame: FlyingFrame, error: FrameTooLargeError) -> None:
        if frame.is_smallest:
            raise error
        self.shrunk.append(frame)
        frame.is_smallest = True
        frame.outcome = outcome(b"smallest")

    def _run(self) -> None:
        try:
            self.publisher.run()
        except BaseException as error:
            self.failure = error

    def take(self, partition: Partition, offset: int, value: bytes | None = None) -> FlyingFrame:
        """A frame that came, was processed, and is handed to the stage."""
        frame = flying(partition.number, offset)
        frame.offsets = self.tracked[partition]
        frame.offsets.admit(offset)
        frame.outcome = outcome(value or f"{partition.number}/{offset}".encode())
        self.publisher.put(frame)
        return frame

    def give_away(self, partition: Partition) -> None:
        """The partition is another consumer's from now on."""
        self.tracked.pop(partition).is_given_away = True

    def answers(self) -> list[str]:
        """What stands on the bus."""
        return [record.value.decode() for record in self.bus.read({ANSWERS: 0}, 10_000, 0)]

    def committed(self, partition: Partition) -> int:
        """What the group has stored."""
        stored = self.bus.committed(GROUP, partition)
        return stored.offset if stored is not None else 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Runs the stage."""
        self._thread.start()
        try:
            yield
        finally:
            self.publisher.close()
            self.join()

    def join(self) -> None:
        """Waits for the end of its thread."""
        self._thread.join(20)
        assert not self._thread.is_alive()

    def run_until_it_fails(self) -> BaseException:
        """Runs the stage to its own end."""
        self._thread.start()
        self.join()
        assert self.failure is not None
        return self.failure


def outcome(value: bytes) -> OutgoingRecord:
    return OutgoingRecord("detections", b"cam-1", value)


def test_answers_and_offsets_are_on_the_bus_together() -> None:
    stage = Stage()
    frames = [stage.take(FIRST, offset) for offset in range(3)]
    with stage.at_work():
        wait_until(lambda: stage.acknowledged == frames)

    assert stage.answers() == ["0/0", "0/1", "0/2"]
    assert (stage.committed(FIRST), stage.committed(SECOND)) == (3, 0)
    assert stage.producer.commits == 1


@pytest.mark.parametrize("step", ["begin", "publish", "commit"])
@pytest.mark.parametrize("times", [1, 3])
def test_what_a_failed_step_took_back_is_published_again(step: str, times: int) -> None:
    stage = Stage()
    stage.faults.left[step] = times
    frames = [stage.take(FIRST, offset) for offset in range(3)]
    with stage.at_work():
        wait_until(lambda: stage.acknowledged == frames)

    assert stage.answers() == ["0/0", "0/1", "0/2"]
    assert stage.committed(FIRST) == 3
    assert stage.failure is None


def test_frames_that_nothing_is_published_for_are_committed_too() -> None:
    stage = Stage()
    for offset in range(5):
        stage.tracked[SECOND].admit(offset)
        stage.tracked[SECOND].finish(offset)
    with stage.at_work():
        wait_until(lambda: stage.committed(SECOND) == 5)

    assert stage.answers() == []


def test_a_frame_left_out_between_two_others_is_committed_with_them() -> None:
    stage = Stage()
    stage.take(FIRST, 0)
    stage.tracked[FIRST].admit(4)
    stage.tracked[FIRST].finish(4)
    stage.take(FIRST, 9)
    with stage.at_work():
        wait_until(lambda: len(stage.acknowledged) == 2)

    assert stage.committed(FIRST) == 10


def test_an_unfinished_frame_holds_back_the_offsets_behind_it() -> None:
    stage = Stage()
    stage.take(FIRST, 0)
    stage.tracked[FIRST].admit(1)
    stage.tracked[FIRST].admit(2)
    stage.tracked[FIRST].finish(2)
    with stage.at_work():
        wait_until(lambda: len(stage.acknowledged) == 1)
        assert stage.committed(FIRST) == 1
        stage.tracked[FIRST].finish(1)
        wait_until(lambda: stage.committed(FIRST) == 3)


def test_a_transaction_holds_no_more_frames_than_it_may() -> None:
    stage = Stage(max_frames=4)
    for offset in range(20):
        stage.take(FIRST, offset)
    with stage.at_work():
        wait_until(lambda: len(stage.acknowledged) == 20)

    assert stage.producer.commits >= 5
    assert stage.answers() == [f"0/{offset}" for offset in range(20)]


def test_what_went_to_another_consumer_is_taken_back_and_the_rest_published() -> None:
    stage = Stage()
    gone = [stage.take(FIRST, offset) for offset in range(2)]
    kept = [stage.take(SECOND, offset) for offset in range(2)]
    stage.give_away(FIRST)
    with stage.at_work():
        wait_until(lambda: stage.acknowledged == kept)

    assert stage.discarded == gone
    assert stage.answers() == ["1/0", "1/1"]
    assert (stage.committed(FIRST), stage.committed(SECOND)) == (0, 2)


def test_a_partition_given_away_just_before_the_commit_is_not_in_it() -> None:
    stage = Stage()

    def give_away(step: str) -> None:
        if step == "publish":
            stage.give_away(FIRST)
            stage.faults = Faults()
            stage.producer.step = stage.faults

    stage.producer.step = give_away
    gone = stage.take(FIRST, 0)
    with stage.at_work():
        wait_until(lambda: stage.discarded == [gone])

    assert stage.answers() == []


def test_no_answer_is_committed_without_the_offset_of_its_frame() -> None:
    """The thread that polls takes the tracker away first, and a moment later says that it is given away."""
    stage = Stage()
    gone, kept = stage.take(FIRST, 0), stage.take(SECOND, 0)
    tracker = stage.tracked.pop(FIRST)
    stage.faults.left["commit"] = 10**9  # commits nothing, but counts who tries
    with stage.at_work():
        wait_until(lambda: stage.producer.is_open)
        threading.Event().wait(0.05)
        assert stage.faults.left["commit"] == 10**9
        tracker.is_given_away = True
        stage.faults.left.clear()
        wait_until(lambda: stage.acknowledged == [kept])

    assert stage.discarded == [gone]
    assert stage.answers() == ["1/0"]


def test_a_partition_that_came_back_is_read_again_and_answered_once() -> None:
    stage = Stage()
    before = stage.take(FIRST, 0)
    stage.give_away(FIRST)
    stage.tracked[FIRST] = OffsetTracker()
    again = stage.take(FIRST, 0)
    with stage.at_work():
        wait_until(lambda: stage.acknowledged == [again])

    assert stage.discarded == [before]
    assert stage.answers() == ["0/0"]
    assert stage.committed(FIRST) == 1


def test_nothing_is_published_for_a_consumer_that_is_no_member_until_it_is_one_again() -> None:
    stage = Stage()
    stage.membership = None
    frame = stage.take(FIRST, 0)
    with stage.at_work():
        threading.Event().wait(0.1)
        assert not stage.producer.is_open
        stage.membership = Membership(b"1")
        wait_until(lambda: stage.acknowledged == [frame])

    assert stage.answers() == ["0/0"]


def test_a_membership_that_the_group_has_outlived_is_refused_until_it_is_renewed() -> None:
    stage = Stage()
    stage.known = {b"2"}
    frame = stage.take(FIRST, 0)
    with stage.at_work():
        threading.Event().wait(0.05)
        assert stage.answers() == []
        stage.membership = Membership(b"2")
        wait_until(lambda: stage.acknowledged == [frame])

    assert stage.answers() == ["0/0"]


def test_what_the_bus_finds_too_large_is_published_smaller_and_the_others_as_they_were() -> None:
    stage = Stage(largest_bytes=10)
    small, large = stage.take(FIRST, 0), stage.take(FIRST, 1, value=b"x" * 11)
    with stage.at_work():
        wait_until(lambda: stage.acknowledged == [small, large])

    assert stage.shrunk == [large]
    assert stage.answers() == ["0/0", "smallest"]
    assert stage.committed(FIRST) == 2


def test_late_word_that_a_record_was_too_large_does_not_shrink_what_took_its_place() -> None:
    stage = Stage(largest_bytes=10)
    reports: list[Callable[[], None]] = []
    publish = stage.producer.publish

    def publish_and_remember(record: OutgoingRecord, on_delivery: object = None) -> bool:
        reports.append(lambda: on_delivery(too_large))  # type: ignore[operator]
        return publish(record, on_delivery)  # type: ignore[arg-type]

    from framebus.bus import Delivery

    too_large = Delivery(None, None, "too large", is_too_large=True)
    stage.producer.publish = publish_and_remember  # type: ignore[method-assign]
    large = stage.take(FIRST, 0, value=b"x" * 11)
    with stage.at_work():
        wait_until(lambda: stage.acknowledged == [large])
        reports[0]()
        stage.faults.left["commit"] = 1
        next_one = stage.take(FIRST, 1)
        wait_until(lambda: stage.acknowledged == [large, next_one])

    assert stage.failure is None
    assert stage.shrunk == [large]


def test_what_can_be_made_no_smaller_ends_the_stage() -> None:
    stage = Stage(largest_bytes=5)
    stage.take(FIRST, 0, value=b"x" * 6)

    assert isinstance(stage.run_until_it_fails(), FrameTooLargeError)
    assert stage.answers() == []
    assert not stage.producer.is_open


def test_transactions_that_fail_for_too_long_end_the_stage() -> None:
    stage = Stage(patience_s=0.2, refuse_all=True)
    stage.take(FIRST, 0)

    assert "no transaction could be committed" in str(stage.run_until_it_fails())
    assert stage.answers() == []


def test_failures_count_as_one_only_while_there_is_something_to_publish() -> None:
    stage = Stage(patience_s=0.2)
    gone = stage.take(FIRST, 0)
    stage.faults.left["commit"] = 1
    with stage.at_work():
        wait_until(lambda: not stage.faults.left["commit"])
        stage.give_away(FIRST)
        wait_until(lambda: stage.discarded == [gone])
        threading.Event().wait(0.4)  # nothing to do for longer than transactions may fail
        stage.faults.left["commit"] = 1
        frame = stage.take(SECOND, 0)
        wait_until(lambda: stage.acknowledged == [frame] or stage.failure is not None)

    assert stage.failure is None


def test_an_error_of_the_bus_that_is_none_of_the_transaction_ends_the_stage() -> None:
    stage = Stage()

    def refuse(step: str) -> None:
        if step == "commit":
            raise TransportError("fenced")

    stage.producer.step = refuse
    stage.take(FIRST, 0)

    assert str(stage.run_until_it_fails()) == "fenced"
    assert not stage.producer.is_open  # taken back, for those who read what is committed
    assert stage.answers() == []


def test_what_is_not_committed_when_the_stage_is_closed_is_taken_back() -> None:
    stage = Stage()
    stage.faults.left["commit"] = 10**9
    stage.take(FIRST, 0)
    with stage.at_work():
        wait_until(lambda: stage.faults.left["commit"] < 10**9)

    assert stage.answers() == []
    assert stage.committed(FIRST) == 0
    assert not stage.producer.is_open
