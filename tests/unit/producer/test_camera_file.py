from pathlib import Path

import pytest

from framebus.errors import SettingsError
from producer.camera_file import read_camera_file
from producer.camera_spec import CameraSpec, Size


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cameras.yaml"


def test_a_file_describes_cameras(file: Path) -> None:
    file.write_text(
        """
        cameras:
          - id: gate
            source: rtsp://user:password@10.0.0.7/stream1
            resize: 1280x720
            max_fps: 5
            model: ssd
          - {id: yard, source: videos/yard.mp4, fps: 12.5, loop: true, jpeg_quality: 80}
        """
    )

    gate, yard = read_camera_file(file)

    assert gate == CameraSpec(
        id="gate",
        source="rtsp://user:password@10.0.0.7/stream1",
        resize=Size(1280, 720),
        max_fps=5,
        model="ssd",
    )
    assert yard == CameraSpec(id="yard", source="videos/yard.mp4", fps=12.5, loop=True, jpeg_quality=80)
    assert "password" not in repr(gate)


GATE = "cameras: [{id: gate, source: gate.mp4, %s}]"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (GATE % "fps: 0", "camera 'gate': fps: Input should be greater than or equal to 0.001"),
        (GATE % "fps: .nan", "camera 'gate': fps: Input should be a finite number"),
        (GATE % "fps: fast", "camera 'gate': fps: Input should be a valid number"),
        (GATE % "max_fps: -1", "camera 'gate': max_fps: Input should be greater"),
        (
            GATE % "jpeg_quality: 101",
            "camera 'gate': jpeg_quality: Input should be less than or equal to 100",
        ),
        (GATE % "loop: often", "camera 'gate': loop: Input should be a valid boolean"),
        (GATE % "resize: 1280", "camera 'gate': resize: not a size such as 1280x720"),
        (GATE % "resize: 0x720", "camera 'gate': resize: not a size such as 1280x720"),
        (GATE % "model: a/b", "camera 'gate': model: String should match pattern"),
        (GATE % "jpg_quality: 90", "camera 'gate': jpg_quality: no such key; did you mean jpeg_quality?"),
        (GATE % "colour: red", "camera 'gate': colour: no such key; known are id, source, fps, loop"),
        ("cameras: [{id: gate}]", "camera 'gate': source: Field required"),
        ("cameras: [{id: 7, source: a.mp4}]", "camera 7: id: Input should be a valid string"),
        ("cameras: [{id: a, source: a.mp4}, {source: b.mp4}]", "camera 2: id: Field required"),
        ("cameras: [{id: '', source: a.mp4}]", "camera '': id: String should have at least 1 character"),
        ("cameras: [{id: a, source: 'ftp://s3cret@h/x'}]", "camera 'a': source: ftp:// is no kind of camera"),
        ("cameras: [{id: a, source: 'rtsp://u:s3cret'}]", "camera 'a': source: no host and port"),
        (
            "cameras: [{id: a, source: 'rtsp://h/s3cret', fps: 5}]",
            "camera 'a': fps: a stream comes at its own",
        ),
        ("cameras: [gate.mp4]", "camera 1: write its id and source as keys"),
        ("cameras: []", "write a list of cameras under the key 'cameras'"),
        ("cameras: gate.mp4", "write a list of cameras under the key 'cameras'"),
        ("- id: gate", "write a list of cameras under the key 'cameras'"),
        ("", "write a list of cameras under the key 'cameras'"),
        ("cameras: []\nkameras: []", "write a list of cameras under the key 'cameras'"),
        ("cameras: [{id: a, source: a}, {id: a, source: b}]", "camera 'a' is there twice"),
        ("cameras:\n  - id: gate\n   source: s3cret", "line 3, column 4: not YAML"),
        ("cameras: \x00", "not YAML"),
        ("cameras:\n- id: a\n  source: s3cret\n  id: b", "line 4, column 3: not YAML: id is there twice"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_file_camera_and_key(
    file: Path, text: str, complaint: str
) -> None:
    file.write_text(text)

    with pytest.raises(SettingsError) as error:
        read_camera_file(file)

    assert str(file) in str(error.value)
    assert complaint in str(error.value)
    assert "s3cret" not in str(error.value)


def test_all_that_is_wrong_is_told_at_once(file: Path) -> None:
    file.write_text("cameras: [{id: a, source: a, fps: 0}, {id: b, loop: x}]")

    with pytest.raises(SettingsError) as error:
        read_camera_file(file)

    message = str(error.value)
    assert all(words in message for words in ("camera 'a': fps", "camera 'b': source", "camera 'b': loop"))


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=rf"{tmp_path / 'gone.yaml'}: .*No such file"):
        read_camera_file(tmp_path / "gone.yaml")


def test_a_file_that_is_no_text_is_an_error_that_names_it(file: Path) -> None:
    file.write_bytes(b"\xff\xd8\xff")

    with pytest.raises(SettingsError, match=rf"{file}: the camera file is not UTF-8 text"):
        read_camera_file(file)
