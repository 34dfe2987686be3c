import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from consumer.engines.tensorflow_detection import TensorFlowDetectionEngine
from framebus.errors import DetectionError, ModelError, SettingsError
from framebus.frames import Image
from framebus.settings import Settings, TensorFlowSettings
from tests.engines import stored_model
from tests.graphs import Output, brightness, write_graph


class LoadEngine(Protocol):
    def __call__(self, visible_devices: str = "") -> TensorFlowDetectionEngine: ...


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "frozen_inference_graph.pb"


@pytest.fixture
def load(file: Path) -> Iterator[LoadEngine]:
    """Loads the graph in the file, on the CPU if no GPU is named."""
    engines = []

    def load(visible_devices: str = "") -> TensorFlowDetectionEngine:
        settings = Settings(tensorflow=TensorFlowSettings(visible_devices=visible_devices))
        engine = TensorFlowDetectionEngine(replace(stored_model(), graph=file), settings)
        engine.load()
        engines.append(engine)
        return engine

    yield load
    for engine in engines:
        engine.close()


def grey(level: int, width: int = 64, height: int = 48) -> Image:
    return np.full((height, width, 3), level, np.uint8)


def when_black(normal: Output, black: Output) -> Output:
    """An output that is made in another way if the first picture is black."""
    return lambda image: tf.cond(
        tf.equal(brightness(image)[0], 0.0), lambda: black(image), lambda: normal(image)
    )


def one_per_picture(image: tf.Tensor) -> tf.Tensor:
    return tf.ones(tf.shape(image)[:1])


def too_much_memory(image: tf.Tensor) -> tf.Tensor:
    """One number per picture, by way of 16 TiB."""
    huge = tf.fill([2**21, 2**21], brightness(image)[0])
    return one_per_picture(image) * tf.reduce_max(huge)


def test_detections_are_the_first_rows_in_pixels_of_the_picture(file: Path, load: LoadEngine) -> None:
    write_graph(file)
    (found,) = load().detect([grey(204, width=200, height=100)])
    assert (found.width, found.height) == (200, 100)
    np.testing.assert_allclose(found.boxes, [[40, 10, 120, 50]], rtol=1e-6)
    np.testing.assert_allclose(found.scores, [0.8], rtol=1e-6)
    assert found.class_ids.tolist() == [7]


@pytest.mark.parametrize("shape", [(None, None, None, 3), (1, None, None, 3)])
def test_results_come_in_the_order_of_the_pictures(
    file: Path, load: LoadEngine, shape: tuple[int | None, ...]
) -> None:
    write_graph(file, shape=shape)
    levels = [255, 0, 51, 153, 102]
    found = load().detect([grey(level) for level in levels])
    assert [float(one.scores[0]) for one in found] == pytest.approx([level / 255 for level in levels])


def test_threads_call_at_once(file: Path, load: LoadEngine) -> None:
    write_graph(file)
    engine = load()
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda level: engine.detect([grey(level)] * 3), range(1, 200)))
    assert [[round(float(one.scores[0]) * 255) for one in batch] for batch in found] == [
        [level] * 3 for level in range(1, 200)
    ]


@pytest.mark.parametrize("dtype", [tf.float32, tf.int32, tf.int64])
@pytest.mark.parametrize(("said", "kept"), [(0, 0), (1, 1), (2, 2), (5, 2), (-1, 0)])
def test_num_detections_may_be_of_any_type(
    file: Path, load: LoadEngine, dtype: tf.DType, said: int, kept: int
) -> None:
    write_graph(file, outputs={"num_detections": lambda image: tf.cast(said * one_per_picture(image), dtype)})
    (found,) = load().detect([grey(100)])
    assert len(found) == kept


@pytest.mark.parametrize(
    ("shape", "outputs"),
    [
        ((1, None, None, 3), {}),
        (
            (None, None, None, 3),
            {"num_detections": lambda image: tf.ones([1]) * tf.squeeze(brightness(image), 0)},
        ),
        ((None, None, None, 3), {"num_detections": lambda _: tf.ones([1])}),
        ((None, None, None, 3), {"detection_classes": lambda _: tf.constant([[7.0, 1.0]])}),
        (
            (None, None, None, 3),
            {
                "detection_scores": lambda image: tf.stack(
                    [tf.ones_like(brightness(image)) * brightness(image)[0]] * 2, 1
                )
            },
        ),
    ],
    ids=[
        "by its shape",
        "by an error",
        "by one count only",
        "by one row of classes only",
        "by the first picture's scores for all",
    ],
)
def test_a_graph_that_takes_one_picture_is_run_singly(
    file: Path, load: LoadEngine, shape: tuple[int | None, ...], outputs: dict[str, Output]
) -> None:
    write_graph(file, shape=shape, outputs=outputs)
    engine = load()
    assert engine.preferred_batch_size == 1
    assert [len(found) for found in engine.detect([grey(255)] * 3)] == [1, 1, 1]


