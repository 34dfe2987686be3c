"""What is traced of frames on their way through whole pipelines, on the memory bus."""

from collections.abc import Iterator

import pytest

from consumer.frame_trace import new_trace
from framebus.bus import BusProducer, Record
from framebus.bus.memory import MemoryBus, MemoryProducer
from framebus.settings import Settings
from framebus.tracing import Tracing
from framebus.tracing.producer import traced
from tests.engines import ScriptedEngine
from tests.pictures import jpeg
from tests.pipelines import MODEL, Run, at_work, memory_bus, publish, read, settings_with, wait_until
from tests.spans import PARENT, PARENT_ID, TRACE_ID, KeptSpans, recording
from tests.transactions import MemoryTransactionalProducer

DETECTIONS = f"detections.{MODEL}"
BELONGS = (("traceparent", PARENT.traceparent.encode()), ("tracestate", b"vendor=1"))


@pytest.fixture
def bus() -> MemoryBus:
    return memory_bus()


@pytest.fixture
def kept() -> KeptSpans:
    return KeptSpans()


@pytest.fixture
def tracing(kept: KeptSpans) -> Iterator[Tracing]:
    with recording(kept) as tracing:
        yield tracing


def pipeline(
    bus: MemoryBus,
    tracing: Tracing,
    *,
    engine: ScriptedEngine | None = None,
    producer: BusProducer | None = None,
    settings: Settings | None = None,
) -> Run:
    """A pipeline with tracing, composed as the program does it."""
    return Run(
        bus,
        engine or ScriptedEngine(),
        settings or settings_with(),
        producer=traced(MemoryProducer(bus) if producer is None else producer, tracing, but="frames.dead"),
        trace=new_trace(tracing, MODEL, "framebus.group"),
    )


def traceparent(record: Record) -> bytes | None:
    return dict(record.headers)["traceparent"]


def test_the_detections_of_a_frame_go_on_in_its_trace(
    bus: MemoryBus, kept: KeptSpans, tracing: Tracing
) -> None:
    delivery = publish(bus, jpeg(), headers=BELONGS)
    assert delivery.partition is not None

    with at_work(pipeline(bus, tracing)):
        [record] = read(bus, DETECTIONS, 1)
    tracing.close()

    process, decode = kept.one("process frames"), kept.one("decode")
    detect, published = kept.one(f"detect {MODEL}"), kept.one(f"publish {DETECTIONS}")
    assert {span.trace_id for span in kept.all()} == {TRACE_ID}
    assert (process.parent_id, process.kind) == (PARENT_ID, "consumer")
    assert {decode.parent_id, detect.parent_id, published.parent_id} == {process.id}
    assert published.kind == "producer"
    assert traceparent(record) == published.traceparent
    assert dict(record.headers)["tracestate"] == b"vendor=1"
    assert process.error is None
    assert process.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "frames",
        "messaging.destination.partition.id": str(delivery.partition.number),
        "messaging.kafka.message.key": "cam-1",
        "messaging.kafka.offset": 0,
        "messaging.consumer.group.name": "framebus.group",
        "framebus.model": MODEL,
        "framebus.outcome": "detections",
        "framebus.objects": 1,
    }
    assert detect.attributes == {
        "framebus.model": MODEL,
        "framebus.model.version": "0123456789ab",
        "framebus.batch.size": 1,
    }


def test_the_parts_of_a_frame_follow_each_other_within_it(
    bus: MemoryBus, kept: KeptSpans, tracing: Tracing
) -> None:
    publish(bus, jpeg())

    with at_work(pipeline(bus, tracing, engine=ScriptedEngine(delay_s=0.02))):
        read(bus, DETECTIONS, 1)
    tracing.close()

    (began, ended) = kept.one("process frames").times_ns
    decode, detect = kept.one("decode").times_ns, kept.one(f"detect {MODEL}").times_ns
    assert began <= decode[0] <= decode[1] <= detect[0] <= detect[1] <= ended
    assert detect[1] - detect[0] >= 20e6


def test_frames_that_share_a_call_tell_of_it_each_in_its_own_trace(
    bus: MemoryBus, kept: KeptSpans, tracing: Tracing
) -> None:
    for number in range(8):
        publish(bus, jpeg(), key=b"cam-%d" % number)

    with at_work(pipeline(bus, tracing, settings=settings_with(max_batch_delay_ms=20_000))) as run:
        read(bus, DETECTIONS, 8)
    tracing.close()

    calls = kept.named(f"detect {MODEL}")
    assert run.metric("framebus_batch_size_frames_count") == 1
    assert len({span.trace_id for span in calls}) == 8
    assert [span.attributes["framebus.batch.size"] for span in calls] == [8] * 8
    ended_ns = [span.times_ns[1] - span.times_ns[0] for span in calls]
    assert max(ended_ns) - min(ended_ns) <= 1  # rounding alone


