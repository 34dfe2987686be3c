"""The wheel, installed elsewhere and run from another directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, ROOT], check=True)
    [wheel] = wheels.glob("framebus-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True)
    return target


def run(installed: Path, directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_brings_the_files_that_the_programs_read(installed: Path, tmp_path: Path) -> None:
    code = "from framebus.resources import resource; print(resource('{}').read_text()[:1] and resource('{}'))"

    for name in ("infra/kafka/pom.xml", "models/samples.toml"):
        found = run(installed, tmp_path, "-c", code.format(name, name)).strip()
        assert Path(found).is_relative_to(installed)


def test_a_model_is_fetched_and_checked_from_any_directory(installed: Path, tmp_path: Path) -> None:
    run(installed, tmp_path, "-m", "framebus.cli", "models", "fetch", "pedestrian")

    assert "pedestrian: sound" in run(installed, tmp_path, "-m", "framebus.cli", "models", "check")
    assert (tmp_path / "models" / "pedestrian" / "frozen_inference_graph.pb").exists()
