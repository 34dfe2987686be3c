import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.bus import OutgoingRecord, Partition, Record
from framebus.control import (
    CameraStatus,
    DesiredState,
    LoadCommand,
    ModelStatus,
    Overrides,
    WorkerStatus,
    farewell_record,
    load_record,
    overrides_record,
    read_status,
    status_record,
)
from framebus.detections import Thresholds
from framebus.errors import ControlRecordError

NOW = datetime(2026, 1, 31, 12, 0, 0, 250_000, UTC)
STATUS = WorkerStatus(
    worker="gpu-1-7f3a",
    address="http://10.0.0.7:9101",
    started_at=NOW,
    is_ready=True,
    waiting_predictions=3,
    models=(
        ModelStatus(
            name="ssd",
            state="loaded",
            version="0123456789ab",
            generation=4,
            error="Model not found: ssd",
            is_routed=True,
            config={"confidence": 60.5, "predictions": 15, "site": {"name": "Größe"}},
            overridden=("confidence",),
            config_error="Invalid model configuration: ...",
            device="CPU",
            engine="tensorflow_detection",
            precision="bf16",
            fallback="the graph cannot be cut: …",
            batch_fill=0.75,
            lag_frames=12,
        ),
        ModelStatus(name="coco", state="loading"),
    ),
    cameras=(
        CameraStatus(camera="Tür 1", model="ssd", frames_per_s=9.5, dropped_per_s=0.5, last_frame_at=NOW),
    ),
)


def as_read(record: OutgoingRecord, offset: int = 7) -> Record:
    """A record as a reader gets it."""
    return Record(Partition(record.topic, 0), offset, 0, record.key, record.value or b"")


def command(key: bytes | None, value: bytes = b"") -> Record:
    return as_read(OutgoingRecord("commands", key, value))


def state(*records: OutgoingRecord) -> DesiredState:
    desired = DesiredState()
    for record in records:
        desired.apply(as_read(record))
    return desired


def test_nothing_is_desired_of_a_model_that_nobody_asked_for() -> None:
    assert DesiredState().load("ssd") == LoadCommand(loaded=False, generation=0)


def test_what_is_desired_of_a_model_is_what_was_said_last() -> None:
    desired = state(
        load_record("commands", "ssd", LoadCommand(loaded=True)),
        load_record("commands", "coco", LoadCommand(loaded=True, generation=2)),
        load_record("commands", "ssd", LoadCommand(loaded=False, generation=1)),
        overrides_record("commands", "ssd", Overrides(confidence=70.5)),
        overrides_record("commands", "ssd", Overrides(predictions=3)),
    )

    assert desired.load("ssd") == LoadCommand(loaded=False, generation=1)
    assert desired.load("coco") == LoadCommand(loaded=True, generation=2)
    assert desired.overrides == {"ssd": Overrides(predictions=3)}


def test_what_is_said_of_one_model_stands_under_one_key_so_that_compaction_keeps_the_last() -> None:
    records = [
        load_record("commands", "ssd_v2.1", LoadCommand(loaded=True)),
        load_record("commands", "ssd_v2.1", LoadCommand(loaded=False)),
        overrides_record("commands", "ssd_v2.1", Overrides(confidence=1)),
        overrides_record("commands", "ssd_v2.1", Overrides()),
    ]

    assert [record.key for record in records] == [b"ssd_v2.1/loaded"] * 2 + [b"ssd_v2.1/thresholds"] * 2
    assert {record.topic for record in records} == {"commands"}


def test_overrides_that_say_nothing_are_cleared_by_a_tombstone() -> None:
    record = overrides_record("commands", "ssd", Overrides())
    assert record.value is None

    desired = state(overrides_record("commands", "ssd", Overrides(confidence=70)), record)

    assert desired.overrides == {}


