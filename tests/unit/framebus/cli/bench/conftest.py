import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.graphs import write_graph

FRAMES = 12


@pytest.fixture
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models directory with one small model, `cups`, in the environment too."""
    monkeypatch.setenv("FRAMEBUS_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("FRAMEBUS_TENSORFLOW__VISIBLE_DEVICES", "")
    folder = tmp_path / "models" / "cups"
    folder.mkdir(parents=True)
    (folder / "object-detection.pbtxt").write_text("item { id: 7 name: 'cup' }")
    config = {"inference_engine_name": "tensorflow_detection", "confidence": 60, "predictions": 15}
    (folder / "config.json").write_text(json.dumps(config))
    write_graph(folder / "frozen_inference_graph.pb")
    return folder.parent


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Frames of 64x48, each redder than the one before, with nothing else in them."""
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(FRAMES):
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[:, :, 2] = 20 * number  # OpenCV's order is blue, green, red
        writer.write(frame)
    writer.release()
    return path
