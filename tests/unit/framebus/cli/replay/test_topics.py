import pytest
import typer
from typer.testing import CliRunner

from framebus.cli import app
from framebus.cli.replay.topics import check_target, source_topics
from framebus.environment import load_settings


@pytest.mark.parametrize(
    ("topic", "hint"),
    [
        ("frames.dead", "dead replay"),
        ("detections.ssd", "write --model ssd"),
        ("framebus.commands", "is no topic of frames"),
        ("__consumer_offsets", "is no topic of frames"),
    ],
)
def test_only_topics_of_frames_are_read_as_frames(topic: str, hint: str) -> None:
    with pytest.raises(typer.BadParameter, match=hint):
        source_topics(load_settings(), [topic], [])


def test_topics_are_named_as_everywhere() -> None:
    assert source_topics(load_settings(), [], []) == ["frames"]
    assert source_topics(load_settings(), ["north", "south", "north"], []) == ["north", "south"]
    assert source_topics(load_settings(), [], ["ssd", "ssd"]) == ["detections.ssd"]


@pytest.mark.parametrize(
    ("target", "of_frames", "hint"),
    [
        ("frames", True, "--same-topic"),
        ("frames.dead", True, "is no topic of frames"),
        ("detections.ssd", True, "is no topic of frames"),
        ("framebus.workers", True, "is no topic of frames"),
        ("frames", False, "would become dead letters"),
        ("frames.dead", False, "is no topic of detections"),
        ("framebus.workers", False, "is no topic of detections"),
    ],
)
def test_records_go_only_where_they_may_stand(target: str, of_frames: bool, hint: str) -> None:
    sources = ["frames"] if of_frames else ["detections.ssd"]
    with pytest.raises(typer.BadParameter, match=hint):
        check_target(load_settings(), sources, target, of_frames=of_frames, same_topic=False)


@pytest.mark.parametrize(
    ("target", "of_frames"), [("copy", True), ("detections.other", False), ("copy", False)]
)
def test_records_may_go_to_topics_like_their_own(target: str, of_frames: bool) -> None:
    check_target(load_settings(), ["frames"], target, of_frames=of_frames, same_topic=False)
    check_target(load_settings(), ["frames"], "frames", of_frames=True, same_topic=True)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ([], "either --to-topic NAME or --to PATH"),
        (["--to-topic", "copy", "--to", "copy"], "either --to-topic NAME or --to PATH"),
        (["--topic", "frames", "--model", "ssd", "--to", "x"], "give one of them"),
        (["--to", "-"], "--to - is for detections"),
        (["--model", "ssd", "--to", "-", "--json"], "--to - is for detections"),
        (["--to-topic", "frames"], "--same-topic"),
    ],
)
def test_options_that_contradict_are_refused_before_anything_is_asked(options: list[str], hint: str) -> None:
    done = CliRunner(env={"COLUMNS": "400", "TERM": "dumb"}).invoke(app, ["replay", *options])

    assert done.exit_code == 2
    assert hint in done.stderr
