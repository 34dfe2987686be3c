"""One trace through all programs, as a collector sees it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaConsumer

from framebus.local_broker import LocalBroker
from tests.collector import CollectedSpan, Collector, collector
from tests.e2e.rest_processes import RestInstallation, predict
from tests.integration.installation import Installation
from tests.kafka import unique
from tests.pictures import jpeg
from tests.spans import PARENT, PARENT_ID, TRACE_ID

pytestmark = pytest.mark.slow

FRAMES, CAMERAS = 4, 2
PREDICT = "POST /models/{model}/predict"


@pytest.fixture
def collected() -> Iterator[Collector]:
    with collector() as collected:
        yield collected


def detections(installation: Installation, count: int) -> list[dict[str, bytes]]:
    """The headers of the detections, as a stock client reads them."""
    with closing(
        KafkaConsumer(
            installation.detections,
            bootstrap_servers=installation.servers,
            auto_offset_reset="earliest",
            group_id=unique("reader"),
            session_timeout_ms=6000,
            consumer_timeout_ms=60_000,
            isolation_level="read_committed",
        )
    ) as reader:
        found: list[dict[str, bytes]] = []
        for record in reader:
            found.append(dict(record.headers))
            if len(found) == count:
                break
        return found


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_a_frame_is_one_trace_from_its_camera_to_its_detections(
    apache: LocalBroker, tmp_path: Path, collected: Collector, delivery: str
) -> None:
    count = FRAMES * CAMERAS
    with Installation(apache.bootstrap_servers, tmp_path, delivery=delivery) as installation:
        installation.create_topics()
        consumer = installation.consumer(**collected.environment)
        producer = installation.producer(
            "--frames", str(FRAMES), cameras=CAMERAS, fps=20, **collected.environment
        )
        assert producer.wait() == 0
        headers = detections(installation, count)
        consumer.stop()

    spans = collected.spans()  # of programs that have ended, so all of them
    traces: dict[str, dict[str, CollectedSpan]] = {}
    for span in spans:
        assert traces.setdefault(span.trace_id, {}).setdefault(span.name, span) is span
    assert len(traces) == count
    published, process = f"publish {installation.topic}", f"process {installation.topic}"
    detect, answered = f"detect {installation.model}", f"publish {installation.detections}"
    for trace in traces.values():
        assert {name: span.kind for name, span in trace.items()} == {
            published: "producer",
            process: "consumer",
            "decode": "internal",
            detect: "internal",
            answered: "producer",
        }
        parents = {name: span.parent_id for name, span in trace.items()}
        within = trace[process].id
        assert parents == {
            published: "",
            process: trace[published].id,
            "decode": within,
            detect: within,
            answered: within,
        }
        assert trace[published].service == "framebus-producer"
        assert {span.service for name, span in trace.items() if name != published} == {"framebus-consumer"}
        assert trace[process].attributes["messaging.consumer.group.name"] == installation.model_group
        assert (
            trace[process].attributes["messaging.kafka.offset"]
            == (trace[published].attributes["messaging.kafka.offset"])
        )
        assert trace[process].started_ns <= trace["decode"].started_ns <= trace[detect].started_ns
        assert trace[detect].ended_ns <= trace[process].ended_ns
    assert {header["traceparent"][:52].decode() for header in headers} == {
        f"00-{span.trace_id}-{span.id}" for span in spans if span.name == answered
    }
    assert len(headers) == count


def test_a_picture_of_rest_is_one_trace_from_the_client_to_the_engine(
    apache: LocalBroker, tmp_path: Path, collected: Collector
) -> None:
    with RestInstallation(apache.bootstrap_servers, tmp_path) as installation:
        api, worker = (
            installation.api(**collected.environment),
            installation.worker(**collected.environment),
        )
        worker.until_ready()
        api.until_ready()
        api.until_workers(worker)
        with api.client() as client:
            answer = predict(client, installation.model, jpeg(), traceparent=PARENT.traceparent)
        assert answer.status_code == 200
        [at_api] = api.until(
            lambda: [line for line in api.log("request") if line["path"].endswith("/predict")],
            "the line of the API",
        )
        worker.stop()
        api.stop()

    spans = {(span.service, span.name): span for span in collected.spans() if span.trace_id == TRACE_ID}
    at_worker = spans["framebus-consumer", PREDICT]
    assert {name: span.parent_id for name, span in spans.items()} == {
        ("framebus-api", PREDICT): PARENT_ID,
        ("framebus-consumer", PREDICT): spans["framebus-api", PREDICT].id,
        ("framebus-consumer", "decode"): at_worker.id,
        ("framebus-consumer", f"detect {installation.model}"): at_worker.id,
    }
    assert at_api["trace_id"] == TRACE_ID


def test_a_collector_that_is_away_costs_nothing_but_the_spans(apache: LocalBroker, tmp_path: Path) -> None:
    with collector() as gone:
        environment = gone.environment
    count = FRAMES * CAMERAS
    with Installation(apache.bootstrap_servers, tmp_path) as installation:
        installation.create_topics()
        consumer = installation.consumer(**environment)
        producer = installation.producer("--frames", str(FRAMES), cameras=CAMERAS, fps=20, **environment)
        assert producer.wait() == 0
        assert len(detections(installation, count)) == count
        consumer.stop()
        installation.assert_delivered()

    assert consumer.log("OpenTelemetry")
