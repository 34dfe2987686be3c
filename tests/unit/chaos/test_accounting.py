"""The outside reader's bookkeeping: each way in which a frame can go wrong shows in a figure of its own."""

from collections.abc import Callable
from dataclasses import asdict, replace

import pytest

from tests.chaos.accounting import account, longest_silence_s
from tests.chaos.reading import Answer
from tests.tools.camera_load.reading import Position, PublishedFrame

CAMERAS = 2
FRAMES = [
    PublishedFrame(("frames", n % CAMERAS, n // CAMERAS), f"cam-{n % CAMERAS}", str(n), 1000.0 + n, 64, 48)
    for n in range(10)
]
ANSWERS = [
    Answer(
        position=frame.position,
        camera_id=frame.camera_id,
        frame_id=frame.frame_id,
        event_id=f"event-{frame.frame_id}",
        appended_ms=2000,
        seen_ms=2000.0,
    )
    for frame in FRAMES
]
ALL_WELL = {
    "published": 10,
    "lost": 0,
    "dead": 0,
    "duplicates": 0,
    "recognisable": 0,
    "out_of_order": 0,
    "wrong": 0,
}


def test_frames_answered_once_each_are_all_well() -> None:
    found = account(FRAMES, ANSWERS)

    assert asdict(found) == ALL_WELL
    assert found.broken(once=True) == []


def lost(answers: list[Answer]) -> list[Answer]:
    return answers[:4] + answers[5:]


def answered_again(answers: list[Answer]) -> list[Answer]:
    return [*answers, answers[3], answers[3]]


def answered_again_under_another_id(answers: list[Answer]) -> list[Answer]:
    return [*answers, replace(answers[3], event_id="another")]


def under_the_id_of_another(answers: list[Answer]) -> list[Answer]:
    return [*answers[:4], replace(answers[4], event_id=answers[3].event_id), *answers[5:]]


def answered_again_under_the_id_of_another(answers: list[Answer]) -> list[Answer]:
    return [*under_the_id_of_another(answers), answers[3]]


def swapped(answers: list[Answer]) -> list[Answer]:
    return [*answers[:4], answers[6], answers[5], answers[4], *answers[7:]]


def of_another_camera(answers: list[Answer]) -> list[Answer]:
    return [replace(answers[0], camera_id="cam-9"), *answers[1:]]


def of_another_frame(answers: list[Answer]) -> list[Answer]:
    return [replace(answers[0], frame_id="99"), *answers[1:]]


def of_no_frame(answers: list[Answer]) -> list[Answer]:
    return [*answers, replace(answers[0], position=("frames", 0, 99), event_id="of none", camera_id="cam-9")]


@pytest.mark.parametrize(
    ("tamper", "dead", "differs", "broken_once", "broken"),
    [
        (lost, [], {"lost": 1}, True, True),
        (lost, [("frames", 0, 2)], {"dead": 1}, True, True),
        (list, [("frames", 0, 99)], {"wrong": 1}, True, True),
        (answered_again, [], {"duplicates": 2, "recognisable": 2}, True, False),
        (answered_again_under_another_id, [], {"duplicates": 1}, True, True),
        (answered_again_under_the_id_of_another, [], {"duplicates": 1, "wrong": 1}, True, True),
        (under_the_id_of_another, [], {"wrong": 1}, True, True),
        (swapped, [], {"out_of_order": 1}, True, True),
        (of_another_camera, [], {"wrong": 1}, True, True),
        (of_another_frame, [], {"wrong": 1}, True, True),
        (of_no_frame, [], {"wrong": 1}, True, True),
    ],
)
def test_each_fault_shows_in_its_figure(
    tamper: Callable[[list[Answer]], list[Answer]],
    dead: list[Position],
    differs: dict[str, int],
    broken_once: bool,
    broken: bool,
) -> None:
    found = account(FRAMES, tamper(ANSWERS), dead)

    assert asdict(found) == {**ALL_WELL, **differs}
    assert bool(found.broken(once=True)) is broken_once
    assert bool(found.broken(once=False)) is broken


def test_what_is_answered_again_after_later_frames_is_no_disorder() -> None:
    assert account(FRAMES, [*ANSWERS, *ANSWERS]).out_of_order == 0


@pytest.mark.parametrize(
    ("seen", "silence_s"),
    [
        ({0: [1000, 2000, 3000], 1: [1500, 2500]}, 1.5),  # from the last of partition 1 to the end
        ({0: [3500], 1: [1000, 2000, 3000]}, 3.5),  # from the beginning to the first of partition 0
        ({0: [1000, 3000], 1: [1000, 2000, 3000]}, 2.0),  # in between
        ({0: [900, 2000, 9000], 1: [1000, 2000, 3000]}, 2.0),  # what is later does not count
        ({}, 4.0),
    ],
)
def test_the_longest_silence_is_that_of_one_partition(seen: dict[int, list[float]], silence_s: float) -> None:
    answers = [
        replace(ANSWERS[0], position=("frames", partition, 0), seen_ms=moment_ms)
        for partition, moments in seen.items()
        for moment_ms in moments
    ]

    assert longest_silence_s(answers, 0.0, 4000.0) == silence_s
