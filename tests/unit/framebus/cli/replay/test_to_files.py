import json
from pathlib import Path

import pytest

from framebus.cli.replay.tally import Tally
from framebus.cli.replay.to_files import INDEX, DetectionLines, PictureFolder, folder_name
from framebus.errors import FramebusError
from framebus.wire import DETECTIONS_TYPE
from tests.pictures import jpeg, record

T0_MS = 1_700_000_000_000


def test_pictures_lie_in_a_folder_of_their_camera_in_the_order_of_capture(tmp_path: Path) -> None:
    tally = Tally("frames")
    folder = PictureFolder(tmp_path / "new" / "replay", tally)
    headers = (("ce_id", b"42"), ("odd", b"\xff"), ("none", None), ("ce_id", b"43"))
    folder.take(record(jpeg(), key=b"yard/2", headers=headers, partition=3, offset=17, timestamp_ms=T0_MS))
    folder.take(record(b"no picture", key=b"yard/2", partition=3, offset=9, timestamp_ms=T0_MS + 1))
    folder.finish()
    folder.close()

    directory = tmp_path / "new" / "replay"
    names = sorted(path.name for path in (directory / "yard%2F2").iterdir())
    assert names == [
        "20231114T221320.000Z-frames-3-000000017.jpg",
        "20231114T221320.001Z-frames-3-000000009.bin",
    ]
    assert (directory / "yard%2F2" / names[0]).read_bytes() == jpeg()
    first, second = map(json.loads, (directory / INDEX).read_text().splitlines())
    assert first == {
        "file": f"yard%2F2/{names[0]}",
        "camera": "yard/2",
        "captured": "2023-11-14T22:13:20.000Z",
        "published": "2023-11-14T22:13:20.000Z",
        "topic": "frames",
        "partition": 3,
        "offset": 17,
        "bytes": len(jpeg()),
        "key": "yard/2",
        "headers": [["ce_id", "42"], ["odd", "\\xff"], ["none", None], ["ce_id", "43"]],
    }
    assert (second["file"], tally.replayed) == (f"yard%2F2/{names[1]}", 2)


@pytest.mark.parametrize(
    "camera", ["..", ".", "/etc/passwd", "../../x", INDEX, ".hidden", "a" * 10_000, "\x1b[2J\n"]
)
def test_no_camera_leaves_its_directory(camera: str, tmp_path: Path) -> None:
    directory = tmp_path / "replay"
    folder = PictureFolder(directory, Tally("frames"))
    folder.take(record(key=camera.encode()))
    folder.close()

    assert [path.name for path in tmp_path.iterdir()] == ["replay"]
    assert {path.name for path in directory.iterdir()} == {INDEX, folder_name(camera)}
    assert len(list((directory / folder_name(camera)).iterdir())) == 1


def test_long_ids_keep_apart() -> None:
    assert folder_name("a" * 300) != folder_name("a" * 301)


def test_frames_of_another_replay_are_not_mixed_with(tmp_path: Path) -> None:
    PictureFolder(tmp_path, Tally("frames")).close()
    with pytest.raises(FramebusError, match="frames of another replay; name a new directory"):
        PictureFolder(tmp_path, Tally("frames"))


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "x"):
        with pytest.raises(FramebusError, match=str(path)):
            PictureFolder(path, Tally("frames"))


def test_detections_are_lines_of_json_and_nothing_else_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = Tally("detections")
    headers = (("ce_type", DETECTIONS_TYPE.encode()),)
    lines = DetectionLines(tmp_path / "new.jsonl", tally)
    lines.take(record(b'{"id":\n 1}', headers=headers))
    lines.take(record(b'{"id": 2}'))
    lines.take(record(b'{"id":', headers=headers, partition=1, offset=7))
    lines.finish()
    lines.close()

    assert (tmp_path / "new.jsonl").read_text() == '{"id":1}\n'
    assert (tally.replayed, tally.refused) == (1, 2)
    assert "frames/1/7 is not replayed: it is no detection message" in capsys.readouterr().err
    with pytest.raises(FramebusError, match="is there already; name a new file"):
        DetectionLines(tmp_path / "new.jsonl", tally)
