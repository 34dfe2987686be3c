import json
from pathlib import Path

from framebus.cli.bench.child import Child
from framebus.cli.bench.footage import read_footage
from framebus.cli.bench.naive import NaiveLoop


def test_the_naive_loop_answers_as_the_old_service_did(models_dir: Path, video: Path) -> None:
    config = {"inference_engine_name": "tensorflow_detection", "confidence": 20, "predictions": 15}
    (models_dir / "cups" / "config.json").write_text(json.dumps(config))
    black, *_, red = read_footage(video, frames=12).jpegs

    with Child(f"{NaiveLoop.__module__}:{NaiveLoop.__name__}", models_dir, "cups", video) as loop:
        of_black, of_red = (json.loads(loop.ask("answer", jpeg)) for jpeg in (black, red))
        figures = loop.ask("measure", 0.05)

    assert of_black == {"data": {"bounding-boxes": []}, "error": "", "success": True}
    # As sure as the picture is bright, and always there (tests/graphs.py).
    [found] = of_red["data"]["bounding-boxes"]
    assert 20 < found.pop("confidence") < 40
    assert found == {
        "ObjectClassName": "cup",
        "ObjectClassId": 7,
        "coordinates": {"left": 12, "top": 4, "right": 38, "bottom": 24},
    }
    assert figures["fps"] > 0
    assert figures["cpu_ms_per_frame"] > 0
