import pytest

from control_api.workers import Workers
from framebus.bus import Partition, Record
from framebus.control import ModelStatus
from framebus.errors import ControlRecordError
from tests.unit.control_api.fake_worker import beat

TOPIC = Partition("framebus.workers", 0)


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def workers(clock: Clock) -> Workers:
    return Workers(beat_interval_s=1, clock=clock)


def names(workers: Workers) -> list[str]:
    return [worker.worker for worker in workers.live()]


def test_a_worker_lives_for_three_beats_after_its_last_one_arrived(workers: Workers, clock: Clock) -> None:
    workers.take(beat("b"))
    workers.take(beat("a"))
    clock.now_s += 2
    workers.take(beat("a"))
    clock.now_s += 1
    assert names(workers) == ["a", "b"]

    clock.now_s += 0.1
    assert names(workers) == ["a"]
    [(_, age_s)] = workers.ages_s()
    assert age_s == pytest.approx(1.1)

    clock.now_s += 2
    assert names(workers) == []


def test_a_worker_that_expired_lives_again_with_its_next_beat(workers: Workers, clock: Clock) -> None:
    workers.take(beat("a"))
    clock.now_s += 60
    assert names(workers) == []

    workers.take(beat("a"))

    assert names(workers) == ["a"]


def test_a_farewell_removes_a_worker_at_once(workers: Workers) -> None:
    workers.take(beat("a"))
    workers.take(beat("b"))
    workers.take(Record(TOPIC, 0, 0, b"a", b""))
    workers.take(Record(TOPIC, 0, 0, b"never heard of", b""))

    assert names(workers) == ["b"]


def test_the_last_word_of_a_worker_counts(workers: Workers) -> None:
    workers.take(beat("a", ModelStatus(name="people", state="loading")))
    assert workers.with_model("people") == []

    workers.take(
        beat("a", ModelStatus(name="people", state="loaded"), ModelStatus(name="cars", state="failed"))
    )

    assert [worker.worker for worker in workers.with_model("people")] == ["a"]
    assert workers.with_model("cars") == []
    assert [model.state for _, model in workers.reports("cars")] == ["failed"]
    assert workers.models() == {"people", "cars"}


def test_what_is_no_beat_is_refused_and_changes_nothing(workers: Workers) -> None:
    workers.take(beat("a"))

    with pytest.raises(ControlRecordError, match=r"framebus\.workers/0/7"):
        workers.take(Record(TOPIC, 7, 0, b"a", b'{"worker": "a"}'))

    assert names(workers) == ["a"]


def test_workers_are_known_once_all_had_the_time_to_say_so(workers: Workers, clock: Clock) -> None:
    assert not workers.has_listened
    workers.reached_end()
    clock.now_s += 1.9
    assert not workers.has_listened
    clock.now_s += 0.2
    assert workers.has_listened

    workers.restart()

    assert not workers.has_listened
