"""What clients do and get."""

from typing import Any

from tests.unit.control_api.conftest import Api

BOXES = {
    "bounding-boxes": [
        {
            "ObjectClassName": "person",
            "confidence": 93.1,
            "coordinates": {"left": 0, "top": 0, "right": 64, "bottom": 48},
            "ObjectClassId": 1,
        },
        {
            "ObjectClassName": "7",
            "confidence": 50.0,
            "coordinates": {"left": 1, "top": 3, "right": 4, "bottom": 4},
            "ObjectClassId": 7,
        },
    ]
}
"""What the fake worker finds in the picture of `tests.pictures.jpeg`."""


def data(response: Any) -> Any:
    assert response.status_code == 200, response.text
    body = response.json()
    assert (body["error"], body["success"]) == ("", True)
    return body["data"]


def error(response: Any) -> tuple[int, str]:
    body = response.json()
    assert (body["data"], body["success"]) == (None, False)
    return response.status_code, body["error"]


def predict(api: Api, sent: bytes, *, model: str = "people", how: str = "predict") -> Any:
    return api.http.post(f"/models/{model}/{how}", files={"input_data": ("street.jpg", sent)})
