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
