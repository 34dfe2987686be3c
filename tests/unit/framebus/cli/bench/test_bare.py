from pathlib import Path

import pytest

from framebus.cli.bench.bare import BareSession
from framebus.errors import ModelError
from framebus.model_repository import ModelRepository


def test_it_measures_session_run_in_a_process_of_its_own(models_dir: Path, video: Path) -> None:
    with BareSession(ModelRepository(models_dir).open("cups"), video, cores=1) as session:
        figures = session.measure(batch=8, seconds=0.05)
        assert session.frames_per_s(batch=1, seconds=0.05) > 0
    assert figures["fps"] * figures["ms_per_image"] == pytest.approx(1000)
    assert figures["cpu_ms_per_image"] > 0


def test_a_graph_that_cannot_be_loaded_is_told_of(models_dir: Path, video: Path) -> None:
    model = ModelRepository(models_dir).open("cups")
    model.graph.write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"frozen_inference_graph\.pb: not a frozen graph"):
        BareSession(model, video).__enter__()
