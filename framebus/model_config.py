"""A model's config.json: which engine runs the model, and which detections count."""

from collections.abc import Hashable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framebus.errors import ModelError
from framebus.model_file import open_model_file

FILE_NAMES = ("config.json", "Config.json")
_MAX_BYTES = 2**20
_REMEDY = 'write e.g. {"inference_engine_name": "tensorflow_detection", "confidence": 60, "predictions": 15}'


class ModelConfig(BaseModel):
    """What config.json says. Only a user writes that file; keys that are not known here are kept.

    Attributes:
        inference_engine_name: The engine that runs the model.
        confidence: Lowest score that is kept, in percent (0..100).
        predictions: At most this many detections are kept, best first.
        precision: What the convolutions are computed in, by an engine that has a choice. `bf16` is faster
            where the CPU has AMX, and shifts scores: some detections near the threshold come and go.
            None: f32.
        number_of_classes: For the reader; the graph decides.
        framework: For the reader, e.g. `tensorflow`.
        type: For the reader, e.g. `detection`.
        network: For the reader, e.g. `ssdlite_mobilenet_v2`.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    inference_engine_name: str = Field(min_length=1)
    confidence: float = Field(ge=0, le=100)
    predictions: int = Field(ge=1, lt=2**31)
    precision: Literal["f32", "bf16"] | None = None
    number_of_classes: int | None = Field(None, ge=1)
    framework: str | None = None
    type: str | None = None
    network: str | None = None


def read_model_config(folder: Path) -> ModelConfig:
    """Reads the configuration of the model in a folder: one JSON object, UTF-8.

    Raises:
        ModelError: `Invalid model configuration: ...`, with the file, each wrong key and what it should be.
    """
    path = _config_file(folder)
    try:
        with open_model_file(path, _MAX_BYTES) as file:
            return ModelConfig.model_validate_json(file.read().decode("utf-8-sig"))
    except OSError as error:
        raise _invalid(path, f"{error.strerror}; make it a readable file") from error
    except UnicodeDecodeError as error:
        raise _invalid(path, f"not UTF-8 at byte {error.start}; save it as UTF-8 text") from error
    except ValidationError as error:
        problems = [": ".join([*map(str, problem["loc"]), problem["msg"]]) for problem in error.errors()]
        raise _invalid(path, f"{'; '.join(problems)}; {_REMEDY}") from error


def config_stamp(folder: Path) -> Hashable:
    """Tells one state of a model's config.json from another, without reading it."""
    try:
        files = [path.stat() for name in FILE_NAMES if (path := folder / name).is_file()]
    except OSError:
        return None
    return tuple((file.st_ino, file.st_mtime_ns, file.st_size) for file in files)


def _config_file(folder: Path) -> Path:
    # By listing: where case does not count, both names would open the one file.
    there = sorted({path.name for path in folder.iterdir()} & set(FILE_NAMES))
    if not there:
        raise _invalid(folder / FILE_NAMES[0], f"missing; {_REMEDY}")
    if len(there) > 1:
        raise _invalid(folder, f"both {' and '.join(there)}; keep one")
    return folder / there[0]


def _invalid(path: Path, why: str) -> ModelError:
    # In the words that clients of the REST API match on.
    return ModelError(f"Invalid model configuration: {path}: {why}")
