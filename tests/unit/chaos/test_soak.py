import pytest

from tests.chaos.soak import Sample, slope_per_minute


@pytest.mark.parametrize("growth_mb_per_minute", [0.0, 0.5, 3.0])
def test_the_slope_is_that_of_the_line_under_the_noise(growth_mb_per_minute: float) -> None:
    samples = [
        Sample(
            at_s=1_000.0 + 5 * number,
            resident_mb=700.0 + growth_mb_per_minute * 5 * number / 60 + (-1) ** number * 2.0,
            file_descriptors=40,
            threads=30,
            answers=0,
            lag=0,
        )
        for number in range(200)
    ]

    assert slope_per_minute(samples) == pytest.approx(growth_mb_per_minute, abs=0.02)
