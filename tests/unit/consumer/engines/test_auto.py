import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import openvino
import pytest

from consumer.engines import auto, openvino_detection
from consumer.engines.auto import AutoEngine
from consumer.engines.openvino_detection import OpenVinoDetectionEngine
from consumer.engines.tensorflow_detection import TensorFlowDetectionEngine
from framebus.detections import Detections
from framebus.errors import DetectionError, ModelError
from framebus.frames import Image
from framebus.model_repository import StoredModel
from framebus.settings import OpenVinoSettings, Settings, TensorFlowSettings
from tests.engines import stored_model
from tests.graphs import write_graph
from tests.unit.consumer.engines.graph_variants import Variant, write
from tests.unit.consumer.engines.same_detections import assert_same, draw

CUT, WHOLE = "openvino_detection", "tensorflow_detection"
SETTINGS = Settings(
    tensorflow=TensorFlowSettings(visible_devices="", batch_size=2), openvino=OpenVinoSettings(threads=1)
)
PICTURE = draw(200, 300)
Load = Callable[[StoredModel], AutoEngine]


@pytest.fixture
def load() -> Iterator[Load]:
    engines = []

    def load(model: StoredModel) -> AutoEngine:
        engines.append(AutoEngine(model, SETTINGS))
        engines[-1].load()
        return engines[-1]

    yield load
    for engine in engines:
        engine.close()


@pytest.fixture
def model(tmp_path: Path) -> StoredModel:
    return replace(stored_model(), graph=write(Variant(), tmp_path))


class Speeds:
    """How much longer each engine takes, and which of them are loaded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.delays_s = {CUT: 0.0, WHOLE: 0.0}
        self.failing: str | None = None
        self.loaded: list[str] = []
        whole, cut = (
            self._delayed(TensorFlowDetectionEngine, WHOLE),
            self._delayed(OpenVinoDetectionEngine, CUT),
        )
        monkeypatch.setattr(auto, "TensorFlowDetectionEngine", whole)
        monkeypatch.setattr(openvino_detection, "OpenVinoDetectionEngine", cut)

    def _delayed(self, kind: type[TensorFlowDetectionEngine | OpenVinoDetectionEngine], name: str) -> object:
        speeds = self

        class Delayed(kind):  # type: ignore[misc, valid-type]
            def load(self) -> None:
                super().load()
                speeds.loaded.append(name)

            def detect(self, images: Sequence[Image], least_score: float = 0.0) -> list[Detections]:
                if speeds.failing == name:
                    raise DetectionError("refused")
                time.sleep(speeds.delays_s[name])
                found: list[Detections] = super().detect(images, least_score)
                return found

            def close(self) -> None:
                super().close()
                if name in speeds.loaded:
                    speeds.loaded.remove(name)

        return Delayed


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> Speeds:
    return Speeds(monkeypatch)


def test_results_are_those_of_the_whole_graph(load: Load, model: StoredModel) -> None:
    engine = load(model)
    whole = TensorFlowDetectionEngine(model, SETTINGS)
    whole.load()
    assert_same(engine.detect([PICTURE])[0], whole.detect([PICTURE])[0])
    whole.close()


@pytest.mark.parametrize(("slow", "fast"), [(CUT, WHOLE), (WHOLE, CUT)])
def test_the_faster_engine_stays_and_the_other_is_closed(
    load: Load, model: StoredModel, speeds: Speeds, slow: str, fast: str
) -> None:
    speeds.delays_s[slow] = 0.1
    engine = load(model)
    assert speeds.loaded == [fast]
    assert engine.report.engine == fast
    assert engine.report.fallback is None
    assert set(engine.report.ms_per_image) == {CUT, WHOLE}
    assert engine.report.ms_per_image[slow] > engine.report.ms_per_image[fast] > 0
    assert engine.preferred_batch_size == (1 if fast == CUT else 2)
    assert engine.concurrency == (3 if fast == CUT else SETTINGS.tensorflow.concurrency)
    assert engine.device == "CPU"
    assert (engine.batch_key(PICTURE) == engine.batch_key(draw(5, 6))) == (fast == CUT)
    assert len(engine.detect([PICTURE, PICTURE])) == 2
    engine.close()
    assert speeds.loaded == []


def test_a_graph_that_cannot_be_cut_runs_whole(load: Load, tmp_path: Path) -> None:
    graph = write(Variant(layers="in a loop"), tmp_path)
    engine = load(replace(stored_model(), graph=graph))
    assert engine.report.engine == WHOLE
    assert "convolutions depend on what was found" in str(engine.report.fallback)
    assert len(engine.detect([PICTURE])) == 1


def test_without_openvino_the_graph_runs_whole(
    load: Load, model: StoredModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_openvino(monkeypatch)
    monkeypatch.setitem(sys.modules, "openvino", None)
    engine = load(model)
    assert engine.report.engine == WHOLE
    assert "install framebus with its extra `cpu`" in str(engine.report.fallback)
    assert len(engine.detect([PICTURE])) == 1


def test_with_an_openvino_that_is_broken_the_graph_runs_whole(
    load: Load, model: StoredModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forget_openvino(monkeypatch)
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino/__init__.py").write_text("raise ImportError('libtbb.so.12: cannot open it')")
    monkeypatch.syspath_prepend(tmp_path)
    engine = load(model)
    assert engine.report.engine == WHOLE
    assert "libtbb.so.12: cannot open it" in str(engine.report.fallback)


def forget_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it had not been imported yet."""
    for name in list(sys.modules):
        if name.partition(".")[0] == "openvino" or name.startswith("consumer.engines.openvino_"):
            monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("failing", [CUT, WHOLE])
def test_when_one_cannot_be_timed_neither_stays_loaded(
    model: StoredModel, speeds: Speeds, failing: str
) -> None:
    speeds.failing = failing
    with pytest.raises(DetectionError):
        AutoEngine(model, SETTINGS).load()
    assert speeds.loaded == []


def test_a_model_that_cannot_be_run_is_refused_in_the_same_words(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "frozen_inference_graph.pb", without=["num_detections"])
    model = replace(stored_model(), graph=graph)
    with pytest.raises(ModelError) as refused:
        AutoEngine(model, SETTINGS).load()
    with pytest.raises(ModelError) as refused_whole:
        TensorFlowDetectionEngine(model, SETTINGS).load()
    assert str(refused.value) == str(refused_whole.value)


@pytest.mark.skipif(
    "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
    reason="this CPU does not compute in bf16",
)
def test_bf16_is_used_where_it_is_wanted(load: Load, model: StoredModel, speeds: Speeds) -> None:
    speeds.delays_s[WHOLE] = 0.1
    rough = replace(model, config=model.config.model_copy(update={"precision": "bf16"}))
    assert [load(one).report.precision for one in (model, rough)] == ["f32", "bf16"]
