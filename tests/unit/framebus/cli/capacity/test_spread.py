import math

import pytest
from hypothesis import given
from hypothesis.strategies import integers

from framebus.cli.capacity.spread import most_cameras
from tests.tools.camera_spread import fullest


@pytest.mark.parametrize(("consumers", "cameras"), [(2, 16), (4, 16), (4, 128), (16, 64), (16, 512)])
def test_hardly_any_installation_is_more_uneven_by_the_hash_of_kafka(consumers: int, cameras: int) -> None:
    found = fullest(cameras, consumers, installations=200)

    most = most_cameras(cameras, 1 / consumers, consumers)
    assert sum(one <= most for one in found) / len(found) > 0.9
    assert most <= max(found)


@given(cameras=integers(1, 3_000), places=integers(1, 200))
def test_the_fullest_place_has_no_less_than_the_average_and_no_more_than_all(
    cameras: int, places: int
) -> None:
    most = most_cameras(cameras, 1 / places, places)

    assert math.ceil(cameras / places) <= most <= cameras
    assert most <= most_cameras(cameras + 1, 1 / places, places)


def test_one_place_has_all() -> None:
    assert most_cameras(7, 1.0, 1) == 7
    # P(both of two cameras on one of two places) is a half; of 100 cameras, P(more than 60 on one) is 0.035.
    assert most_cameras(2, 0.5, 2) == 2
    assert most_cameras(100, 0.5, 2) == 60
