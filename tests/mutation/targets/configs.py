"""Configurations of models: `read_model_config`."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from framebus.errors import ModelError
from framebus.model_config import read_model_config
from tests.mutation.changes import change
from tests.mutation.targets import Input

REFUSALS = (ModelError,)
MOST_BYTES = 2**28

_SOUND: tuple[dict[str, Any], ...] = (
    {"inference_engine_name": "tensorflow_detection", "confidence": 60, "predictions": 15},
    {
        "inference_engine_name": "größe",
        "confidence": 62.5,
        "predictions": 2**31 - 1,
        "number_of_classes": 90,
        "framework": "tensorflow",
        "type": "detection",
        "network": "ssd",
        "precision": "bf16",
        "site": {"name": "north", "cameras": [1, 2, None]},
    },
)
_VALUES = (
    *("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "-0", "0", "100", "100.0000001"),
    *("1.0", "15.5", "01", "+1", ".5", "1.", "true", "null", "[]", "{}", "//", '""', '"60"'),
    *(r'"\ud800"', r'"\u0000"', '"\u202e"', "'a'", r'"\x41"', '"\n"', '"' + "x" * 100_000 + '"'),
    *("1" + "0" * 400, "1" * 5_000, "-" + "9" * 20, str(2**63), "[" * 100_000),
    *("[" * 1_000 + "]" * 1_000, '{"a":' * 200 + "1" + "}" * 200),
)
_ENCODINGS = ("utf-8-sig", "utf-16", "utf-32", "latin-1")


def make(random: Random) -> Input:
    kind = random.choice((*_KINDS, "bytes changed", "bytes changed"))
    if kind == "bytes changed":
        kind, data = change(json.dumps(random.choice(_SOUND), ensure_ascii=False).encode(), random)
        return Input(kind, data)
    return Input(kind, _KINDS[kind](random).encode("utf-8", "surrogatepass"))


def read(content: bytes, folder: Path) -> object:
    (folder / "config.json").write_bytes(content)
    config = read_model_config(folder)
    assert config.inference_engine_name
    assert math.isfinite(config.confidence)
    assert 0 <= config.confidence <= 100
    assert 1 <= config.predictions < 2**31
    assert config.precision in (None, "f32", "bf16")
    return repr(config)


def _written(values: dict[str, Any], **replaced: str) -> str:
    """JSON of these values, some of them replaced by text that need not be JSON at all."""
    members = [f"{json.dumps(key)}: {replaced.get(key, json.dumps(value))}" for key, value in values.items()]
    return "{" + ", ".join(members) + "}"


def _value(random: Random) -> str:
    values = random.choice(_SOUND)
    return _written(values, **{random.choice(list(values)): random.choice(_VALUES)})


def _member(random: Random) -> str:
    """One more, of a new name or of one that is there already."""
    values = random.choice(_SOUND)
    name = random.choice((*values, "", "\0", "__class__", "model_config", "x" * 10_000))
    member = f"{json.dumps(name)}: {random.choice(_VALUES)}"
    return _written(values)[:-1] + f", {member}}}"


def _missing(random: Random) -> str:
    values = dict(random.choice(_SOUND))
    del values[random.choice(list(values))]
    return _written(values)


def _another_encoding(random: Random) -> str:
    data = _written(random.choice(_SOUND)).encode(random.choice(_ENCODINGS))
    return data.decode("utf-8", "surrogateescape")


def _no_object(random: Random) -> str:
    return random.choice(_VALUES)


_KINDS: dict[str, Callable[[Random], str]] = {
    "another value": _value,
    "one more member": _member,
    "member missing": _missing,
    "another encoding": _another_encoding,
    "no object": _no_object,
}
