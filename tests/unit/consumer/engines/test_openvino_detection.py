from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from consumer.engines.engine import DetectionEngine
from consumer.engines.openvino_detection import OpenVinoDetectionEngine
from consumer.engines.tensorflow_detection import TensorFlowDetectionEngine
from framebus.detections import Detections
from framebus.errors import DetectionError
from framebus.frames import Image
from framebus.model_repository import StoredModel
from framebus.settings import OpenVinoSettings, Settings, TensorFlowSettings
from tests.tools import detection_graphs
from tests.unit.consumer.engines.graph_variants import KINDS, Variant, each_kind, model_of, write
from tests.unit.consumer.engines.same_detections import assert_same, certain, draw
from tests.unit.consumer.engines.variant_networks import SIZE

HAS_BF16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
SETTINGS = Settings(tensorflow=TensorFlowSettings(visible_devices="", batch_size=1))
PICTURES = [
    *(draw(height, width, seed) for seed, (height, width) in enumerate([(48, 64), (64, 64), (700, 500)])),
    *(draw(height, width, seed) for seed, (height, width) in enumerate([(100, 300), (200, 90), (10, 17)])),
    draw(1, 1),
    draw(120, 160, most=30),  # dark
    np.full((99, 133, 3), 201, np.uint8),
]
# Why each is run whole; all others are cut.
WHOLE = {
    Variant(resizing="none", input_shape=(None, SIZE, SIZE, 3)): "its pictures are not resized",
    Variant(resizing="none", anchors="by shape"): "its pictures are not resized",
    Variant(resizing="aspect kept", anchors="by shape"): "not all resized to one size",
    Variant(resizing="aspect kept, padded"): "not all resized to one size",
    Variant(layers="in a loop"): "convolutions depend on what was found in the picture",
    Variant(layers="all in a loop"): "its network starts inside of a loop",
    Variant(layers="by content"): "convolutions depend on what was found in the picture",
    Variant(layers="that overflow"): "is off by nan",
    Variant(layers="of no numbers"): "is off by nan",
    Variant(scores="by brightness"): "is made of the picture too",
    Variant(scores="of dark ones halved"): "is made of the picture too",
    Variant(scores="of tall ones halved"): "which pictures differ in",
    Variant(scores="of tiny ones halved"): "which pictures differ in",
}
NEEDS_MORE = ("none", "aspect kept")  # than to be the only part that differs
VARIANTS = [
    *(variant for variant in each_kind() if variant.resizing not in NEEDS_MORE),
    *(variant for variant in WHOLE if variant.resizing in NEEDS_MORE),
    Variant(control_flow=2),
    Variant(suppression="by number", control_flow=2),
    Variant(normalising="dark ones brightened", control_flow=2),
    Variant(resizing="without a loop", normalising="dark ones brightened in a function"),
    Variant(input_shape=(1, None, None, 3)),
    Variant(input_shape=(None, SIZE, SIZE, 3)),
    Variant(input_shape=(None, 90, 120, 3)),
]


class Engines:
    """Both engines on one model."""

    def __init__(self, model: StoredModel) -> None:
        self.cut = OpenVinoDetectionEngine(model, SETTINGS)
        self.whole = TensorFlowDetectionEngine(model, SETTINGS)
        self.cut.load()
        self.whole.load()

    def assert_agree(self, pictures: list[Image] = PICTURES) -> int:
        """Returns how many detections there were to compare."""
        count = 0
        for picture in pictures:
            try:
                [wanted] = self.whole.detect([picture])
            except DetectionError as error:
                with pytest.raises(DetectionError, match=str(error)[:30]):
                    self.cut.detect([picture])
                continue
            for least_score in (0.0, 0.3):
                [found] = self.cut.detect([picture], least_score)
                assert_same(found, wanted)
            count += certain(wanted)
        return count

    def close(self) -> None:
        self.cut.close()
        self.whole.close()


