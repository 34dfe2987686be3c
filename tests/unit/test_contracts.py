"""The contract for machines is sound, and says what the code does; no bus is needed for that."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema_rs import meta

from framebus import wire
from framebus.bus import OutgoingRecord
from framebus.dead_letters import encode_dead_letter
from framebus.detections import Detections, Thresholds
from framebus.errors import FrameError, UndecodableFrameError
from framebus.frames import EncodedFrame, FramePosition, TraceContext
from framebus.settings import TopicSettings
from framebus.topics import control_topic_specs, detections_topic, topic_specs
from tests.contracts import (
    DOCS,
    DOCUMENT,
    DOCUMENT_FILE,
    SCHEMA_FILES,
    Message,
    MessageContract,
    Schema,
    contracts_of,
    leaves,
    message_of,
    references,
    resolve,
    with_wrong_type,
    without,
)
from tests.pictures import record
from tests.tools import control_schemas

WIRE_FORMAT = (DOCS / "wire-format.md").read_text(encoding="utf-8")
MESSAGES = sorted(DOCUMENT["components"]["messages"])
TRACE = TraceContext("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=1")
FRAME = EncodedFrame(
    camera_id="gate/7 ü",
    frame_id="frame-1",
    captured_at=datetime(2026, 1, 31, 12, 0, 0, 250_000, UTC),
    data=b"picture",
    position=FramePosition("frames", 3, 123),
    model="ssd",
    sequence="17",
    trace=TRACE,
)


def detections_record() -> OutgoingRecord:
    found = Detections(
        np.array([[10, 20, 110, 220]], np.float32),
        np.array([1], np.float32),
        np.array([7], np.int32),
        1920,
        1080,
    )
    in_force = wire.ModelInForce("ssd", "5d65b4b62ec0", Thresholds(60, 15), {})
    return wire.encode_detections(FRAME, found, in_force, wire.Timing(4.1, 2, 13.9, 0, 8))


def dead_letter_record(max_bytes: int = 2**20) -> OutgoingRecord:
    return encode_dead_letter(
        record(b"no picture " * 100, headers=(("ce_time", b"\xff" * 1_000),)),
        UndecodableFrameError("the picture is cut off"),
        topic="frames.dead",
        model_name="ssd",
        max_bytes=max_bytes,
    )


WRITTEN = {
    "frame": wire.encode_frame(FRAME, "frames"),
    "detections": detections_record(),
    "deadLetter": dead_letter_record(max_bytes=2_000),
}


def as_message(name: str) -> Message:
    written = WRITTEN[name]
    return message_of(written.key, written.value, written.headers, is_json=name == "detections")


def examples_of(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = DOCUMENT["components"]["messages"][name].get("examples", [])
    return found


def described_schemas(node: Any) -> list[dict[str, Any]]:
    """A schema and all that are in it, if they have examples."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    inside = [schema for child in children for schema in described_schemas(child)]
    return [node, *inside] if isinstance(node, dict) and isinstance(node.get("examples"), list) else inside


def test_the_schemas_of_control_are_those_of_its_classes() -> None:
    for file, text in control_schemas.render().items():
        assert file.read_text(encoding="utf-8") == text, (
            f"write it again: python -m {control_schemas.__name__}"
        )


@pytest.mark.parametrize("file", SCHEMA_FILES, ids=lambda file: file.name)
def test_a_schema_is_one_and_its_examples_obey_it(file: Path) -> None:
    schema = json.loads(file.read_text(encoding="utf-8"))

    meta.validate(schema)
    assert schema["examples"]
    definitions = {"$defs": schema.get("$defs", {})}
    for described in described_schemas(schema):
        for example in described["examples"]:
            assert Schema({**definitions, **described}).problems(example) == []


@pytest.mark.parametrize("file", SCHEMA_FILES, ids=lambda file: file.name)
def test_every_field_is_described(file: Path) -> None:
    def undescribed(node: Any, where: str) -> list[str]:
        if not isinstance(node, dict):
            return []
        fields = node.get("properties", {})
        lacking = [f"{where}.{name}" for name, field in fields.items() if not field.get("description")]
        # What is written beyond a description tells of the same fields again.
        children = {name: child for name, child in node.items() if name != "written"}
        return lacking + [
            one for name, child in children.items() for one in undescribed(child, f"{where}.{name}")
        ]

    assert undescribed(json.loads(file.read_text(encoding="utf-8")), file.name) == []


def test_every_reference_leads_somewhere_and_every_schema_is_referred_to() -> None:
    nodes = list(references(DOCUMENT))
    for node in nodes:
        assert resolve(node)

    files = {node["$ref"].partition("#")[0] for node in nodes} - {""}
    assert {(DOCUMENT_FILE.parent / file).name for file in files} == {file.name for file in SCHEMA_FILES}


