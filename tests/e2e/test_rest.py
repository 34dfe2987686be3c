"""`framebus api` and a worker with the real model, on a real broker, as their users have them."""

import json
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kafka import KafkaConsumer, KafkaProducer

from framebus.local_broker import LocalBroker
from tests.e2e.old_client import assert_same_boxes, run_old_script
from tests.e2e.rest_processes import (
    BROKEN,
    RestInstallation,
    RestProcess,
    WorkerProcess,
    at_once,
    data_of,
    predict,
    street_pictures,
)
from tests.kafka import unique

pytestmark = pytest.mark.slow


class Rest(NamedTuple):
    """What all tests of this module share."""

    installation: RestInstallation
    api: RestProcess
    worker: WorkerProcess
    model: str


@pytest.fixture(scope="module")
def rest(
    apache: LocalBroker, models_directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rest]:
    directory, real_model = tmp_path_factory.mktemp("rest"), models_directory / "pedestrian"
    with RestInstallation(apache.bootstrap_servers, directory, real_model=real_model) as installation:
        model = installation.real
        worker = installation.worker("--model", model)
        api = installation.api()
        worker.until_ready()
        api.until_ready()
        api.until_workers(worker)
        yield Rest(installation, api, worker, model)


@pytest.fixture(scope="module")
def pictures(street: Path) -> list[bytes]:
    """Two with a person in them, and one without."""
    return street_pictures(street, 30, 120, 180)


def test_a_script_for_the_old_service_runs_unchanged(rest: Rest, pictures: list[bytes]) -> None:
    api = rest.installation.api(FRAMEBUS_API__LEGACY_STATUS="true")
    api.until_ready()
    api.until_workers(rest.worker)

    assert run_old_script(api.url, rest.model, BROKEN, pictures[0])

    api.stop()


def test_rest_and_the_stream_find_the_same(rest: Rest, pictures: list[bytes]) -> None:
    messages = streamed(rest, pictures)

    with rest.api.client() as client:
        answers = [data_of(predict(client, rest.model, picture)) for picture in pictures]

    assert [len(message["objects"]) for message in messages] == [1, 1, 0]
    for answer, message in zip(answers, messages, strict=True):
        assert_same_boxes(answer["bounding-boxes"], [as_rest(found) for found in message["objects"]])


def streamed(rest: Rest, pictures: list[bytes]) -> list[Any]:
    """Publishes pictures with a stock client, and reads with one what was found in them."""
    servers, topic = rest.installation.servers, rest.installation.topic
    camera = unique("cam")
    with closing(KafkaProducer(bootstrap_servers=servers)) as producer:
        for picture in pictures:
            producer.send(topic, key=camera.encode(), value=picture)
        producer.flush()
    messages: list[Any] = []
    with closing(
        KafkaConsumer(
            f"detections.{rest.model}",
            bootstrap_servers=servers,
            auto_offset_reset="earliest",
            group_id=None,
            consumer_timeout_ms=60_000,
        )
    ) as reader:
        for record in reader:
            messages += [json.loads(record.value)] if record.key == camera.encode() else []
            if len(messages) == len(pictures):
                break
    return messages


def as_rest(found: Any) -> dict[str, Any]:
    """An object of a detection message in the words of REST.md: percent, and whole pixels."""
    box = found["bbox"]
    edges = {"left": "leftX", "top": "topY", "right": "rightX", "bottom": "bottomY"}
    return {
        "ObjectClassName": found["type"],
        "ObjectClassId": found["classId"],
        "confidence": found["confidence"] * 100,
        "coordinates": {edge: round(box[key]) for edge, key in edges.items()},
    }


def test_forty_at_once_beside_a_running_stream(rest: Rest, pictures: list[bytes], tmp_path: Path) -> None:
    for number, picture in enumerate(pictures):
        (tmp_path / f"{number}.jpg").write_bytes(picture)
    camera = rest.installation.start("produce", "--camera", f"cam-1={tmp_path}", "--loop", "--fps", "5")
    with rest.api.client() as client:
        expected = [data_of(predict(client, rest.model, picture)) for picture in pictures]
        rest.installation.until_more_frames(rest.worker, each=5)
        before = rest.worker.finished_frames()

        answers = at_once(
            [partial(predict, client, rest.model, pictures[number % 3]) for number in range(40)]
        )

        during = rest.worker.finished_frames() - before
    assert [answer.status_code for answer in answers] == [200] * 40
    for number, answer in enumerate(answers):
        assert_same_boxes(data_of(answer)["bounding-boxes"], expected[number % 3]["bounding-boxes"])
    assert during > 0
    rest.installation.until_more_frames(rest.worker, each=5)
    assert rest.worker.metric("framebus_dead_letters_total") == 0
    camera.stop()


def test_a_corrupt_picture_among_sixteen_at_once_fails_alone(rest: Rest, pictures: list[bytes]) -> None:
    cut_off = pictures[1][: len(pictures[1]) // 2]  # its header is sound, so that it gets as far as a worker
    sent = [cut_off if number == 5 else pictures[number % 3] for number in range(16)]

    with rest.api.client() as client:
        expected = [data_of(predict(client, rest.model, picture)) for picture in pictures]
        answers = at_once([partial(predict, client, rest.model, picture) for picture in sent])

    assert [answer.status_code for answer in answers] == [400 if one is cut_off else 200 for one in sent]
    refusal = answers[5].json()
    assert refusal == {"data": None, "error": refusal["error"], "success": False}
    assert refusal["error"].startswith("Invalid input data: ")
    for number, answer in enumerate(answers):
        if sent[number] is not cut_off:
            assert_same_boxes(data_of(answer)["bounding-boxes"], expected[number % 3]["bounding-boxes"])
