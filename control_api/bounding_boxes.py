"""Detections in the shape of the old service: confidence in percent, whole pixels."""

from collections.abc import Mapping
from typing import Any


def bounding_boxes(message: Mapping[str, Any]) -> dict[str, Any]:
    """What clients get of a detection message of the bus (docs/wire-format.md), best first."""
    return {"bounding-boxes": [_detection(found) for found in message["objects"]]}


def _detection(found: Mapping[str, Any]) -> dict[str, Any]:
    box = found["bbox"]
    return {
        "ObjectClassName": found["type"],
        "confidence": round(found["confidence"] * 100, 4),
        "coordinates": {
            "left": round(box["leftX"]),
            "top": round(box["topY"]),
            "right": round(box["rightX"]),
            "bottom": round(box["bottomY"]),
        },
        "ObjectClassId": found["classId"],
    }
