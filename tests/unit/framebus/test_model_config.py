import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.errors import ModelError
from framebus.model_config import config_stamp, read_model_config

VALID: dict[str, Any] = {"inference_engine_name": "tensorflow_detection", "confidence": 60, "predictions": 15}


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("model_config")


@pytest.mark.parametrize("name", ["config.json", "Config.json"])
def test_reads_either_file_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(json.dumps(VALID))
    config = read_model_config(tmp_path)
    assert (config.inference_engine_name, config.confidence, config.predictions) == (
        "tensorflow_detection",
        60,
        15,
    )
    assert config.network is None


def test_keeps_keys_that_it_does_not_know(tmp_path: Path) -> None:
    written = VALID | {"network": "ssd", "number_of_classes": 90, "site": {"name": "north"}}
    (tmp_path / "config.json").write_text(json.dumps(written))
    assert read_model_config(tmp_path).model_dump(exclude_none=True) == written


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_reads_what_a_model_is_to_be_computed_in(tmp_path: Path, precision: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(VALID | {"precision": precision}))
    assert read_model_config(tmp_path).precision == precision


def test_reads_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(VALID), encoding="utf-8-sig")
    assert read_model_config(tmp_path).predictions == 15


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"inference_engine_name": ...}, "inference_engine_name: Field required"),
        ({"confidence": ...}, "confidence: Field required"),
        ({"predictions": ...}, "predictions: Field required"),
        ({"inference_engine_name": ""}, "inference_engine_name: String should have at least 1 character"),
        ({"inference_engine_name": 3}, "inference_engine_name: Input should be a valid string"),
        ({"confidence": -0.1}, "confidence: Input should be greater than or equal to 0"),
        ({"confidence": 100.1}, "confidence: Input should be less than or equal to 100"),
        ({"confidence": "60"}, "confidence: Input should be a valid number"),
        ({"confidence": True}, "confidence: Input should be a valid number"),
        ({"confidence": float("nan")}, "confidence: Input should be a finite number"),
        ({"predictions": 0}, "predictions: Input should be greater than or equal to 1"),
        ({"predictions": 2**31}, "predictions: Input should be less than 2147483648"),
        ({"predictions": 1.5}, "predictions: Input should be a valid integer"),
        ({"predictions": True}, "predictions: Input should be a valid integer"),
        ({"predictions": None}, "predictions: Input should be a valid integer"),
        ({"precision": "f16"}, "precision: Input should be 'f32' or 'bf16'"),
        ({"precision": "BF16"}, "precision: Input should be 'f32' or 'bf16'"),
        ({"number_of_classes": 0}, "number_of_classes: Input should be greater than or equal to 1"),
        ({"network": ["ssd"]}, "network: Input should be a valid string"),
    ],
)
def test_names_each_key_that_is_wrong_and_what_it_should_be(
    tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    written = {key: value for key, value in (VALID | change).items() if value is not ...}
    (tmp_path / "config.json").write_text(json.dumps(written))
    with pytest.raises(ModelError) as raised:
        read_model_config(tmp_path)
    message = str(raised.value)
    assert message.startswith(f"Invalid model configuration: {tmp_path / 'config.json'}: ")
    assert why in message
    assert 'write e.g. {"inference_engine_name"' in message


def test_names_all_wrong_keys_at_once(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(VALID | {"confidence": 200, "predictions": 0}))
    with pytest.raises(ModelError, match=r"confidence: .*; predictions: .*"):
        read_model_config(tmp_path)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "Invalid JSON: EOF while parsing a value at line 1 column 0"),
        (b'{"confidence": 60,\n}', "at line 2 column 1"),
        (b"confidence: 60", "Invalid JSON: expected value at line 1 column 1"),
        (b"[60]", "Input should be an object"),
        (b"null", "Input should be an object"),
        (b'{"network": "caf\xe9"}', "not UTF-8 at byte 16; save it as UTF-8"),
        (b"[" * 100_000, "recursion limit"),
    ],
)
def test_refuses_what_is_no_json_object(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "config.json").write_bytes(data)
    with pytest.raises(ModelError) as raised:
        read_model_config(tmp_path)
    message = str(raised.value)
    assert message.startswith(f"Invalid model configuration: {tmp_path / 'config.json'}: ")
    assert why in message


def test_says_that_the_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"Invalid model configuration: .*config\.json: missing; write e\.g\. {"
    ):
        read_model_config(tmp_path)


def test_two_files_are_one_too_many(tmp_path: Path) -> None:
    for name in ("config.json", "Config.json"):
        (tmp_path / name).write_text(json.dumps(VALID))
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system takes both names for one file")
    with pytest.raises(
        ModelError, match=r"Invalid model configuration: .* both Config\.json and config\.json; keep one"
    ):
        read_model_config(tmp_path)


def test_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ModelError, match=r"config\.json: Is a directory; make it a readable file"):
        read_model_config(tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
objects = st.dictionaries(st.sampled_from([*VALID, "number_of_classes", "type", "site"]), json_values)


@given(
    data=st.binary()
    | (objects | objects.map(lambda keys: VALID | keys)).map(lambda keys: json.dumps(keys).encode())
)
def test_any_bytes_are_a_config_or_a_model_error(scratch: Path, data: bytes) -> None:
    (scratch / "config.json").write_bytes(data)
    try:
        config = read_model_config(scratch)
    except ModelError:
        return
    assert 0 <= config.confidence <= 100
    assert config.predictions >= 1
    assert config.inference_engine_name


def test_the_stamp_of_a_config_changes_whenever_the_file_does(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    stamps = [config_stamp(tmp_path)]
    path.write_text(json.dumps(VALID))
    stamps.append(config_stamp(tmp_path))
    path.write_text(json.dumps(VALID | {"confidence": 61.5}))
    stamps.append(config_stamp(tmp_path))
    os.utime(path, ns=(0, 12_345))  # of the same size, and written at another time
    stamps.append(config_stamp(tmp_path))
    new = tmp_path / "config.json.new"  # as many editors save
    new.write_bytes(path.read_bytes())
    os.utime(new, ns=(0, 12_345))
    new.replace(path)
    stamps.append(config_stamp(tmp_path))
    path.rename(tmp_path / "Config.json")
    (tmp_path / "config.json").write_text("{}")
    stamps.append(config_stamp(tmp_path))

    assert len(set(stamps)) == len(stamps)


def test_the_stamp_of_a_config_that_nobody_touched_stays(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(VALID))
    before = config_stamp(tmp_path)
    (tmp_path / "frozen_inference_graph.pb").write_bytes(b"graph")
    read_model_config(tmp_path)

    assert config_stamp(tmp_path) == before


def test_a_folder_that_is_gone_has_a_stamp_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(VALID))
    before = config_stamp(folder)
    (folder / "config.json").unlink()
    folder.rmdir()

    assert config_stamp(folder) not in (None, before)