def test_a_frame_that_is_not_sampled_says_so_to_those_behind_it(
    bus: MemoryBus, kept: KeptSpans, tracing: Tracing
) -> None:
    publish(bus, jpeg(), headers=(("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-00".encode()),))

    with at_work(pipeline(bus, tracing)):
        [record] = read(bus, DETECTIONS, 1)
    tracing.close()

    carried = traceparent(record)
    assert carried is not None
    assert carried.startswith(f"00-{TRACE_ID}-".encode())
    assert carried.endswith(b"-00")
    assert PARENT_ID.encode() not in carried
    assert kept.all() == []


def test_a_damaged_frame_ends_with_its_error_and_its_dead_letter_is_as_it_was(
    bus: MemoryBus, kept: KeptSpans, tracing: Tracing
) -> None:
    publish(bus, jpeg()[:200], headers=BELONGS)

    with at_work(pipeline(bus, tracing)):
        [dead] = read(bus, "frames.dead", 1)
    tracing.close()

    [process] = kept.all()
    assert (process.name, process.trace_id, process.parent_id) == ("process frames", TRACE_ID, PARENT_ID)
    assert process.attributes["framebus.outcome"] == "dead_letter"
    assert process.error is not None
    assert process.error == ("undecodable", (dict(dead.headers)["fb_message"] or b"").decode())
    assert dead.headers[: len(BELONGS)] == BELONGS


@pytest.mark.parametrize("header", [b"\xff", b"00-1", b"x" * 2_000, b""])
def test_whatever_stands_in_the_header_of_a_frame_it_is_traced(
    bus: MemoryBus, kept: KeptSpans, tracing: Tracing, header: bytes
) -> None:
    publish(bus, b"no picture", headers=(("traceparent", header), ("tracestate", header)))

    with at_work(pipeline(bus, tracing)):
        read(bus, "frames.dead", 1)
    tracing.close()

    [process] = kept.all()
    assert process.parent_id is None
    assert process.error is not None


def test_a_picture_that_the_engine_fails_on_shows_where(
    bus: MemoryBus, kept: KeptSpans, tracing: Tracing
) -> None:
    publish(bus, jpeg())

    with at_work(pipeline(bus, tracing, engine=ScriptedEngine(poison=lambda _: True))):
        read(bus, "frames.dead", 1)
    tracing.close()

    process, detect = kept.one("process frames"), kept.one(f"detect {MODEL}")
    assert detect.parent_id == process.id
    assert process.error == detect.error == ("detection_failed", "poisoned")


def test_frames_that_are_left_out_end_with_the_reason(
    bus: MemoryBus, kept: KeptSpans, tracing: Tracing
) -> None:
    latest = {"topic": "frames", "models": [MODEL], "freshness": "latest"}
    engine = ScriptedEngine()
    engine.gate.clear()
    for _ in range(50):
        publish(bus, jpeg())

    with at_work(pipeline(bus, tracing, engine=engine, settings=settings_with(latest))) as run:
        wait_until(lambda: run.dropped("superseded", "cam-1") > 0)
        engine.gate.set()
        wait_until(
            lambda: (
                run.dropped("superseded", "cam-1") + run.metric("framebus_frames_total", camera="cam-1") == 50
            )
        )
    tracing.close()

    outcomes = [span.attributes["framebus.outcome"] for span in kept.named("process frames")]
    dropped = [span for span in kept.named("process frames") if "framebus.drop.reason" in span.attributes]
    assert len(outcomes) == 50
    assert {*outcomes} == {"dropped", "detections"}
    assert {span.attributes["framebus.drop.reason"] for span in dropped} == {"superseded"}
    assert len(dropped) == run.dropped("superseded", "cam-1")
    assert all(span.error is None for span in dropped)


def test_in_transactions_a_frame_ends_with_its_commit(
    bus: MemoryBus, kept: KeptSpans, tracing: Tracing
) -> None:
    publish(bus, jpeg(), headers=BELONGS)
    producer = MemoryTransactionalProducer(bus, MODEL)

    with at_work(pipeline(bus, tracing, producer=producer)):
        [record] = read(bus, DETECTIONS, 1)
    tracing.close()

    process, published = kept.one("process frames"), kept.one(f"publish {DETECTIONS}")
    assert producer.commits == 1
    assert published.parent_id == process.id
    assert traceparent(record) == published.traceparent
    assert process.times_ns[1] >= published.times_ns[1]


def test_without_tracing_the_trace_of_a_frame_is_passed_on_as_it_is(bus: MemoryBus) -> None:
    publish(bus, jpeg(), headers=(("traceparent", b"00-1"), ("tracestate", b"vendor=1")))

    with at_work(Run(bus, ScriptedEngine(), settings_with(), trace=new_trace(None, MODEL, "group"))):
        [record] = read(bus, DETECTIONS, 1)

    assert record.headers[-2:] == (("traceparent", b"00-1"), ("tracestate", b"vendor=1"))
