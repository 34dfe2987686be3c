from collections.abc import Iterator

import pytest

from tests.collector import Collector, collector
from tests.pictures import jpeg
from tests.spans import PARENT, PARENT_ID, TRACE_ID
from tests.unit.control_api.conftest import Installation


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Gets the spans of the replicas that are started."""
    with collector() as collected:
        for variable, value in collected.environment.items():
            monkeypatch.setenv(variable, value)
        yield collected


def test_a_request_is_passed_on_in_the_clients_trace(
    collected: Collector, installation: Installation
) -> None:
    worker = installation.start_worker(routed=("people",))
    api = installation.start_api()
    api.knows(worker, models=("people",))

    api.http.get("/healthz")
    answer = api.http.post(
        "/models/people/predict",
        files={"input_data": ("a.jpg", jpeg())},
        headers={"traceparent": PARENT.traceparent},
    )

    assert answer.status_code == 200
    [span] = collected.until(lambda spans: len(spans) > 0)
    assert (span.service, span.name, span.kind) == (
        "framebus-api",
        "POST /models/{model}/predict",
        "server",
    )
    assert (span.trace_id, span.parent_id) == (TRACE_ID, PARENT_ID)
    assert span.attributes["http.response.status_code"] == 200
    [(_, headers)] = worker.requests
    assert headers["traceparent"] == f"00-{TRACE_ID}-{span.id}-01"


def test_a_replica_that_ends_has_told_of_all_requests(
    collected: Collector, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    api = installation.start_api()
    api.http.get("/models/people/labels")
    assert collected.spans() == []

    installation.stop()

    assert [span.name for span in collected.spans()] == ["GET /models/{model}/labels"]
