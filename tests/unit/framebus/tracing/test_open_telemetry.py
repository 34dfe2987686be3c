import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from framebus.errors import FrameError, SettingsError
from framebus.frames import TraceContext
from framebus.settings import TracingSettings
from framebus.tracing import Tracing, open_telemetry, start_tracing
from framebus.tracing.open_telemetry import OpenTelemetry
from tests.spans import PARENT, PARENT_ID, TRACE_ID, KeptSpans, recording

ON = TracingSettings(enabled=True)


@pytest.fixture
def kept() -> KeptSpans:
    return KeptSpans()


@pytest.fixture
def silent_collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Takes connections, and does not answer; an exporter waits for it for five seconds."""
    monkeypatch.setattr(open_telemetry, "_CLOSE_TIMEOUT_S", 0.2)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "5")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        yield
    for thread in threading.enumerate():
        if thread.name == "tracing":
            thread.join(timeout=60)


def start(tracing: Tracing, parent: TraceContext | None = None) -> TraceContext:
    """Makes a span; returns what a message in it carries."""
    span = tracing.start("publish frames", "producer", parent=parent, attributes={})
    span.end()
    assert span.trace is not None
    return span.trace


def is_sampled(carried: TraceContext) -> bool:
    """See https://www.w3.org/TR/trace-context/#sampled-flag."""
    return bool(int(carried.traceparent[-2:], 16) & 1)


def test_off_is_no_tracing() -> None:
    assert start_tracing(TracingSettings(), "test") is None


def test_a_span_goes_on_where_the_message_came_from(kept: KeptSpans) -> None:
    with recording(kept) as tracing:
        carried = start(tracing, PARENT)

    span = kept.one("publish frames")
    assert (span.trace_id, span.parent_id, span.kind) == (TRACE_ID, PARENT_ID, "producer")
    assert carried == TraceContext(f"00-{TRACE_ID}-{span.id}-01", "vendor=1")


@pytest.mark.parametrize(
    "traceparent", ["", "00-1", f"00-{TRACE_ID}-{'0' * 16}-01", f"ff-{TRACE_ID}-{PARENT_ID}-01", "x" * 1_000]
)
def test_what_is_no_trace_begins_one(kept: KeptSpans, traceparent: str) -> None:
    with recording(kept) as tracing:
        carried = start(tracing, TraceContext(traceparent, "vendor=1"))

    span = kept.one("publish frames")
    assert span.parent_id is None
    assert carried.traceparent.encode() == span.traceparent
    assert carried.tracestate is None


def test_what_the_publisher_does_not_sample_is_passed_on_as_such(kept: KeptSpans) -> None:
    with recording(kept) as tracing:
        carried = start(tracing, TraceContext(f"00-{TRACE_ID}-{PARENT_ID}-00"))

    assert kept.all() == []
    assert carried.traceparent.startswith(f"00-{TRACE_ID}-")
    assert not is_sampled(carried)


def test_the_standard_variables_choose_the_sampler(kept: KeptSpans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")

    with recording(kept) as tracing:
        carried = start(tracing)
        start(tracing, PARENT)

    assert [span.trace_id for span in kept.all()] == [TRACE_ID]
    assert not is_sampled(carried)


def test_spans_name_the_program(kept: KeptSpans) -> None:
    with recording(kept) as tracing:
        start(tracing)

    resource = kept.one("publish frames").span.resource.attributes
    assert resource["service.name"] == "framebus-test"
    assert resource["service.version"]
    assert resource["service.instance.id"]


def test_spans_name_the_program_as_the_standard_variables_say(
    kept: KeptSpans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "gate")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=hall-4")

    with recording(kept) as tracing:
        start(tracing)

    resource = kept.one("publish frames").span.resource.attributes
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("gate", "hall-4")


def test_the_standard_variables_can_turn_it_off(kept: KeptSpans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    with recording(kept) as tracing:
        alone = tracing.start("publish frames", "producer", parent=None, attributes={})
        carried = start(tracing, PARENT)

    assert kept.all() == []
    assert alone.trace is None
    assert carried == PARENT


def test_parts_that_are_over_are_told_with_their_times(kept: KeptSpans) -> None:
    before_ns = time.time_ns()
    now_s = time.monotonic()
    with recording(kept) as tracing:
        span = tracing.start("process frames", "consumer", parent=None, attributes={}, started_s=now_s - 3)
        span.child("decode", now_s - 2, now_s - 1.5, {"size": 7})
        span.end({"objects": 3}, name="process all")

    whole, part = kept.one("process all"), kept.one("decode")
    assert (part.parent_id, part.trace_id, part.kind) == (whole.id, whole.trace_id, "internal")
    assert (part.attributes, whole.attributes) == ({"size": 7}, {"objects": 3})
    assert part.times_ns[1] - part.times_ns[0] == pytest.approx(0.5e9, abs=10)
    assert part.times_ns[0] - whole.times_ns[0] == pytest.approx(1e9, abs=10)
    assert whole.times_ns[0] == pytest.approx(before_ns - 3e9, abs=1e9)
    assert whole.times_ns[1] - whole.times_ns[0] >= 3e9


def test_what_went_wrong_has_a_word_and_a_sentence(kept: KeptSpans) -> None:
    with recording(kept) as tracing:
        span = tracing.start("process frames", "consumer", parent=None, attributes={})
        span.child("decode", 0, 1, {}, error=FrameError("cut off"))
        span.child("wait", 0, 1, {}, error=ValueError("no"))
        span.end(error_type="undecodable", message="cut off")

    assert kept.one("process frames").error == ("undecodable", "cut off")
    assert kept.one("decode").error == (FrameError.reason, "cut off")
    assert kept.one("wait").error == ("ValueError", "no")


def test_without_opentelemetry_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "framebus.tracing.open_telemetry")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(SettingsError, match=r"pip install 'framebus\[tracing\]'"):
        start_tracing(ON, "test")


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'.*http/protobuf"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1", "OTEL_.*max_queue_size"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"),
    ],
)
def test_a_variable_that_makes_no_sense_is_refused(
    variable: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError, match=told):
        start_tracing(ON, "test")


def test_a_collector_that_hangs_does_not_hold_up_the_end(silent_collector: None) -> None:
    tracing = OpenTelemetry("test")
    start(tracing)
    began_s = time.monotonic()

    with capture_logs() as lines:
        tracing.close()

    assert time.monotonic() - began_s < 4
    assert [line["event"] for line in lines] == ["spans that the collector has not taken are given up"]


def test_what_opentelemetry_says_stands_in_the_programs_log(
    kept: KeptSpans, capsys: pytest.CaptureFixture[str]
) -> None:
    with capture_logs() as lines, recording(kept), recording(KeptSpans()):
        logging.getLogger("opentelemetry.sdk.trace").warning("Queue full, dropping %s.", "Span")

    assert [(line["event"], line["said"]) for line in lines] == [
        ("OpenTelemetry", "Queue full, dropping Span.")
    ]
    assert capsys.readouterr().err == ""
