"""The outside reader's bookkeeping: each way in which a frame can go wrong shows in a figure of its own."""

from collections.abc import Callable
from dataclasses import asdict, replace

import pytest

from tests.tools.camera_load.accounting import account
from tests.tools.camera_load.reading import Answer, Position, PublishedFrame

FRAMES = [PublishedFrame(("frames", 0, n), "cam-1", str(n), 1000.0 + n, 64, 48) for n in range(10)]
ANSWERS = [
    Answer(
        position=frame.position,
        camera_id=frame.camera_id,
        frame_id=frame.frame_id,
        captured_ms=frame.captured_ms,
        appended_ms=2000,
        width=64,
        height=48,
        wait_ms=1.0,
        decode_ms=1.0,
        infer_ms=1.0,
        total_ms=3.0,
        batch_size=1,
    )
    for frame in FRAMES
]
ALL_WELL = {
    "published": 10,
    "answered_once": 10,
    "answered_again": 0,
    "dead": 0,
    "dropped": 0,
    "waiting": 0,
    "missing": 0,
    "wrong": 0,
    "out_of_order": 0,
}


def test_ten_frames_answered_once_each_are_all_well() -> None:
    assert asdict(account(FRAMES, ANSWERS, [], {0: 10})) == ALL_WELL


def lost(answers: list[Answer]) -> list[Answer]:
    return answers[:4] + answers[5:]


def answered_again(answers: list[Answer]) -> list[Answer]:
    return [*answers, answers[3]]


def swapped(answers: list[Answer]) -> list[Answer]:
    return [*answers[:4], answers[5], answers[4], *answers[6:]]


def of_another_size(answers: list[Answer]) -> list[Answer]:
    return [replace(answers[0], width=65), *answers[1:]]


@pytest.mark.parametrize(
    ("tamper", "dead", "committed", "dropped", "differs"),
    [
        (lost, [], 10, 0, {"answered_once": 9, "missing": 1}),
        (lost, [], 4, 0, {"answered_once": 9, "waiting": 1}),
        (lost, [], 10, 1, {"answered_once": 9, "dropped": 1}),
        (lost, [("frames", 0, 4)], 10, 0, {"answered_once": 9, "dead": 1}),
        (list, [("frames", 0, 4)], 10, 0, {"dead": 1, "wrong": 1}),
        (list, [], 10, 1, {"dropped": 1, "missing": -1}),
        (answered_again, [], 10, 0, {"answered_once": 9, "answered_again": 1}),
        (swapped, [], 10, 0, {"out_of_order": 1}),
        (of_another_size, [], 10, 0, {"wrong": 1}),
    ],
)
def test_each_fault_shows_in_its_figure(
    tamper: Callable[[list[Answer]], list[Answer]],
    dead: list[Position],
    committed: int,
    dropped: int,
    differs: dict[str, int],
) -> None:
    found = account(FRAMES, tamper(ANSWERS), dead, {0: committed}, dropped)

    assert asdict(found) == {**ALL_WELL, **differs}
