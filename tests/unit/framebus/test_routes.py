from pathlib import Path

import pytest

from framebus.bus import TopicSpec
from framebus.bus.memory import MemoryBus
from framebus.environment import load_settings
from framebus.errors import SettingsError, TopicMissingError
from framebus.routes import Route, Routes, ensure_consumer_topics, group_id, load_routes
from framebus.settings import KafkaSettings, TopicSettings

TOPICS = TopicSettings(partitions=6)


def routes(*given: tuple[str, list[str]]) -> Routes:
    return Routes([Route(topic=topic, models=models) for topic, models in given], TOPICS)


def test_without_routes_every_frame_goes_through_the_consumers_model() -> None:
    default, named = load_routes(load_settings()), load_routes(load_settings(consumer={"model": "ssd"}))

    assert (default.topics, default.models) == (["frames"], ["pedestrian"])
    assert named.models == ["ssd"]
    assert named.match("frames") == Route(topic="frames", models=["ssd"], freshness="all")
    assert named.match("elsewhere") is None


YAML = """
routes:
  - {topic: frames, models: [a, b]}
  - topic: ^yard\\.[0-9]+
    models: [b]
    freshness: latest
    max_frame_age_ms: 500
"""
JSON = """[
  {"topic": "frames", "models": ["a", "b"]},
  {"topic": "^yard\\\\.[0-9]+", "models": ["b"], "freshness": "latest", "max_frame_age_ms": 500}
]"""


@pytest.mark.parametrize("form", ["file", "variable"])
def test_a_file_and_a_variable_have_one_schema(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(YAML)
    monkeypatch.setenv(
        *{"file": ("FRAMEBUS_ROUTES_FILE", str(file)), "variable": ("FRAMEBUS_ROUTES", JSON)}[form]
    )

    loaded = load_routes(load_settings())

    assert loaded.models == ["a", "b"]
    assert loaded.match("yard.7") == Route(
        topic=r"^yard\.[0-9]+", models=["b"], freshness="latest", max_frame_age_ms=500
    )


ROUTE = "routes: [{topic: frames, models: [a], %s}]"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("routes: []", "write a list of routes under the key 'routes'"),
        ("- topic: frames", "write a list of routes under the key 'routes'"),
        ("routes: [frames]", "route 1: write its topic and models as keys"),
        ("routes: [{topic: frames}]", "route 'frames': models: Field required"),
        ("routes: [{topic: frames, models: a}]", "route 'frames': models: Input should be a valid list"),
        ("routes: [{topic: frames, models: []}]", "route 'frames': models: List should have at least 1 item"),
        ("routes: [{topic: frames, models: [a, a]}]", "route 'frames': models: a model is there twice"),
        ("routes: [{topic: frames, models: [../a]}]", "route 'frames': models: String should match pattern"),
        ("routes: [{topic: frames/*, models: [a]}]", "a regular expression begins with ^"),
        ("routes: [{topic: '^(', models: [a]}]", "topic: not a regular expression: missing )"),
        (ROUTE % "freshness: newest", "route 'frames': freshness: Input should be 'all' or 'latest'"),
        (ROUTE % "max_frame_age_ms: 0", "max_frame_age_ms: Input should be greater than or equal to 1"),
        (ROUTE % "max_age_ms: 5", "max_age_ms: no such key; did you mean max_frame_age_ms?"),
        (
            "routes: [{topic: frames, models: [a]}, {topic: frames, models: [b]}]",
            "topic frames is there twice; name all its models in one route",
        ),
        (
            "routes: [{topic: frames.dead, models: [a]}]",
            "topic frames.dead is one that framebus publishes to",
        ),
        ("routes: [{topic: detections.a, models: [a]}]", "detections.a is one that framebus publishes to"),
    ],
)
def test_wrong_routes_are_refused_with_file_route_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(text)

    with pytest.raises(SettingsError) as refused:
        load_routes(load_settings(routes_file=file))

    assert str(file) in str(refused.value)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("frames", "FRAMEBUS_ROUTES is no JSON list of routes"),
        ("[]", "FRAMEBUS_ROUTES is no JSON list of routes (List should have at least 1 item"),
        ('{"topic": "frames"}', "FRAMEBUS_ROUTES is no JSON list of routes"),
        (
            '[{"topic": "frames", "models": []}]',
            "FRAMEBUS_ROUTES: route 1: models: List should have at least 1",
        ),
        (
            '[{"topic": "a", "models": ["x"]}, {"topic": "b", "model": "x"}]',
            "FRAMEBUS_ROUTES: route 2: model: no such key; did you mean models?",
        ),
    ],
)
def test_a_wrong_variable_is_refused_with_route_and_key(
    monkeypatch: pytest.MonkeyPatch, value: str, complaint: str
) -> None:
    monkeypatch.setenv("FRAMEBUS_ROUTES", value)

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert complaint in str(refused.value)


