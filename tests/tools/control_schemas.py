"""Writes the JSON Schemas of control messages from their classes: python -m tests.tools.control_schemas."""

import inspect
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from framebus.bus import OutgoingRecord
from framebus.control import (
    CameraStatus,
    LoadCommand,
    ModelStatus,
    Overrides,
    WorkerStatus,
    load_record,
    overrides_record,
    status_record,
)

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_LATER = "A later version may add fields: pass over what you do not know."
_COMMAND = "What is desired of a model; the record's key says which of the two kinds it is."
_ATTRIBUTE = re.compile(r"^    (\w+): (.*?)(?=^    \w|\Z)", re.MULTILINE | re.DOTALL)


def render() -> dict[Path, str]:
    """The files, and what is to stand in them."""
    schemas = {"command.schema.json": _command(), "worker-status.schema.json": _worker_status()}
    return {SCHEMAS / name: json.dumps(schema, indent=2) + "\n" for name, schema in schemas.items()}


def _command() -> dict[str, Any]:
    definitions = _definitions(LoadCommand, Overrides)
    return {
        "$schema": _DIALECT,
        "title": "Command",
        "description": f"{_COMMAND} {_LATER}",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in definitions],
        "$defs": definitions,
        "examples": [
            _example(load_record("", "ssd", LoadCommand(loaded=True, generation=3))),
            _example(overrides_record("", "ssd", Overrides(confidence=55))),
        ],
    }


def _worker_status() -> dict[str, Any]:
    definitions = _definitions(WorkerStatus)
    status = definitions.pop(WorkerStatus.__name__)
    started_at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    example = WorkerStatus(
        worker="gpu-host-4711-0f3a9c1e",
        address="http://10.0.0.7:9101",
        started_at=started_at,
        is_ready=True,
        models=(
            ModelStatus(
                name="ssd",
                state="loaded",
                version="5d65b4b62ec0",
                is_routed=True,
                config={"inference_engine_name": "auto", "confidence": 55.0, "predictions": 15},
                overridden=("confidence",),
                device="CPU",
                engine="openvino_detection",
                precision="f32",
                batch_fill=0.75,
                lag_frames=12,
            ),
        ),
        cameras=(
            CameraStatus(
                camera="cam-1",
                model="ssd",
                frames_per_s=24.8,
                last_frame_at=started_at.replace(minute=5),
            ),
        ),
    )
    return {
        "$schema": _DIALECT,
        **status,
        "description": f"{status['description']} {_LATER}",
        "$defs": definitions,
        "examples": [_example(status_record("", example))],
    }


class _AsWritten(GenerateJsonSchema):
    """framebus writes every field, so that none has a default; and titles would only be the names again."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        return True

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _definitions(*models: type[BaseModel]) -> dict[str, Any]:
    """The schemas of these classes, and of all in them."""
    _, schema = models_json_schema(
        [(model, "serialization") for model in models], schema_generator=_AsWritten
    )
    definitions: dict[str, Any] = schema["$defs"]
    for model in (CameraStatus, LoadCommand, ModelStatus, Overrides, WorkerStatus):
        if model.__name__ in definitions:
            _describe(definitions[model.__name__], model)
    return definitions


def _describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Puts what a class's docstring says of its attributes beside them."""
    head, _, attributes = inspect.getdoc(model).partition("\n\nAttributes:\n")  # type: ignore[union-attr]
    schema["description"] = _one_line(head)
    for name, text in _ATTRIBUTE.findall(attributes):
        schema["properties"][name]["description"] = _one_line(text)


def _one_line(text: str) -> str:
    return " ".join(text.replace("None", "null").split())


def _example(record: OutgoingRecord) -> Any:
    return json.loads(record.value or b"")


if __name__ == "__main__":
    for file, text in render().items():
        file.write_text(text, encoding="utf-8")