def test_a_graph_that_takes_batches_prefers_the_size_of_the_settings(file: Path, load: LoadEngine) -> None:
    write_graph(file)
    assert load().preferred_batch_size == TensorFlowSettings().batch_size


def test_pictures_are_made_as_large_as_the_graph_wants_them(file: Path, load: LoadEngine) -> None:
    def corner(image: tf.Tensor) -> tf.Tensor:
        return tf.stack([brightness(image[:, :32, :48])] * 2, axis=1)

    write_graph(file, shape=(None, 64, 96, 3), outputs={"detection_scores": corner})
    engine = load()
    picture = grey(0, width=300, height=200)
    picture[:100, :150] = 255
    small, large = engine.detect([cv2.resize(picture, (96, 64)).astype(np.uint8), picture])
    assert large.scores == pytest.approx(small.scores, abs=1e-6)
    assert large.scores[0] > 0.97
    np.testing.assert_allclose(large.boxes, [[60, 20, 180, 100]], rtol=1e-6)
    assert engine.batch_key(picture) == engine.batch_key(grey(0))


def test_pictures_of_one_size_share_a_call(file: Path, load: LoadEngine) -> None:
    write_graph(file)
    engine = load()
    assert engine.batch_key(grey(1)) == engine.batch_key(grey(2))
    assert engine.batch_key(grey(1)) != engine.batch_key(grey(1, width=65))


def test_a_graph_that_names_a_device_which_is_not_here_runs_all_the_same(
    file: Path, load: LoadEngine
) -> None:
    def brightness_there(image: tf.Tensor) -> tf.Tensor:
        with tf.device("/device:GPU:7"):
            return tf.stack([brightness(image)] * 2, 1)

    write_graph(file, outputs={"detection_scores": brightness_there})

    [found] = load().detect([grey(255)])
    assert found.scores == pytest.approx([1.0])


def test_device_is_what_the_session_has(file: Path, load: LoadEngine) -> None:
    write_graph(file)
    assert load().device == "CPU"


@pytest.mark.parametrize("devices", ["99", "98,99"])
def test_a_gpu_that_is_not_there_is_refused(file: Path, load: LoadEngine, devices: str) -> None:
    write_graph(file)
    with pytest.raises(
        SettingsError, match=rf"^no GPU {devices} \(--devices, FRAMEBUS.*\): .*; .*\(--devices cpu\)"
    ):
        load(devices)


@pytest.mark.skipif(tf.test.is_built_with_cuda(), reason="this TensorFlow may find a GPU")
def test_a_tensorflow_without_cuda_is_told_from_a_missing_gpu(file: Path, load: LoadEngine) -> None:
    write_graph(file)
    with pytest.raises(SettingsError, match=r"built without CUDA; install .* extra `gpu`"):
        load("0")


