from concurrent.futures import ThreadPoolExecutor

from framebus.metrics import CameraLabels


def test_the_first_cameras_keep_their_names_and_later_ones_are_other() -> None:
    label = CameraLabels(2)

    assert [label(camera) for camera in ("a", "b", "c", "a", "d", "b")] == [
        "a",
        "b",
        "other",
        "a",
        "other",
        "b",
    ]


def test_with_a_limit_of_none_every_camera_is_other() -> None:
    assert CameraLabels(0)("a") == "other"


def test_the_limit_holds_when_cameras_come_on_many_threads() -> None:
    label = CameraLabels(10)

    with ThreadPoolExecutor(8) as threads:
        labels = list(threads.map(label, [f"cam-{number % 100}" for number in range(5_000)]))

    named = {name for name in labels if name != "other"}
    assert len(named) == 10
    assert [label(name) for name in sorted(named)] == sorted(named)
