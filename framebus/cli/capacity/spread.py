"""How unevenly a hash spreads cameras over partitions, and so over consumers."""

from math import exp, lgamma, log, sqrt

_CHANCE = 0.05
"""That it comes out more uneven than is told, for one set of cameras' names."""


def most_cameras(cameras: int, share: float, places: int) -> int:
    """How many cameras the fullest of some places gets, in 19 of 20 installations.

    The hash of its name puts a camera at a place with the probability `share`, so the number of cameras there
    is binomial; that any place has more is at most as probable as all of them together (Bonferroni's bound).

    Args:
        cameras: How many there are.
        share: Of a place, 0..1: 1 / places where all are alike.
        places: Consumers, or partitions.
    """
    if share >= 1 or cameras == 1:
        return cameras
    # So far up is nothing that counts.
    number = min(cameras, int(cameras * share + 12 * sqrt(cameras * share) + 24))
    tail = _probability(number, cameras, share)
    while number > 0 and places * tail <= _CHANCE:
        number -= 1
        tail += _probability(number, cameras, share)
    return number


def _probability(number: int, cameras: int, share: float) -> float:
    """That exactly so many are there (https://en.wikipedia.org/wiki/Binomial_distribution)."""
    ways = lgamma(cameras + 1) - lgamma(number + 1) - lgamma(cameras - number + 1)
    return exp(ways + number * log(share) + (cameras - number) * log(1 - share))
