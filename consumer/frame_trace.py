"""What a trace says of a frame: the span `process <topic>`, and in it `decode` and `detect <model>`.

A frame carries its times through the pipeline anyway, so all is told in one place, when it has landed; only
the span's id is needed before, in the headers of the detections.

The engine's call is shared by the frames of a batch, which belong to as many traces, each sampled by itself.
The semantic conventions have either one span of a batch with links, which would be in one of these traces at
most, or one span per message. Here it is the latter: each trace is whole by itself, and the spans of one call
have the same times and `framebus.batch.size`.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from framebus import wire
from framebus.errors import DetectionError
from framebus.frames import EncodedFrame
from framebus.tracing import Span, Tracing

if TYPE_CHECKING:
    from consumer.flight import FlyingFrame
    from consumer.inference import EngineCall


class FrameTrace(Protocol):
    """Goes along with one frame."""

    def detected(self, flying: "FlyingFrame", frame: EncodedFrame, call: "EngineCall") -> EncodedFrame:
        """The engine has seen it; returns the frame as its detections are to carry it on."""
        ...

    def landed(self, flying: "FlyingFrame") -> None:
        """It has come to its end."""
        ...


NewTrace = Callable[[], FrameTrace]
"""Called for each frame that was read."""


class Untraced:
    """Tells nothing; the trace of the frame's publisher is passed on as it is. See `FrameTrace`."""

    def detected(self, flying: "FlyingFrame", frame: EncodedFrame, call: "EngineCall") -> EncodedFrame:  # noqa: ARG002
        """Changes nothing."""
        return frame

    def landed(self, flying: "FlyingFrame") -> None:
        """Says nothing."""


class TracedFrame:
    """Tells of one frame; see `FrameTrace`."""

    __slots__ = ("_call", "_group_id", "_model", "_process", "_tracing")

    def __init__(self, tracing: Tracing, model: str, group_id: str) -> None:
        self._tracing, self._model, self._group_id = tracing, model, group_id
        self._process: Span | None = None
        self._call: EngineCall | None = None

    def detected(self, flying: "FlyingFrame", frame: EncodedFrame, call: "EngineCall") -> EncodedFrame:
        """Begins its span, as its id is needed now."""
        self._call = call
        self._process = self._start(flying)
        trace = self._process.trace
        return frame if trace is None else replace(frame, trace=trace)

    def landed(self, flying: "FlyingFrame") -> None:
        """Tells of all that happened to it."""
        process = self._process or self._start(flying)
        error = flying.error
        if flying.decoded_at is not None:
            process.child("decode", flying.decoded_at - flying.decode_s, flying.decoded_at, {})
        if self._call is not None:
            tell_of_call(process, self._call, error if isinstance(error, DetectionError) else None)
        if flying.is_abandoned:
            process.end({"framebus.outcome": "abandoned"})
        elif flying.drop_reason is not None:
            process.end({"framebus.outcome": "dropped", "framebus.drop.reason": flying.drop_reason})
        elif error is not None:
            process.end({"framebus.outcome": "dead_letter"}, error_type=error.reason, message=str(error))
        else:
            process.end({"framebus.outcome": "detections", "framebus.objects": flying.detections})

    def _start(self, flying: "FlyingFrame") -> Span:
        record = flying.record
        return self._tracing.start(
            f"process {record.partition.topic}",
            "consumer",
            parent=wire.trace_of(record.headers),
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": record.partition.topic,
                "messaging.destination.partition.id": str(record.partition.number),
                "messaging.kafka.offset": record.offset,
                "messaging.kafka.message.key": flying.camera_id,
                "messaging.consumer.group.name": self._group_id,
                "framebus.model": self._model,
            },
            started_s=flying.polled_at,
        )


def new_trace(tracing: Tracing | None, model: str, group_id: str) -> NewTrace:
    """What frames of a model get; without tracing, one that tells nothing."""
    return Untraced if tracing is None else partial(TracedFrame, tracing, model, group_id)


def tell_of_call(span: Span, call: "EngineCall", error: DetectionError | None = None) -> None:
    """Adds the engine's call to the span of a picture that was in it; an error if it failed on that one."""
    model = call.model
    span.child(
        f"detect {model.name}",
        call.started_s,
        call.started_s + call.call_s,
        {
            "framebus.model": model.name,
            "framebus.model.version": model.version,
            "framebus.batch.size": call.batch_size,
        },
        error=error,
    )
