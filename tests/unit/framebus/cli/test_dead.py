import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer
from rich.cells import cell_len
from typer.testing import CliRunner

from framebus.bus import Headers, Partition, Record
from framebus.cli import app
from framebus.cli.dead import listing
from framebus.cli.dead.selection import Selection
from framebus.cli.dead.showing import describe
from framebus.cli.moments import parse_since
from framebus.cli.places import Place, parse_place
from framebus.dead_letters import DeadLetter, decode_dead_letter, encode_dead_letter
from framebus.errors import DeadLetterError, FrameError, UndecodableFrameError
from tests.pictures import jpeg, record

DIED_AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOSTILE = "\x1b]0;owned\x07\ngate\u202e"
SPELT_OUT = r"\x1b]0;owned\x07\ngate\u202e"


def letter(
    camera: str = "gate",
    model: str = "ssd",
    value: bytes = b"no picture",
    *,
    error: FrameError | None = None,
    died_at: datetime = DIED_AT,
    headers: Headers = (),
    max_bytes: int = 100_000,
) -> DeadLetter:
    frame = record(value, key=camera.encode(), headers=headers, partition=3, offset=7)
    error = error or UndecodableFrameError("no picture")
    dead = encode_dead_letter(frame, error, topic="frames.dead", model_name=model, max_bytes=max_bytes)
    died_ms = round(died_at.timestamp() * 1000)
    return decode_dead_letter(
        Record(Partition("frames.dead", 2), 17, died_ms, dead.key, dead.value or b"", dead.headers)
    )


def report(camera: str = "gate", model: str = "ssd", message: str = "no picture") -> dict[str, Any]:
    return {
        "place": "2/17",
        "time": "2026-01-31T12:00:00.000Z",
        "camera": camera,
        "model": model,
        "reason": "undecodable",
        "message": message,
    }


def test_a_reason_that_nothing_dies_of_is_no_reason() -> None:
    done = CliRunner().invoke(app, ["dead", "list", "--reason", "undecodeable"])

    assert done.exit_code == 2
    assert "undecodable" in done.output


@pytest.mark.parametrize(("text", "place"), [("3/17", Place(3, 17)), ("0/0", Place(0, 0))])
def test_a_place_is_read_as_it_is_listed(text: str, place: Place) -> None:
    assert parse_place(text) == place
    assert str(place) == text


@pytest.mark.parametrize(
    "text", ["", "3", "3/", "/17", "-1/0", "3/17/1", "frames.dead/3/17", "٣/1", "3/" + "9" * 19]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no place; write <partition>/<offset>"):
        parse_place(text)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("2h", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
    ],
)
def test_a_time_may_be_given_as_so_long_ago(text: str, ago: timedelta) -> None:
    before = datetime.now(UTC)
    since = parse_since(text)

    assert before <= since + ago <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00Z", "2026-01-31t13:00:00+01:00", "2026-01-31 12:00Z"])
def test_a_time_may_be_given_with_its_zone(text: str) -> None:
    assert parse_since(text) == DIED_AT