def test_a_tombstone_of_a_load_command_means_that_nothing_is_desired() -> None:
    desired = state(load_record("commands", "ssd", LoadCommand(loaded=True, generation=3)))

    desired.apply(command(b"ssd/loaded"))
    desired.apply(command(b"unheard-of/loaded"))

    assert desired.load("ssd") == LoadCommand(loaded=False, generation=0)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (Overrides(), Thresholds(60, 15)),
        (Overrides(confidence=0), Thresholds(0, 15)),
        (Overrides(predictions=1), Thresholds(60, 1)),
        (Overrides(confidence=99.5, predictions=2), Thresholds(99.5, 2)),
    ],
)
def test_overrides_win_over_config_json_one_by_one(overrides: Overrides, expected: Thresholds) -> None:
    assert overrides.over(Thresholds(60, 15)) == expected


def test_a_copy_stays_as_it_was() -> None:
    desired = state(load_record("commands", "ssd", LoadCommand(loaded=True)))
    copied = desired.copy()

    desired.apply(command(b"ssd/loaded"))
    desired.apply(command(b"ssd/thresholds", b'{"confidence": 5}'))

    assert copied.load("ssd").loaded
    assert copied.overrides == {}


def test_what_a_later_version_says_beyond_this_is_left_out() -> None:
    desired = DesiredState()
    desired.apply(command(b"ssd/loaded", b'{"loaded": true, "generation": 1, "priority": "high"}'))
    assert desired.load("ssd") == LoadCommand(loaded=True, generation=1)

    later = json.loads(STATUS.model_dump_json()) | {"temperature": 50}
    record = command(b"gpu-1-7f3a", json.dumps(later).encode())
    assert read_status(record) == STATUS


@pytest.mark.parametrize(
    "key",
    [
        None,
        b"",
        b"ssd",
        b"ssd/",
        b"ssd/loaded/again",
        b"ssd/unloaded",
        b"/loaded",
        b"a/b/loaded",
        b"..\\ssd/loaded",
        b"../loaded",
        b"./thresholds",
        b"ssd/loaded\n",
        b"m" * 101 + b"/loaded",
        b"\xff\xfe/loaded",
        "größe/loaded".encode(),
    ],
)
def test_a_key_that_framebus_never_wrote_is_refused_with_its_place(key: bytes | None) -> None:
    desired = DesiredState()

    with pytest.raises(ControlRecordError, match=r"record commands/0/7: the key .* is neither"):
        desired.apply(command(key, b'{"loaded": true}'))

    assert desired.loads == {}


def test_a_key_of_great_length_is_not_repeated_whole() -> None:
    with pytest.raises(ControlRecordError) as refused:
        DesiredState().apply(command(b"x" * 1_000_000))

    assert len(str(refused.value)) < 1_000


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        (b"ssd/loaded", b"yes", "the value: Invalid JSON"),
        (b"ssd/loaded", b"[]", "the value: "),
        (b"ssd/loaded", b"null", "the value: "),
        (b"ssd/loaded", b"{}", "loaded: Field required"),
        (b"ssd/loaded", b'{"loaded": null}', "loaded: "),
        (b"ssd/loaded", b'{"loaded": true, "generation": -1}', "generation: "),
        (b"ssd/loaded", b'{"loaded": true, "generation": 1.5}', "generation: "),
        (b"ssd/loaded", b'{"loaded": true}\xff', "the value: "),
        (b"ssd/thresholds", b'{"confidence": 100.5}', "confidence: "),
        (b"ssd/thresholds", b'{"confidence": -0.5}', "confidence: "),
        (b"ssd/thresholds", b'{"confidence": NaN}', "confidence: "),
        (b"ssd/thresholds", b'{"predictions": 0}', "predictions: "),
        (b"ssd/thresholds", b'{"predictions": 2147483648}', "predictions: "),
        (b"ssd/thresholds", b"[" * 100_000, "the value: Invalid JSON"),
    ],
)
def test_a_value_that_framebus_never_wrote_is_refused_and_changes_nothing(
    key: bytes, value: bytes, why: str
) -> None:
    desired = state(
        load_record("commands", "ssd", LoadCommand(loaded=True, generation=2)),
        overrides_record("commands", "ssd", Overrides(confidence=70)),
    )

    with pytest.raises(ControlRecordError) as refused:
        desired.apply(command(key, value))

    assert str(refused.value).startswith(f"record commands/0/7: {why}")
    assert desired.load("ssd") == LoadCommand(loaded=True, generation=2)
    assert desired.overrides == {"ssd": Overrides(confidence=70)}


