from tests.engines import ScriptedEngine
from tests.spans import PARENT, PARENT_ID, TRACE_ID, KeptSpans, recording
from tests.worker_port import BEARER, opened

PREDICT = "POST /models/{model}/predict"


def test_a_prediction_goes_on_in_the_trace_of_who_asks() -> None:
    kept = KeptSpans()
    with recording(kept) as tracing, opened(tracing=tracing, engine=ScriptedEngine(delay_s=0.02)) as port:
        answer = port.ask(headers={**BEARER, "traceparent": PARENT.traceparent})

    assert answer.status_code == 200
    request, decode, detect = kept.one(PREDICT), kept.one("decode"), kept.one("detect ssd")
    assert {span.trace_id for span in kept.all()} == {TRACE_ID}
    assert (request.parent_id, request.kind) == (PARENT_ID, "server")
    assert (decode.parent_id, detect.parent_id) == (request.id, request.id)
    assert detect.attributes["framebus.batch.size"] == 1
    began, ended = request.times_ns
    assert began <= decode.times_ns[0] <= decode.times_ns[1] <= detect.times_ns[0]
    assert detect.times_ns[0] + 20e6 <= detect.times_ns[1] <= ended


def test_what_the_worker_refuses_is_traced_too() -> None:
    kept = KeptSpans()
    with recording(kept) as tracing, opened(tracing=tracing) as port:
        assert port.ask().status_code == 401
        assert port.ask(b"no picture", headers=BEARER).status_code == 400

    assert [(span.name, span.attributes["http.response.status_code"]) for span in kept.all()] == [
        (PREDICT, 401),
        (PREDICT, 400),
    ]
