import json
import tempfile
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from consumer.engines.engine import ENTRY_POINTS
from framebus.bus.kafka.murmur2 import partition_of
from framebus.cli import bench
from framebus.cli.bench.consumer_group import one_camera_per_partition


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_consumers_do_more_than_one_and_every_frame_is_answered_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    results, plot = tmp_path / "results.json", tmp_path / "plot.svg"
    short = ("--consumers", "2", "--short", "--rounds", "1", "--seconds", "1")

    before = set(psutil.Process().children(recursive=True))
    result = CliRunner().invoke(
        bench.app, ["consumers", *short, "--json", str(results), "--plot", str(plot)], catch_exceptions=False
    )

    assert result.exit_code == 0, result.output
    assert "<svg" in plot.read_text()
    written = json.loads(results.read_text())
    assert written["machine"]["kafka_broker"]
    rows: list[dict[str, Any]] = written["results"]
    assert [(row["consumers"], row["partitions"]) for row in rows] == [(1, 4), (2, 4)]
    one, two = rows
    for row in rows:
        assert (row["lost"], row["duplicates"]) == (0, 0)
        assert row["frames"] >= row["fps"]
        # No engine does more than 8 pictures in 100 ms; a window may catch the end of one call more.
        assert 0.3 < row["vs_engines"] < 1.15
        assert row["busy_cores"] > 0
        assert row["cpu_ms_per_frame"] > 0
        assert row["consumer_mb"] > 10
        assert row["efficiency"] == pytest.approx(row["vs_one"] / row["consumers"])
    assert one["vs_one"] == 1
    assert two["vs_one"] == pytest.approx(two["fps"] / one["fps"])
    assert two["vs_one"] > 1.2
    assert list(temporary.iterdir()) == []
    assert set(psutil.Process().children(recursive=True)) <= before


def test_nobody_else_is_offered_the_engine_that_sleeps() -> None:
    assert sorted(entry_points(group=ENTRY_POINTS).names) == [
        "auto",
        "openvino_detection",
        "tensorflow_detection",
    ]


@pytest.mark.parametrize("partitions", [1, 4, 12])
def test_each_partition_has_one_camera(partitions: int) -> None:
    cameras = one_camera_per_partition(partitions)

    assert sorted(partition_of(one.encode(), partitions) for one in cameras) == list(range(partitions))