@pytest.mark.parametrize("name", ["detection_boxes", "detection_scores", "detection_classes"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_fail_their_pictures_only(
    file: Path, load: LoadEngine, name: str, value: float
) -> None:
    shape = [2, 4] if name == "detection_boxes" else [2]

    def normal(image: tf.Tensor) -> tf.Tensor:
        return tf.zeros([tf.shape(image)[0], *shape])

    write_graph(file, outputs={name: when_black(normal, lambda image: normal(image) + value)})
    engine = load()
    with pytest.raises(DetectionError, match=f"{name} holds values that are no finite numbers"):
        engine.detect([grey(0)])
    assert len(engine.detect([grey(9)])) == 1


def test_padding_may_hold_anything(file: Path, load: LoadEngine) -> None:
    def scores(image: tf.Tensor) -> tf.Tensor:
        return tf.stack([brightness(image), brightness(image) * np.nan], axis=1)

    write_graph(file, outputs={"detection_scores": scores})
    assert len(load().detect([grey(9)])[0]) == 1


def test_a_count_that_is_no_number_fails_its_pictures(file: Path, load: LoadEngine) -> None:
    counts = when_black(one_per_picture, lambda image: one_per_picture(image) * np.nan)
    write_graph(file, outputs={"num_detections": counts})
    with pytest.raises(DetectionError, match="num_detections is nan, not a number of detections"):
        load().detect([grey(0)])


def test_pictures_that_the_graph_refuses_are_told_in_one_line(file: Path, load: LoadEngine) -> None:
    def forty_columns(image: tf.Tensor) -> tf.Tensor:
        return one_per_picture(tf.slice(image, [0, 0, 0, 0], [-1, -1, 40, -1]))

    write_graph(file, outputs={"num_detections": forty_columns})
    engine = load()
    assert len(engine.detect([grey(9, width=40)])) == 1
    with pytest.raises(
        DetectionError, match=r"^the graph refused 2 pictures: Expected size\[2\] in \[0, 39\]"
    ):
        engine.detect([grey(9, width=39)] * 2)


@pytest.mark.slow  # TensorFlow waits ten seconds for memory to become free
def test_a_picture_that_needs_too_much_memory_fails_alone(file: Path, load: LoadEngine) -> None:
    write_graph(file, outputs={"num_detections": when_black(one_per_picture, too_much_memory)})
    engine = load()
    with pytest.raises(DetectionError, match="the graph refused one picture: OOM when allocating"):
        engine.detect([grey(0)])
    assert len(engine.detect([grey(9)])) == 1


def test_an_error_that_is_not_the_pictures_fault_is_not_hidden(file: Path, load: LoadEngine) -> None:
    def read_missing_file(image: tf.Tensor) -> tf.Tensor:
        length = tf.strings.length(tf.io.read_file("missing"))
        return one_per_picture(image) * tf.cast(length, tf.float32)

    write_graph(file, outputs={"num_detections": when_black(one_per_picture, read_missing_file)})
    engine = load()
    with pytest.raises(tf.errors.NotFoundError):
        engine.detect([grey(0)])


@pytest.mark.slow  # TensorFlow waits ten seconds for memory to become free
def test_a_graph_too_large_for_the_memory_is_refused(file: Path, load: LoadEngine) -> None:
    write_graph(file, outputs={"num_detections": too_much_memory})
    with pytest.raises(
        ModelError, match=r"graph\.pb: out of memory: OOM .*; .*FRAMEBUS_TENSORFLOW__BATCH_SIZE"
    ):
        load()


def test_an_operation_that_cannot_run_here_is_named(file: Path, load: LoadEngine) -> None:
    def on_a_tpu(image: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([tf.raw_ops.ConfigureDistributedTPU()]):
            return one_per_picture(image)

    write_graph(file, outputs={"num_detections": on_a_tpu})
    with pytest.raises(
        ModelError, match=r"graph\.pb: TensorFlow .* on CPU cannot run it: .*ConfigureDistributedTPU"
    ):
        load()


def test_outputs_of_the_wrong_shape_are_refused(file: Path, load: LoadEngine) -> None:
    write_graph(file, outputs={"detection_boxes": lambda image: tf.zeros([tf.shape(image)[0], 2, 5])})
    with pytest.raises(
        ModelError, match=r"graph\.pb: the outputs for one picture have the shapes .*\(1, 2, 5\)"
    ):
        load()


@pytest.mark.parametrize("content", [b"damaged", b"[[a:b", b"[[a\0:" + b"b" * 10_000])
def test_a_constant_that_is_damaged_is_refused_whatever_it_looks_like(
    file: Path, load: LoadEngine, content: bytes
) -> None:
    graph_def = tf.GraphDef.FromString(write_graph(file).read_bytes())
    constant = next(node for node in graph_def.node if node.op == "Const" and node.name.startswith("Tile"))
    constant.attr["value"].tensor.tensor_content = content
    file.write_bytes(graph_def.SerializeToString())
    with pytest.raises(ModelError, match=r"frozen_inference_graph\.pb: ") as refused:
        load()
    assert len(str(refused.value)) < 1_000


@pytest.mark.parametrize(("said", "level"), [(None, "2"), ("0", "0")])
def test_tensorflow_is_quiet_unless_the_user_wants_its_logs(said: str | None, level: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    if said is not None:
        environment["TF_CPP_MIN_LOG_LEVEL"] = said
    script = "import os, consumer.engines; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == level
