"""A model ten times slower on the same topic: does the other one keep its rate?"""

import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from consumer.engines.engine import ENTRY_POINTS
from tests.tools.camera_load.bench import Bench, Seen
from tests.tools.camera_load.installation import Installation
from tests.tools.camera_load.reading import end_offsets
from tests.tools.camera_load.report import Report, Row, percentile

_ROUNDS = 2
_ENGINE = "slow_tensorflow"
_SLOW_ENGINE = "tests.tools.camera_load.slow_engine:SlowEngine"
_CHECKOUT = Path(__file__).parents[3]


def two_models(bench: Bench) -> Report:
    """Publishes to the fast model alone, and to both, in turn."""
    fast = bench.model
    turns: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="framebus-slow-") as directory:
        environment = _install_slow_engine(Path(directory))
        models_dir = Path(directory, "models")
        slow = _copy_with_slow_twin(bench.settings.models_dir / fast, models_dir)
        for turn in range(1, _ROUNDS + 1):
            for models in ([fast], [fast, slow]):
                turns += _publish(bench, models, models_dir, environment, turn)

    def median(column: str, others: int) -> float:
        values = [row[column] for row in turns if row["model"] == fast and row["models"] == 1 + others]
        return float(statistics.median(values))

    return {
        "models": turns,
        "the fast model, medians": [
            {
                "what": column,
                "alone": median(column, 0),
                "beside the slow one": median(column, 1),
                "ratio": round(median(column, 1) / median(column, 0), 3),
            }
            for column in ("answers/s", "wait p50 ms", "wait p99 ms", "age p99 ms")
        ],
    }


def _publish(
    bench: Bench, models: Sequence[str], models_dir: Path, environment: Mapping[str, str], turn: int
) -> list[Row]:
    settings = bench.settings.model_copy(update={"models_dir": models_dir})
    installation = Installation(settings, models, bench.logs, environment=environment)
    with installation.consumer() as consumer:
        bench.publish(installation)
        ends = sum(end_offsets(installation.kafka.bootstrap_servers, installation.topic).values())
        lags = {model: ends - sum(installation.committed(model).values()) for model in models}
        installation.wait_until_committed(bench.model)
        consumer.stop()
    return [
        {
            "turn": turn,
            "models": len(models),
            "model": model,
            "lag": lags[model],
            **_rates(Seen(installation, model)),
        }
        for model in models
    ]


def _rates(seen: Seen) -> Row:
    began_ms = min(frame.captured_ms for frame in seen.frames)
    ended_ms = max(frame.captured_ms for frame in seen.frames)
    in_time = sum(answer.appended_ms <= ended_ms for answer in seen.answers)
    return {
        "answers/s": in_time * 1000 / (ended_ms - began_ms),
        "wait p50 ms": percentile((answer.wait_ms for answer in seen.answers), 50),
        "wait p99 ms": percentile((answer.wait_ms for answer in seen.answers), 99),
        "age p99 ms": percentile((answer.age_ms for answer in seen.answers), 99),
        **asdict(seen.account()),
    }


def _copy_with_slow_twin(model_folder: Path, models_dir: Path) -> str:
    """Puts a model and a slow copy of it into a new models directory; returns the slow one's name."""
    slow = f"{model_folder.name}-slow"
    shutil.copytree(model_folder, models_dir / model_folder.name)
    shutil.copytree(model_folder, models_dir / slow)
    config_file = models_dir / slow / "config.json"
    config = json.loads(config_file.read_text())
    config_file.write_text(json.dumps(config | {"inference_engine_name": _ENGINE}))
    return slow


def _install_slow_engine(directory: Path) -> dict[str, str]:
    """Makes a distribution that brings the engine, and returns the environment in which it is installed."""
    metadata = directory / f"{_ENGINE}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {_ENGINE}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{_ENGINE} = {_SLOW_ENGINE}\n")
    paths = [str(directory), str(_CHECKOUT), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
