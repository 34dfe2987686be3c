from tests.chaos.reading import Answer
from tests.chaos.throughput import frames_per_s


def test_the_rate_leaves_out_how_it_begins_and_ends() -> None:
    steady_ms = [10_000 + 5 * number for number in range(80)]
    appended_ms = [*range(0, 10_000, 1_000), *steady_ms, *range(20_000, 30_000, 1_000)]
    answers = [Answer(("frames", 0, 0), "cam", "1", "id", moment_ms, 0.0) for moment_ms in appended_ms]

    assert 150 < frames_per_s(answers) <= 200
