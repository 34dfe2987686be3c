"""A script in the manner of the old service's clients: it knows its endpoints, forms and shapes, and no more.

Every answer has status 200, as it had from the old service; `success` tells.
"""

import io
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import httpx
import numpy as np
from PIL import Image as PillowImage

from tests.e2e.rest_processes import http_client
from tests.e2e.slow_models import UNKNOWN_ENGINE

_BOX = {"ObjectClassName", "confidence", "coordinates", "ObjectClassId"}
_EDGES = {"left", "top", "right", "bottom"}
# A picture in a batch with others is calculated a little differently; so much of it may show.
_CONFIDENCE_TOLERANCE, _PIXEL_TOLERANCE = 0.1, 1

Boxes = Sequence[Mapping[str, Any]]


def run_old_script(url: str, model: str, broken: str, picture: bytes) -> Boxes:
    """Does all that clients of the old service did.

    Args:
        url: The server.
        model: A model that finds something in the picture, a person at that.
        broken: A model that cannot be loaded.
        picture: A JPEG.

    Returns:
        What the model found.
    """
    with http_client(url) as http:
        service = _OldService(http)
        models = service.get("/load")
        assert isinstance(models, dict)
        assert {model, broken} <= models.keys()
        assert {str(uuid.UUID(text)) for text in models.values()} == set(models.values())
        assert service.post("/load") == models

        boxes = _detect_by_uuid(service, models[model], model, picture)
        _ask_about_models(service, model)
        _predict(service, model, picture, boxes)
        _make_mistakes(service, model, broken, picture)
    return boxes


class _OldService:
    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, path: str, **query: str) -> Any:
        return self._json(self._http.get(path, params=query))

    def post(self, path: str, **form: Any) -> Any:
        return self._json(self.picture(path, **form))

    def picture(self, path: str, **form: Any) -> httpx.Response:
        response = self._http.post(path, **form)
        assert response.status_code == 200, (path, response.status_code, response.text)
        return response

    @staticmethod
    def _json(response: httpx.Response) -> Any:
        assert response.status_code == 200, (response.url, response.status_code, response.text)
        assert response.headers["content-type"] == "application/json"
        return response.json()


def _data(answer: Any) -> Any:
    assert answer == {"data": answer["data"], "error": "", "success": True}
    return answer["data"]


def _error(answer: Any) -> str:
    assert answer == {"data": None, "error": answer["error"], "success": False}
    error: str = answer["error"]
    return error


def _detect_by_uuid(service: _OldService, model_uuid: str, model: str, picture: bytes) -> Boxes:
    image = {"image": ("picture.jpg", picture, "image/jpeg")}
    answer = service.post("/detect", data={"model": model_uuid}, files=image)
    assert answer.keys() == {"bounding-boxes"}
    boxes: Boxes = answer["bounding-boxes"]
    _check_boxes(boxes, picture)
    assert service.post("/detect", data={"model": model}, files=image) == answer

    labels = service.post("/get_labels", data={"model": model_uuid})
    assert {box["ObjectClassName"] for box in boxes} <= labels.keys()
    assert {str(uuid.UUID(text)) for text in labels.values()} == set(labels.values())
    assert service.post("/get_labels", data={"model": model}) == labels
    return boxes


def _check_boxes(boxes: Boxes, picture: bytes) -> None:
    width, height = PillowImage.open(io.BytesIO(picture)).size
    assert boxes
    for box in boxes:
        assert box.keys() == _BOX
        assert box["ObjectClassName"] == "person"
        assert box["ObjectClassId"] == 1
        assert isinstance(box["confidence"], float)
        edges = box["coordinates"]
        assert edges.keys() == _EDGES
        assert all(isinstance(edge, int) for edge in edges.values())
        assert 0 <= edges["left"] < edges["right"] <= width
        assert 0 <= edges["top"] < edges["bottom"] <= height
    confidences = [box["confidence"] for box in boxes]
    assert confidences == sorted(confidences, reverse=True)
    assert 50 <= confidences[-1] <= confidences[0] <= 100


def _ask_about_models(service: _OldService, model: str) -> None:
    assert model in _data(service.get("/models"))["models"]
    assert _data(service.get(f"/models/{model}/load")) is None
    assert _data(service.get(f"/models/{model}/load", force="false")) is None
    assert _data(service.get(f"/models/{model}/load", force="true")) is None
    assert _data(service.get(f"/models/{model}/labels")) == ["person"]
    config = _data(service.get(f"/models/{model}/config"))
    assert config["inference_engine_name"]
    assert 0 <= config["confidence"] <= 100
    assert config["predictions"] >= 1


