import pytest

from framebus.cli.bench.acknowledged import Answer
from framebus.cli.bench.latency import figures

FIRST_S = 1_000.0


def answer(frame: int, latency_ms: int) -> Answer:
    """The answer to a frame of 100 a second."""
    return Answer(frame, round(FIRST_S * 1000) + 10 * frame + latency_ms, 3.0, 2.0, 13.0)


def test_latency_counts_from_when_a_frame_was_due() -> None:
    quick = [answer(frame, 20) for frame in range(50, 148)]
    late = [answer(148, 500), answer(149, 490)]

    found = figures([*quick, *late], FIRST_S, offered_fps=100)

    assert found["p50_ms"] == found["p90_ms"] == 20
    assert found["p99_ms"] == pytest.approx(490, abs=0.2)
    assert (found["wait_ms"], found["decode_ms"], found["infer_ms"]) == (3, 2, 13)


def test_the_rate_is_that_of_what_was_acknowledged() -> None:
    # All answers lie behind each other more than their frames: the load is more than what is done.
    found = figures([answer(frame, 20 + 10 * frame) for frame in range(100)], FIRST_S, offered_fps=100)
    assert found["fps"] == pytest.approx(50)
