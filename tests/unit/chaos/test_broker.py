from collections.abc import Mapping, Sequence

import pytest

from tests.chaos.broker import faults
from tests.tools.camera_load.reading import PublishedFrame


def frames(numbers: Mapping[str, Sequence[int]]) -> list[PublishedFrame]:
    return [
        PublishedFrame(("frames", 0, offset), camera, f"{camera}-1700000000000-{number}", 0.0, 64, 48)
        for camera, own in numbers.items()
        for offset, number in enumerate(own)
    ]


@pytest.mark.parametrize(
    ("numbers", "acknowledged", "dropped", "missing", "broken"),
    [
        ({"cam-1": [1, 2, 3], "cam-2": [1, 2]}, 5, 0, 0, 0),
        ({"cam-1": [1, 4], "cam-2": [1, 2]}, 4, 2, 2, 0),  # two were dropped and counted
        ({"cam-1": [1, 2, 3]}, 2, 1, 0, 0),  # the word that it was there was lost
        ({"cam-1": [1, 4]}, 2, 1, 2, 1),  # one was lost in silence
        ({"cam-1": [3]}, 1, 0, 2, 1),  # the first two were
        ({"cam-1": [1, 2]}, 3, 0, 0, 1),  # the broker lost what it had acknowledged
        ({"cam-1": [1, 2, 2, 3]}, 3, 0, 0, 1),  # one is there twice
    ],
)
def test_frames_that_neither_topic_nor_producer_tells_of_are_found(
    numbers: dict[str, list[int]], acknowledged: int, dropped: int, missing: int, broken: int
) -> None:
    found = faults(frames(numbers), acknowledged=acknowledged, dropped=dropped)

    assert found.missing == missing
    assert len(found.broken) == broken
