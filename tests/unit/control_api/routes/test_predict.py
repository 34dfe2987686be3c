import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from control_api.models import model_uuid
from framebus import images
from tests.picture_files import file_of
from tests.pictures import jpeg, picture
from tests.unit.control_api.clients import BOXES, data, error, predict
from tests.unit.control_api.conftest import Api, StartApi, StartWorker
from tests.unit.control_api.fake_worker import FakeWorker, refusal
from tests.workers import wait_until


def huge_png() -> bytes:
    """A few bytes that would be 30 GB of picture."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return images.PNG_MAGIC + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


@pytest.mark.parametrize("model", ["people", model_uuid("people")])
def test_a_picture_is_answered_with_what_was_found(steady: Api, model: str) -> None:
    assert data(predict(steady, jpeg(), model=model)) == BOXES


def test_a_model_that_is_not_loaded_is_loaded_first_and_stays(api: Api) -> None:
    assert data(predict(api, jpeg(), model="cars")) == BOXES

    assert data(api.http.get("/models"))["details"]["cars"]["desired"] is True


def test_a_model_that_one_worker_has_need_not_be_loaded_by_all(
    api: Api, worker: FakeWorker, start_worker: StartWorker
) -> None:
    broken = start_worker("broken")
    broken.broken["cars"] = "no memory"
    api.knows(worker, broken)

    assert data(predict(api, jpeg(), model="cars")) == BOXES


def test_a_model_that_no_worker_can_load_is_a_conflict(api: Api, worker: FakeWorker) -> None:
    worker.broken["cars"] = "no memory"

    for _ in range(2):  # the second time it is known at once
        assert error(predict(api, jpeg(), model="cars")) == (409, "Error loading model: no memory")


def test_a_model_that_is_not_loaded_in_time_is_said(start_api: StartApi, worker: FakeWorker) -> None:
    worker.slow.add("cars")
    api = start_api(load_timeout_s=0.3)
    api.knows(worker, models=("people",))

    status, said = error(predict(api, jpeg(), model="cars"))

    assert status == 503
    assert said.startswith("no worker has loaded model cars within 0.3 s")


@pytest.mark.parametrize("how", ["predict", "predict_image"])
@pytest.mark.parametrize(
    ("sent", "status", "complaint"),
    [
        (b"", 400, "Invalid input data: not a JPEG, PNG or WebP image: the value is empty"),
        (
            b"hello, I am text",
            400,
            "Invalid input data: not a JPEG, PNG or WebP image: the value starts with",
        ),
        (jpeg()[:20], 400, "Invalid input data: the image/jpeg header is"),
        (
            huge_png(),
            413,
            "Invalid input data: the picture has 100000x100000 pixels, and 1000000 are the most",
        ),
        # Only the worker sees these.
        (jpeg()[:-40], 400, "Invalid input data: the JPEG is"),
    ],
)
def test_what_is_no_picture_is_refused(
    steady: Api, how: str, sent: bytes, status: int, complaint: str
) -> None:
    answered, said = error(predict(steady, sent, how=how))

    assert answered == status
    assert said.startswith(complaint)


def test_most_of_what_is_no_picture_never_reaches_a_worker(api: Api, worker: FakeWorker) -> None:
    for sent in (b"", b"hello, I am text", huge_png(), jpeg()[:20]):
        predict(api, sent)

    assert worker.requests == []


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        ((400, "undecodable"), 400, "Invalid input data: the worker's words"),
        ((413, "too_large"), 413, "Invalid input data: the worker's words"),
        ((422, "detection_failed"), 400, "Invalid input data: the worker's words"),
    ],
)
def test_what_a_worker_says_of_the_picture_is_passed_on(
    api: Api, worker: FakeWorker, answer: tuple[int, str], status: int, words: str
) -> None:
    worker.refuse = lambda: refusal(*answer)

    assert error(predict(api, jpeg())) == (status, words)
    assert len(worker.requests) == 1


@pytest.mark.parametrize("how", ["predict", "predict_image", "predict_batch"])
def test_a_form_without_a_file_is_refused(steady: Api, how: str) -> None:
    path = f"/models/people/{how}"

    for response in (
        steady.http.post(path),
        steady.http.post(path, data={"input_data": "street.jpg"}),
        steady.http.post(path, files={"image": ("street.jpg", jpeg())}),
    ):
        status, said = error(response)
        assert status == 422
        assert said.startswith("Invalid input data: the form has no file `input_data`")


@pytest.mark.parametrize(
    ("kind", "content_type", "deviation"),
    [("JPEG", "image/jpeg", 12), ("PNG", "image/png", 0), ("WEBP", "image/webp", 25)],
)
def test_a_picture_comes_back_in_its_own_format_with_boxes(
    steady: Api, kind: str, content_type: str, deviation: int
) -> None:
    image = picture(200, 160)

    response = predict(steady, file_of(image, kind), how="predict_image")

    assert response.status_code == 200
    assert response.headers["content-type"] == content_type
    assert images.content_type(response.content) == content_type
    drawn = images.decode(response.content, 10**6)
    assert drawn.shape == image.shape
    # The boxes are at the edge; well inside it is the picture that was sent, colours in their order.
    inside = np.s_[80:150, 20:180]
    assert np.abs(drawn[inside].astype(int) - image[inside]).mean() <= deviation
    assert np.abs(drawn[:, :2].astype(int) - image[:, :2]).mean() > 20


def batch(api: Api, *files: tuple[str, bytes], model: str = "people") -> Any:
    sent = [("input_data", file) for file in files]
    return api.http.post(f"/models/{model}/predict_batch", files=sent)


def test_a_batch_is_answered_in_its_order_by_all_workers(
    api: Api, worker: FakeWorker, start_worker: StartWorker
) -> None:
    other = start_worker("worker-2", routed=("people",))
    api.knows(worker, other, models=("people",))
    widths = list(range(20, 60))

    answers = data(batch(api, *((f"{width}.jpg", jpeg(width, 16)) for width in widths)))

    assert [answer["ImageName"] for answer in answers] == [f"{width}.jpg" for width in widths]
    assert [answer["bounding-boxes"][0]["coordinates"]["right"] for answer in answers] == widths
    assert len(worker.requests) + len(other.requests) == len(widths)
    assert worker.requests
    assert other.requests


def test_one_corrupt_picture_of_a_batch_fails_alone(steady: Api) -> None:
    files = [(f"{number}.jpg", jpeg()) for number in range(16)]
    files[3] = ("3.jpg", b"text")
    files[7] = ("7.jpg", jpeg()[:-40])
    files[9] = ("9.png", huge_png())

    answers = data(batch(steady, *files))

    for number, answer in enumerate(answers):
        if number in (3, 7, 9):
            assert answer["error"].startswith("Invalid input data: ")
            assert set(answer) == {"error", "ImageName"}
        else:
            assert answer == {**BOXES, "ImageName": f"{number}.jpg"}
    assert answers[9]["ImageName"] == "9.png"


def test_a_batch_of_too_many_pictures_is_refused(start_api: StartApi, worker: FakeWorker) -> None:
    api = start_api(max_images=3)
    api.knows(worker, models=("people",))

    assert len(data(batch(api, *[("a.jpg", jpeg())] * 3))) == 3
    status, said = error(batch(api, *[("a.jpg", jpeg())] * 4))

    assert status == 422
    assert said == "Invalid input data: Too many files. Maximum number of files is 3."


def test_a_batch_without_a_worker_fails_as_a_whole(start_api: StartApi, worker: FakeWorker) -> None:
    api = start_api(predict_timeout_s=0.3)
    api.knows(worker, models=("people",))
    worker.refuse = lambda: refusal(503, "stopping")

    status, said = error(batch(api, *[("a.jpg", jpeg())] * 20))

    assert status == 503
    assert said.startswith("no answer within 0.3 s: worker worker-1: the worker's words")


def test_a_picture_with_too_many_bytes_is_refused(start_api: StartApi, worker: FakeWorker) -> None:
    api = start_api(max_image_bytes=1_500)
    api.knows(worker, models=("people",))
    small, large, larger = jpeg(), jpeg() + b"\0" * 1_500, jpeg() + b"\0" * 100_000
    assert len(small) < 1_500

    status, said = error(predict(api, large))
    assert status == 413
    assert said.startswith(f"Invalid input data: the picture has {len(large)} bytes, and 1500 are the most")
    status, said = error(predict(api, larger))
    assert status == 413
    assert said.startswith("Invalid input data: the body is larger than")

    answers = data(batch(api, ("small.jpg", small), ("large.jpg", large)))
    assert answers[0]["bounding-boxes"]
    assert "bytes, and 1500 are the most" in answers[1]["error"]


def test_more_at_once_than_are_taken_are_sent_away(start_api: StartApi, worker: FakeWorker) -> None:
    limited = start_api(max_concurrent_requests=2)
    limited.knows(worker, models=("people",))
    worker.hang()
    with ThreadPoolExecutor(2) as clients:
        first_two = [clients.submit(predict, limited, jpeg()) for _ in range(2)]
        wait_until(lambda: len(worker.requests) == 2)

        refused = predict(limited, jpeg())

        worker.go_on()
        assert [data(answer.result()) for answer in first_two] == [BOXES, BOXES]
    status, said = error(refused)
    assert status == 429
    assert said.startswith("2 predictions are being made")
    assert refused.headers["Retry-After"] == "1"
    # It was about that moment only.
    assert data(predict(limited, jpeg())) == BOXES