@pytest.mark.parametrize("name", MESSAGES)
def test_the_examples_of_a_message_obey_its_schemas_and_no_other_messages(name: str) -> None:
    channel = next(
        channel
        for channel in DOCUMENT["channels"]
        if name in [contract.name for contract in contracts_of(channel)]
    )
    key = resolve(DOCUMENT["components"]["messages"][name]["bindings"]["kafka"]["key"])["examples"][0]
    is_binary = DOCUMENT["components"]["messages"][name].get("contentType") == "image/jpeg"
    for example in examples_of(name):
        payload = example.get("payload", "\xff\xd8" if is_binary else None)
        message = Message(key, example.get("headers", {}), payload)

        fitting = [one.name for one in contracts_of(channel, strict=True) if one.problems(message) == []]
        assert fitting == [name], MessageContract(name, strict=True).problems(message)


def test_channels_are_the_topics_as_framebus_creates_them() -> None:
    settings = TopicSettings()
    specs = [*topic_specs(settings, "{model}"), *control_topic_specs(settings)]

    described = {}
    for channel in DOCUMENT["channels"].values():
        binding = channel["bindings"]["kafka"]
        assert binding.get("topic", channel["address"]) == channel["address"]
        described[channel["address"]] = (binding["partitions"], binding["topicConfiguration"])
    assert described == {
        spec.name: (
            spec.partitions,
            {
                name: [value] if name == "cleanup.policy" else int(value)
                for name, value in spec.config.items()
            },
        )
        for spec in specs
    }
    assert detections_topic("{model}") in described


@pytest.mark.parametrize("name", WRITTEN)
def test_each_header_that_is_written_is_described_to_people_and_machines(name: str) -> None:
    contract = MessageContract(name, strict=True)
    described = resolve(contract.document["headers"])["properties"]
    headers = [header for header, _ in WRITTEN[name].headers]
    ours = [header for header in headers if name != "deadLetter" or header.startswith("fb_")]

    assert set(ours) == set(described)
    for header in ours:
        assert f"`{header}`" in WIRE_FORMAT or f"`{header}: " in WIRE_FORMAT
    assert contract.problems(as_message(name)) == []


def test_each_reason_of_death_is_described_to_people_and_machines() -> None:
    reasons = {kind.reason for kind in FrameError.__subclasses__()}
    schema = resolve(DOCUMENT["components"]["messages"]["deadLetter"]["headers"])

    assert set(schema["properties"]["fb_error"]["enum"]) == reasons
    assert [reason for reason in sorted(reasons) if f"`{reason}`" not in WIRE_FORMAT] == []


def test_the_forms_of_a_dead_letter_that_is_too_large_are_described() -> None:
    contract = MessageContract("deadLetter", strict=True)
    seen = []
    for max_bytes in (2_000, 800, 1):
        letter = dead_letter_record(max_bytes)
        message = message_of(letter.key, letter.value, letter.headers, is_json=False)
        assert contract.problems(message) == []
        seen.append(message.headers["fb_left_out"])
    schema = resolve(contract.document["headers"])

    assert seen == schema["properties"]["fb_left_out"]["enum"]


def test_the_page_for_people_shows_what_the_schema_describes() -> None:
    [text] = re.findall(r"^(\{\"version\": .*?\}\})$", WIRE_FORMAT, re.MULTILINE | re.DOTALL)

    shown = Message(None, as_message("detections").headers, json.loads(text))
    assert MessageContract("detections", strict=True).problems(shown) == []
    assert DOCUMENT["info"]["version"].startswith(f"{wire.SCHEMA_VERSION}.")


def test_detections_of_a_later_version_are_still_valid() -> None:
    message = as_message("detections")
    later = {**message.payload, "version": "1.7", "tracks": []}
    later["objects"] = [{**found, "track": 7} for found in later["objects"]]

    assert MessageContract("detections").problems(Message(message.key, message.headers, later)) == []
    assert MessageContract("detections", strict=True).problems(Message(message.key, message.headers, later))


def test_detections_that_lack_a_field_or_have_a_wrong_one_are_invalid() -> None:
    message, contract = as_message("detections"), MessageContract("detections")
    paths = list(leaves(message.payload))

    assert len(paths) > 30
    for path in paths:
        if not isinstance(path[-1], int):  # an object more or less is no mistake
            lacking = Message(message.key, message.headers, without(message.payload, path))
            assert contract.problems(lacking), f"without {path}"
        wrong = Message(message.key, message.headers, with_wrong_type(message.payload, path))
        assert contract.problems(wrong), f"with a wrong {path}"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timestamp", "2026-01-31T12:00:00.250+01:00"),
        ("timestamp", "2026-13-31T12:00:00.250Z"),
        ("version", "2.0"),
        ("objects.0.confidence", 93.0),
        ("objects.0.bbox.leftX", -1),
        ("model.confidence", 101),
        ("image.width", 0),
        ("timing.totalMs", -0.1),
        ("source.offset", -1),
    ],
)
def test_values_outside_their_range_are_invalid(field: str, value: object) -> None:
    message = as_message("detections")
    holder = message.payload
    *steps, last = field.split(".")
    for step in steps:
        holder = holder[int(step) if step.isdigit() else step]
    holder[last] = value

    assert MessageContract("detections").problems(message)