@pytest.fixture
def engines() -> Iterator[Callable[[StoredModel], Engines]]:
    """Loads both engines."""
    loaded: list[Engines] = []

    def load(model: StoredModel) -> Engines:
        loaded.append(Engines(model))
        return loaded[-1]

    yield load
    for one in loaded:
        one.close()


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    engines = Engines(model_of(write(Variant(), tmp_path_factory.mktemp("usual"))))
    yield engines
    engines.close()


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_results_are_those_of_the_whole_graph(
    tmp_path: Path, engines: Callable[[StoredModel], Engines], variant: Variant
) -> None:
    both = engines(model_of(write(variant, tmp_path)))
    report = both.cut.report
    if (reason := WHOLE.get(variant)) is None:
        assert report.fallback is None
        assert report.engine == "openvino_detection"
        assert max(report.deviations.values()) < 1e-4
    else:
        assert reason in str(report.fallback)
        assert report.engine == "tensorflow_detection"
    both.assert_agree()


def mostly(usual: Any, others: Sequence[Any]) -> st.SearchStrategy[Any]:
    """With many unusual parts, no graph could be cut."""
    return st.sampled_from([*[usual] * 3 * len(others), *others])


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # each graph takes a second: what fails is not made simpler
    suppress_health_check=list(HealthCheck),
)
@given(
    variant=st.builds(
        Variant,
        **{kind: mostly(getattr(Variant(), kind), sorted(parts)) for kind, parts in KINDS.items()},
        control_flow=mostly(1, [2]),
        input_shape=mostly((None, None, None, 3), [(1, None, None, 3), (None, 90, 120, 3)]),
    ),
    seed=st.integers(0, 2**16),
)
def test_results_are_those_of_the_whole_graph_however_it_is_made(
    tmp_path_factory: pytest.TempPathFactory, variant: Variant, seed: int
) -> None:
    if variant.resizing in NEEDS_MORE:
        variant = replace(variant, anchors="by shape")
    model = model_of(write(variant, tmp_path_factory.mktemp("random"), seed))
    both = Engines(model)
    both.assert_agree()
    both.close()


def test_the_usual_graph_finds_something(usual: Engines) -> None:
    """Else, no results would be told from others."""
    assert usual.assert_agree([draw(200, 300, seed) for seed in range(5)]) > 10


def test_one_picture_per_call_and_two_calls_more_than_cores(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"openvino": OpenVinoSettings(threads=3)})
    engine = OpenVinoDetectionEngine(model_of(write(Variant(), tmp_path)), settings)
    engine.load()
    assert engine.preferred_batch_size == 1
    assert engine.concurrency == 5
    assert engine.device == "CPU"
    assert engine.batch_key(draw(3, 4)) == engine.batch_key(draw(5, 6))
    engine.close()


def test_what_it_says_of_itself_when_it_runs_the_whole_graph(
    tmp_path: Path, engines: Callable[[StoredModel], Engines]
) -> None:
    both = engines(model_of(write(Variant(layers="in a loop"), tmp_path)))
    for name in ("preferred_batch_size", "concurrency", "device"):
        assert getattr(both.cut, name) == getattr(both.whole, name)
    assert both.cut.batch_key(draw(3, 4)) == both.whole.batch_key(draw(3, 4))
    assert both.cut.report.parts == {}


def test_threads_call_at_once_with_pictures_of_many_sizes(usual: Engines) -> None:
    sizes = [(20 + 37 * number % 400, 30 + 53 * number % 500) for number in range(40)]
    pictures = [draw(*size, seed) for seed, size in enumerate(sizes)]
    alone = [usual.cut.detect([picture], 0.3)[0] for picture in pictures]
    assert sum(map(certain, alone)) > 40
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda picture: usual.cut.detect([picture], 0.3)[0], pictures * 3))
    for one, other in zip(together, alone * 3, strict=True):
        assert_same(one, other)


def test_several_pictures_in_a_call_come_back_in_their_order(usual: Engines) -> None:
    pictures = [draw(100, 200 + 10 * seed, seed) for seed in range(6)]
    for found, picture in zip(usual.cut.detect(pictures), pictures, strict=True):
        assert_same(found, usual.cut.detect([picture])[0])


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (10, 40_000), (40_000, 10), (2, 32_767)])
def test_pictures_of_odd_sizes(usual: Engines, size: tuple[int, int]) -> None:
    usual.assert_agree([draw(*size)])