@pytest.mark.parametrize(
    "text",
    ["", "10", "m", "-1h", "1w", "2026-01-31T12:00:00", "noon", "999999999d", "0001-01-01T00:00+23:59"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"is no time .*; write 90s, 10m, 2h, 3d or 2026-"):
        parse_since(text)


@pytest.mark.parametrize(
    ("selection", "cameras"),
    [
        (Selection.of(None, None, None, None), ["gate", "yard", HOSTILE]),
        (Selection.of(["ssd"], None, None, None), ["gate", HOSTILE]),
        (Selection.of(["ssd", "plates"], None, None, None), ["gate", "yard", HOSTILE]),
        (Selection.of(None, ["yard"], None, None), ["yard"]),
        (Selection.of(None, [HOSTILE], None, None), [HOSTILE]),
        (Selection.of(None, [SPELT_OUT], None, None), [HOSTILE]),
        (Selection.of(None, None, ["frame_error"], None), [HOSTILE]),
        (Selection.of(None, None, None, DIED_AT), ["gate", HOSTILE]),
        (Selection.of(["ssd"], ["gate"], ["undecodable"], DIED_AT), ["gate"]),
        (Selection.of(["plates"], ["gate"], None, None), []),
    ],
)
def test_what_is_selected_is_what_all_options_name(selection: Selection, cameras: Sequence[str]) -> None:
    letters = [
        letter("gate"),
        letter("yard", "plates", died_at=DIED_AT - timedelta(milliseconds=1)),
        letter(HOSTILE, error=FrameError("odd")),
    ]

    assert [one.camera_id for one in letters if selection.includes(one)] == cameras


def test_a_selection_of_nothing_in_particular_is_told_from_others() -> None:
    assert not Selection.of([], None, None, None)
    assert Selection.of(None, None, None, DIED_AT)
    assert Selection.of(None, None, ["undecodable"], None)


def test_lines_are_aligned_and_say_when_which_camera_which_model_and_why() -> None:
    wide = report("ü 猫", message="first")
    lines = list(listing.as_lines([wide, report("the camera at the gate", "plates", "second")], None))

    assert [re.split(" {2,}", line) for line in lines] == [
        ["2/17", "2026-01-31T12:00:00.000Z", "ü 猫", "ssd", "undecodable", "first"],
        ["2/17", "2026-01-31T12:00:00.000Z", "the camera at the gate", "plates", "undecodable", "second"],
    ]
    assert cell_len(lines[0].removesuffix("first")) == cell_len(lines[1].removesuffix("second"))


def test_a_terminal_gets_a_heading_and_no_longer_lines_than_it_is_wide() -> None:
    heading, line = listing.as_lines([report(message="x" * 1_000)], 80)

    assert heading.split() == ["place", "time", "camera", "model", "reason", "message"]
    assert heading.index("message") == line.index("xxx")
    assert cell_len(line) == 80
    assert line.endswith("x…")
    assert list(listing.as_lines([], 80)) == []


def test_a_pipe_gets_the_message_in_full() -> None:
    [line] = listing.as_lines([report(message="x" * 1_000)], None)

    assert line.endswith("x" * 1_000)


@pytest.mark.parametrize("width", [None, 400])
def test_a_listed_camera_cannot_command_the_terminal(width: int | None) -> None:
    lines = list(listing.as_lines([report(HOSTILE, message=HOSTILE), report("x" * 10_000)], width))

    assert all(map(str.isprintable, lines))
    assert lines[-2].count(SPELT_OUT) == 2
    assert all(len(line) < 200 for line in lines)


def test_json_is_one_line_of_ascii_each() -> None:
    lines = list(listing.as_json([report(HOSTILE), report("\x9b2J")]))

    assert all(line.isascii() and line.isprintable() for line in lines)
    assert [json.loads(line) for line in lines] == [report(HOSTILE), report("\x9b2J")]


def test_a_summary_counts_by_model_and_reason() -> None:
    reports = [report(), report(model="plates"), report()]

    assert listing.summary(reports, 50) == "1 plates undecodable, 2 ssd undecodable"
    assert listing.summary(reports, 3) == "the newest 3 (--count): 1 plates undecodable, 2 ssd undecodable"
    assert listing.summary([], 50) == "no such dead letters"


def described(dead: DeadLetter, missing: DeadLetterError | None = None) -> dict[str, str]:
    lines = list(describe(dead, missing))
    assert all(map(str.isprintable, lines))
    return {name: text for name, _, text in (re.split("( +)", line, maxsplit=1) for line in lines)}


def test_a_dead_letter_is_described_in_full() -> None:
    message = "x" * 900
    dead = letter(value=jpeg(64, 48), error=UndecodableFrameError(message), headers=(("ce_id", b"42"),))

    assert described(dead) == {
        "place": "2/17 of frames.dead",
        "time": "2026-01-31T12:00:00.000Z",
        "model": "ssd",
        "reason": "undecodable",
        "message": message,
        "camera": "gate",
        "frame": "42",
        "source": "frames/3/7",
        "published": "2023-11-14T22:13:20.000Z",
        "key": "gate",
        "picture": f"{len(dead.value):,} bytes, image/jpeg, 64x48 pixels",
        "header": "ce_id: 42",
    }


@pytest.mark.parametrize(
    ("value", "picture"),
    [
        (b"no picture", "10 bytes, not a JPEG, PNG or WebP image: the value starts with 6e 6f 20"),
        (b"", "0 bytes, not a JPEG, PNG or WebP image: the value is empty"),
        (jpeg()[:30], "30 bytes, the image/jpeg header is damaged"),
    ],
)
def test_what_a_picture_is_not_is_told(value: bytes, picture: str) -> None:
    assert described(letter(value=value))["picture"].startswith(picture)


def test_a_picture_that_cannot_be_had_is_told() -> None:
    dead = letter(value=b"v" * 2_000, max_bytes=1_000)

    told = described(dead, DeadLetterError("value left out, and it is gone"))

    assert told["picture"] == "cannot be had: value left out, and it is gone"
    assert told["message"].startswith("no picture (value left out: ")


def test_a_described_dead_letter_cannot_command_the_terminal() -> None:
    headers: Headers = ((HOSTILE, HOSTILE.encode()),)
    told = described(letter(HOSTILE, error=UndecodableFrameError(HOSTILE), headers=headers))

    assert told["camera"] == told["message"] == told["key"] == SPELT_OUT
    assert told["header"] == f"{SPELT_OUT}: {SPELT_OUT}"


def test_headers_are_shown_whatever_they_are() -> None:
    headers: Headers = (("none", None), ("binary", b"\xff\x00"), ("long", b"x" * 10**6))
    lines = [
        line for line in describe(letter(headers=headers, max_bytes=2 * 10**6)) if line.startswith("header")
    ]

    assert [re.split(" {2,}", line)[1] for line in lines[:2]] == ["none: -", r"binary: \xff\x00"]
    assert len(lines[2]) < 5_000


def unwrapped(box: str) -> str:
    """The text of a box that breaks it anywhere."""
    return " ".join(re.sub("[│\\n]", " ", box).split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replay"], "say which: either places"),
        (["replay", "--yes", "3/17", "--model", "ssd"], "say which: either places"),
        (["replay", "--yes", "3/17", "--all"], "say which: either places"),
        (["replay", "--yes", "--all", "--since", "10m"], "say which: either places"),
        (["replay", "--all"], "there is nobody to ask, for this is no terminal; give --yes"),
        (["replay", "--yes", "3-17"], "'3-17' is no place"),
        (["show", "3-17"], "'3-17' is no place"),
        (["list", "--since", "yesterday"], "'yesterday' is no time"),
        (["list", "--count", "0"], "--count"),
    ],
)
def test_wrong_usage_is_told_before_any_broker_is_asked(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["dead", *arguments])

    assert result.exit_code == 2
    assert said in unwrapped(result.output)