names = st.from_regex(r"[A-Za-z0-9._-]{1,100}", fullmatch=True).filter(lambda name: name not in (".", ".."))


@given(
    model=names,
    load=st.builds(LoadCommand, loaded=st.booleans(), generation=st.integers(0, 10**20)),
    overrides=st.builds(
        Overrides,
        confidence=st.none() | st.floats(0, 100),
        predictions=st.none() | st.integers(1, 2**31 - 1),
    ),
)
def test_whatever_is_written_is_read_back(model: str, load: LoadCommand, overrides: Overrides) -> None:
    desired = state(load_record("t", model, load), overrides_record("t", model, overrides))

    assert desired.load(model) == load
    assert desired.overrides.get(model, Overrides()) == overrides


values = st.binary() | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["loaded", "confidence", "x"]), inner),
    max_leaves=5,
).map(lambda value: json.dumps(value).encode())


@given(key=st.none() | st.binary() | st.sampled_from([b"ssd/loaded", b"ssd/thresholds"]), value=values)
def test_any_record_is_a_command_or_a_control_record_error(key: bytes | None, value: bytes) -> None:
    desired = state(load_record("commands", "ssd", LoadCommand(loaded=True)))
    before = desired.copy()
    try:
        desired.apply(command(key, value))
    except ControlRecordError:
        assert (desired.loads, desired.overrides) == (before.loads, before.overrides)
    assert set(desired.loads) <= {"ssd"}


def test_a_beat_is_read_back_as_it_was_said() -> None:
    record = status_record("workers", STATUS)

    assert (record.topic, record.key) == ("workers", b"gpu-1-7f3a")
    assert read_status(as_read(record)) == STATUS
    assert STATUS.model("coco") == ModelStatus(name="coco", state="loading")
    assert STATUS.model("ssdlite") is None


def test_times_are_told_with_their_time_zone() -> None:
    value = status_record("workers", STATUS).value
    assert value is not None

    assert json.loads(value)["started_at"].endswith("Z")
    assert read_status(as_read(status_record("workers", STATUS))).started_at.tzinfo is not None


def test_a_config_with_numbers_that_json_lacks_spoils_no_beat() -> None:
    config = {"confidence": 60.0, "site": {"height": float("nan"), "reach": float("inf")}}
    model = ModelStatus(name="ssd", state="loaded", config=config)
    status = STATUS.model_copy(update={"models": (model,)})

    read = read_status(as_read(status_record("workers", status)))

    assert read.models[0].config == {"confidence": 60.0, "site": {"height": None, "reach": None}}


def test_the_last_word_of_a_worker_is_a_tombstone() -> None:
    assert farewell_record("workers", "gpu-1-7f3a") == OutgoingRecord("workers", b"gpu-1-7f3a", None)


def changed(**keys: Any) -> bytes:
    return json.dumps(json.loads(STATUS.model_dump_json()) | keys).encode()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "the value: Invalid JSON"),
        (b"beat", "the value: Invalid JSON"),
        (b"{}", "worker: Field required"),
        (changed(started_at="yesterday"), "started_at: "),
        (changed(models=[{"name": "ssd", "state": "broken"}]), "models.0.state: "),
        (changed(cameras="none"), "cameras: "),
    ],
)
def test_what_is_no_beat_is_refused_with_its_place(value: bytes, why: str) -> None:
    with pytest.raises(ControlRecordError) as refused:
        read_status(command(b"gpu-1-7f3a", value))

    assert str(refused.value).startswith(f"record commands/0/7: {why}")


@given(value=values)
def test_any_value_is_a_beat_or_a_control_record_error(value: bytes) -> None:
    with pytest.raises(ControlRecordError):
        read_status(command(b"gpu-1-7f3a", value))