@pytest.mark.parametrize(
    "arranged", [np.asfortranarray, lambda image: image[::-1, ::-1], lambda image: image[:, ::2]]
)
def test_pictures_in_any_order_of_memory(usual: Engines, arranged: Callable[[Image], Image]) -> None:
    picture = arranged(draw(150, 200))
    picture.flags.writeable = False
    usual.assert_agree([picture])


@pytest.mark.parametrize("least_score", [0.0, 0.05, 0.5, 0.999, 1.0])
def test_all_with_the_least_score_are_found(usual: Engines, least_score: float) -> None:
    for seed in range(4):
        picture = draw(200, 300, seed)

        def above(found: Detections) -> Detections:
            kept = found.scores > max(least_score, 0.31) + 1e-4
            return replace(
                found, boxes=found.boxes[kept], scores=found.scores[kept], class_ids=found.class_ids[kept]
            )

        [found], [wanted] = usual.cut.detect([picture], least_score), usual.whole.detect([picture])
        assert_same(above(found), above(wanted))


def test_an_engine_is_closed_and_another_loaded(tmp_path: Path, usual: Engines) -> None:
    engine = OpenVinoDetectionEngine(model_of(write(Variant(), tmp_path)), SETTINGS)
    engine.close()
    engine.load()
    [before] = engine.detect([PICTURES[0]])
    engine.close()
    engine.close()
    assert_same(usual.cut.detect([PICTURES[0]])[0], before)


def test_a_picture_that_the_graph_refuses_fails_alone(
    tmp_path: Path, engines: Callable[[StoredModel], Engines]
) -> None:
    both = engines(model_of(write(Variant(resizing="of large ones only"), tmp_path)))
    each: list[DetectionEngine] = [both.cut, both.whole]
    for engine in each:
        with pytest.raises(DetectionError, match="the graph refused one picture: "):
            engine.detect([draw(10, 10)])
    both.assert_agree([draw(150, 200)])


@pytest.mark.parametrize("description", detection_graphs.GRAPHS, ids=lambda graph: str(graph.name))
def test_graphs_like_exports(
    tmp_path: Path,
    engines: Callable[[StoredModel], Engines],
    description: detection_graphs.DetectionGraph,
) -> None:
    file = tmp_path / "frozen_inference_graph.pb"
    file.write_bytes(detection_graphs.build(description).SerializeToString())
    both = engines(model_of(file))
    assert (both.cut.report.fallback is None) == (not description.two_stage)
    assert both.assert_agree([*detection_graphs.pictures(2), draw(300, 800)]) > 0


@pytest.mark.skipif(not HAS_BF16, reason="this CPU does not compute in bf16")
def test_bf16_says_how_far_off_it_is(tmp_path: Path, usual: Engines) -> None:
    engine = OpenVinoDetectionEngine(model_of(write(Variant(), tmp_path), "bf16"), SETTINGS)
    engine.load()
    assert engine.report.precision == "bf16"
    assert engine.report.fallback is None
    assert 1e-5 < engine.report.deviations["score"] < 0.5
    picture = draw(200, 300)
    [rough], [exact] = engine.detect([picture]), usual.cut.detect([picture])
    assert not np.array_equal(rough.scores[:3], exact.scores[:3])
    np.testing.assert_allclose(rough.scores[:3], exact.scores[:3], atol=0.1)
    engine.close()


@pytest.mark.skipif(HAS_BF16, reason="this CPU computes in bf16")
def test_without_bf16_it_is_f32_that_runs(tmp_path: Path, engines: Callable[[StoredModel], Engines]) -> None:
    both = engines(model_of(write(Variant(), tmp_path), "bf16"))
    assert both.cut.report.precision == "f32"
    assert "this CPU does not compute in bf16" in str(both.cut.report.fallback)
    both.assert_agree()


@pytest.mark.parametrize("heads", ["joined after decoding", "not joined"])
def test_boxes_are_never_decoded_in_bf16(
    tmp_path: Path, engines: Callable[[StoredModel], Engines], heads: str
) -> None:
    both = engines(model_of(write(Variant(heads=heads), tmp_path), "bf16"))
    assert both.cut.report.precision == "f32"
    assert both.cut.report.fallback is not None
    both.assert_agree()
