import pytest

from framebus.cli.bench.machine import cores
from framebus.cli.bench.rounds import Case, Measured
from framebus.cli.bench.stream import NAIVE, RAW, rows


def measured(case: str, **values: list[float]) -> Measured:
    return Measured(Case(case, dict), values)


def test_each_case_is_compared_round_by_round_and_parts_make_its_limit() -> None:
    # The machine is twice as slow in the second round, and everything with it.
    found = rows(
        {
            one.case.name: one
            for one in (
                measured(RAW, fps=[100.0, 50.0], cpu_ms_per_frame=[20.0, 40.0]),
                measured(NAIVE, fps=[40.0, 20.0], cpu_ms_per_frame=[25.0, 50.0]),
                measured("auto-f32", fps=[180.0, 90.0], cpu_ms_per_frame=[10.0, 20.0]),
                measured("engine of auto-f32", engine_ms=[8.0, 16.0]),
                measured("decoding", decode_ms=[1.0, 2.0]),
                measured("bus of auto-f32", broker_ms=[0.6, 1.2], clients_ms=[0.4, 0.8]),
            )
        }
    )

    assert list(found) == [RAW, NAIVE, "auto-f32"]
    row = found["auto-f32"]
    assert (row["fps"], row["fps_least"], row["fps_most"]) == (135, 90, 180)
    assert (row["vs_raw_b8_least"], row["vs_raw_b8_most"]) == pytest.approx((1.8, 1.8))
    assert (row["vs_naive_least"], row["vs_naive_most"]) == pytest.approx((4.5, 4.5))
    assert row["limit_fps_most"] == pytest.approx(cores() * 100)
    assert row["vs_limit_least"] == row["vs_limit_most"] == pytest.approx(1.8 / cores())
    assert row["engine_ms"] == 12
    assert "vs_limit" not in found[RAW]
    assert found[NAIVE]["vs_raw_b8"] == pytest.approx(0.4)