def _predict(service: _OldService, model: str, picture: bytes, boxes: Boxes) -> None:
    jpeg = {"input_data": ("picture.jpg", picture, "image/jpeg")}
    answer = _data(service.post(f"/models/{model}/predict", files=jpeg))
    assert answer.keys() == {"bounding-boxes"}
    assert_same_boxes(answer["bounding-boxes"], boxes)

    several = [
        ("input_data", ("first.jpg", picture, "image/jpeg")),
        ("input_data", ("corrupt.jpg", picture[: len(picture) // 2], "image/jpeg")),
        ("input_data", ("last.jpg", picture, "image/jpeg")),
    ]
    first, corrupt, last = _data(service.post(f"/models/{model}/predict_batch", files=several))
    for entry, name in ((first, "first.jpg"), (last, "last.jpg")):
        assert entry.keys() == {"bounding-boxes", "ImageName"}
        assert entry["ImageName"] == name
        assert_same_boxes(entry["bounding-boxes"], boxes)
    assert corrupt.keys() == {"error", "ImageName"}
    assert corrupt["ImageName"] == "corrupt.jpg"
    assert corrupt["error"].startswith("Invalid input data: ")

    drawn = service.picture(f"/models/{model}/predict_image", files=jpeg)
    assert drawn.headers["content-type"] == "image/jpeg"
    _check_drawing(drawn.content, "JPEG", picture, boxes)
    png = {"input_data": ("picture.png", _as_png(picture), "image/png")}
    drawn = service.picture(f"/models/{model}/predict_image", files=png)
    assert drawn.headers["content-type"] == "image/png"
    _check_drawing(drawn.content, "PNG", picture, boxes)


def _check_drawing(drawn: bytes, kind: str, picture: bytes, boxes: Boxes) -> None:
    """A line has to be seen along an edge of the best box, and nothing far from all boxes."""
    before, after = (PillowImage.open(io.BytesIO(file)) for file in (picture, drawn))
    assert after.format == kind
    assert after.size == before.size
    change = np.abs(np.asarray(after.convert("RGB"), int) - np.asarray(before.convert("RGB"), int)).max(2)
    edges = boxes[0]["coordinates"]
    middle = (edges["top"] + edges["bottom"]) // 2
    left = max(edges["left"] - 3, 0)
    assert change[middle, left : left + 7].max() > 50
    assert np.median(change) < 30


def _as_png(picture: bytes) -> bytes:
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.imencode(".png", image)[1].tobytes()


def _make_mistakes(service: _OldService, model: str, broken: str, picture: bytes) -> None:
    jpeg, nothing = ("picture.jpg", picture, "image/jpeg"), ("picture.jpg", b"no picture", "image/jpeg")
    for answer in (
        service.get("/models/nobody/load"),
        service.get("/models/nobody/labels"),
        service.get("/models/nobody/config"),
        service.post("/models/nobody/predict", files={"input_data": jpeg}),
        service.post("/detect", data={"model": "nobody"}, files={"image": jpeg}),
        service.post("/get_labels", data={"model": "nobody"}),
    ):
        assert _error(answer) == "Model not found"
    for answer in (
        service.post(f"/models/{model}/predict", files={"input_data": nothing}),
        service.post("/detect", data={"model": model}, files={"image": nothing}),
        service.post("/detect", data={"model": model}),
        service.post(f"/models/{model}/predict", files={"another": jpeg}),
    ):
        assert _error(answer).startswith("Invalid input data: "), json.dumps(answer)
    no_engine = f"Inference engine not found: {UNKNOWN_ENGINE}"
    assert _error(service.get(f"/models/{broken}/load")).startswith(no_engine)


def assert_same_boxes(found: Boxes, expected: Boxes) -> None:
    """Fails unless the same objects were found, in the same order."""
    assert len(found) == len(expected), (found, expected)
    for one, other in zip(found, expected, strict=True):
        assert one["ObjectClassName"] == other["ObjectClassName"]
        assert one["ObjectClassId"] == other["ObjectClassId"]
        assert abs(one["confidence"] - other["confidence"]) <= _CONFIDENCE_TOLERANCE, (found, expected)
        for edge, pixel in other["coordinates"].items():
            assert abs(one["coordinates"][edge] - pixel) <= _PIXEL_TOLERANCE, (found, expected)
