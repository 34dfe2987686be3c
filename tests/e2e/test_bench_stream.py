"""`framebus bench stream` and `latency` as their user runs them, in the shortest form, with a tiny model."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

from tests.graphs import write_graph

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_DEADLINE_S = 300.0
_SPREAD = ("", "_least", "_most")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """With one small model, `cups`, a folder for temporary files, and settings that are for other brokers."""
    folder = tmp_path / "models" / "cups"
    folder.mkdir(parents=True)
    (folder / "object-detection.pbtxt").write_text("item { id: 7 name: 'cup' }")
    config = {"inference_engine_name": "tensorflow_detection", "confidence": 60, "predictions": 15}
    (folder / "config.json").write_text(json.dumps(config))
    write_graph(folder / "frozen_inference_graph.pb")
    (tmp_path / "temporary").mkdir()
    return {
        **os.environ,
        "TMPDIR": str(tmp_path / "temporary"),
        "FRAMEBUS_MODELS_DIR": str(folder.parent),
        "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": "kafka.example:9092",
        "FRAMEBUS_ROUTES": '[{"topic": "other", "models": ["other"]}]',
    }


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(5):
        writer.write(np.full((48, 64, 3), 60 * number, np.uint8))
    writer.release()
    return path


def command(name: str, video: Path) -> list[str]:
    shortest = ("--short", "--rounds", "1", "--seconds", "0.5", "--case", "tensorflow")
    program = (sys.executable, "-c", "from framebus.cli.bench import app; app()", name)
    return [*program, "--model", "cups", "--video", str(video), *shortest]


def run(name: str, video: Path, environment: dict[str, str], tmp_path: Path) -> list[dict[str, Any]]:
    results, plot = tmp_path / "results.json", tmp_path / "plot.svg"
    done = subprocess.run(
        [*command(name, video), "--json", str(results), "--plot", str(plot)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "tensorflow" in done.stdout
    assert "<svg" in plot.read_text()
    assert list((tmp_path / "temporary").iterdir()) == []
    written = json.loads(results.read_text())
    assert written["machine"]["kafka_broker"]
    rows: list[dict[str, Any]] = written["results"]
    assert {row["model"] for row in rows} == {"cups"}
    return rows


def test_stream_compares_a_consumer_with_bare_tensorflow_the_naive_loop_and_its_limit(
    video: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    raw, naive, consumer = run("stream", video, environment, tmp_path)

    assert (raw["case"], naive["case"], consumer["case"]) == ("raw-b8", "naive", "tensorflow")
    assert consumer["engine"] == "tensorflow_detection"
    for row in (raw, naive, consumer):
        for figure in ("fps", "cpu_ms_per_frame", "vs_raw_b8", "vs_naive"):
            assert all(row[figure + end] > 0 for end in _SPREAD)
    assert consumer["vs_raw_b8"] == pytest.approx(consumer["fps"] / raw["fps"])
    assert consumer["vs_naive"] == pytest.approx(consumer["fps"] / naive["fps"])
    assert consumer["vs_limit"] == pytest.approx(consumer["fps"] / consumer["limit_fps"])
    for part in ("decode_ms", "engine_ms", "clients_ms"):
        assert consumer[part] > 0


def test_latency_is_measured_at_a_share_of_the_throughput(
    video: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    [row] = run("latency", video, environment, tmp_path)

    assert (row["case"], row["engine"], row["load"]) == ("tensorflow", "tensorflow_detection", 0.5)
    assert row["offered_fps"] == pytest.approx(0.5 * row["throughput_fps"])
    assert row["fps"] > 0
    assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"]
    assert row["p99_over_image"] == pytest.approx(row["p99_ms"] / row["image_ms"])


def test_an_interrupted_measurement_leaves_nothing_behind(
    video: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    with subprocess.Popen(
        command("stream", video),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        deadline_s = time.monotonic() + _DEADLINE_S
        children: list[psutil.Process] = []
        while not any(map(is_consumer, children)):
            assert time.monotonic() < deadline_s
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
            children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(_DEADLINE_S) == 130, process.stderr.read()
    assert len(children) > 2  # the broker, bare TensorFlow...
    assert not any(child.is_running() for child in children)
    assert list((tmp_path / "temporary").iterdir()) == []


def is_consumer(process: psutil.Process) -> bool:
    try:
        return "consume" in process.cmdline()
    except psutil.NoSuchProcess:
        return False