def test_routes_are_given_once(tmp_path: Path) -> None:
    both = load_settings(routes=[{"topic": "frames", "models": ["a"]}], consumer={"model": "b"})

    with pytest.raises(SettingsError, match=r"FRAMEBUS_ROUTES and FRAMEBUS_CONSUMER__MODEL .* keep one"):
        load_routes(both)


def test_a_named_topic_wins_over_a_regular_expression_and_of_those_the_first() -> None:
    found = routes(("^yard-.*", ["a"]), ("yard-1", ["b"]), ("^yard.*", ["c"]))

    assert [
        route.models if (route := found.match(topic)) else None for topic in ("yard-1", "yard-2", "yard")
    ] == [
        ["b"],
        ["a"],
        ["c"],
    ]
    assert found.topics_of("a", ["yard-1", "yard-2", "yard", "other"]) == ["yard-2"]
    assert found.topics_of("b", []) == ["yard-1"]


def test_a_regular_expression_matches_whole_names_and_nothing_that_framebus_publishes() -> None:
    existing = ["frames", "frames.dead", "frames-2", "my-frames", "detections.a", "__consumer_offsets"]

    assert routes(("^frames", ["a"])).topics_of("a", existing) == ["frames"]
    assert routes(("^.*", ["a"])).topics_of("a", existing) == ["frames", "frames-2", "my-frames"]


def test_each_model_has_a_group_of_its_own() -> None:
    assert group_id(KafkaSettings(group_id="plant-7"), "ssd") == "plant-7.ssd"


def frames_topic(name: str, partitions: int) -> TopicSpec:
    return TopicSpec(name, partitions, 1, {})


def test_a_consumer_creates_what_it_publishes_to_as_wide_as_the_frames() -> None:
    bus = MemoryBus()
    bus.create_topics([frames_topic("day", 4), frames_topic("night", 2)])

    ensure_consumer_topics(bus, routes(("day", ["a"]), ("night", ["a", "b"]), ("^none", ["c"])), TOPICS)

    assert bus.partition_counts() == {
        "day": 4,
        "night": 2,
        "detections.a": 4,
        "detections.b": 2,
        "detections.c": 6,
        "frames.dead": 6,
    }


def test_topics_that_exist_stay_as_they_are() -> None:
    bus = MemoryBus()
    bus.create_topics([frames_topic("frames", 4), TopicSpec("detections.a", 2, 1, {})])

    ensure_consumer_topics(bus, routes(("frames", ["a"])), TOPICS)
    ensure_consumer_topics(bus, routes(("frames", ["a"])), TOPICS)

    assert bus.partition_counts() == {"frames": 4, "frames.dead": 4, "detections.a": 2}


def test_without_the_topics_of_frames_nothing_is_created_and_the_remedy_is_told() -> None:
    bus = MemoryBus()
    bus.create_topics([frames_topic("day", 4)])

    with pytest.raises(
        TopicMissingError, match=r"topic night does not exist.*`framebus topics create --topic night`"
    ):
        ensure_consumer_topics(bus, routes(("day", ["a"]), ("night", ["a"])), TOPICS)

    assert bus.partition_counts() == {"day": 4}
