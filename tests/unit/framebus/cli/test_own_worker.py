import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from consumer.in_process import InProcessPredictions
from control_api.problems import InvalidInputError, TooLargeError
from control_api.worker_clients import AnotherWorkerError
from framebus.cli.own_worker import OwnWorkerClient
from framebus.control import WorkerStatus
from tests.engines import ScriptedEngine
from tests.pictures import jpeg
from tests.worker_port import Port, opened

PATIENCE_S = 60.0
STATUS = WorkerStatus(
    worker="own",
    address="http://127.0.0.1:1",
    started_at=datetime(2026, 1, 31, tzinfo=UTC),
    is_ready=True,
)


def ask(
    port: Port, picture: bytes, *, model: str = "ssd", timeout_s: float = PATIENCE_S
) -> Mapping[str, Any]:
    client = OwnWorkerClient(InProcessPredictions(port.predictions, port.metrics))
    return asyncio.run(client.predict(STATUS, model, picture, timeout_s))


def test_the_message_is_the_one_that_comes_over_http() -> None:
    with opened(token=None) as port:
        own, over_http = ask(port, jpeg(64, 48)), port.ask(jpeg(64, 48)).json()

        assert {**own, "timing": None, "timestamp": None} == {**over_http, "timing": None, "timestamp": None}
        assert port.counted() == {("ssd", "answered"): 2}


def test_a_picture_that_is_none_is_refused() -> None:
    with opened() as port:
        with pytest.raises(InvalidInputError):
            ask(port, b"text as a picture")

        assert port.counted() == {("ssd", "undecodable"): 1}


def test_a_picture_of_very_many_pixels_is_too_large() -> None:
    with opened(max_frame_pixels=1_000) as port:
        with pytest.raises(TooLargeError, match="64x48 pixels"):
            ask(port, jpeg(64, 48))

        assert port.counted() == {("ssd", "too_large"): 1}


def test_what_may_be_otherwise_in_a_moment_is_tried_again() -> None:
    with opened() as port:
        with pytest.raises(AnotherWorkerError) as refused:
            ask(port, jpeg(), model="other")

        assert refused.value.reason == "not_loaded"
        assert port.counted() == {("", "not_loaded"): 1}


def test_a_picture_that_takes_too_long_is_given_up() -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    with opened(engine=engine) as port:
        with pytest.raises(AnotherWorkerError) as refused:
            ask(port, jpeg(), timeout_s=0.05)

        assert refused.value.reason == "deadline"
        assert port.counted() == {("ssd", "deadline"): 1}
