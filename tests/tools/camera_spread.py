"""How unevenly cameras fall on consumers, a table of docs/scaling.md: python -m tests.tools.camera_spread.

Sets of cameras with names `camera-1`, `camera-2`... are put on four partitions per consumer by Kafka's hash.
"""

import statistics
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice

from framebus.bus.kafka.murmur2 import partition_of
from framebus.cli.capacity.plan import partitions_for
from framebus.cli.capacity.spread import most_cameras

INSTALLATIONS = 200
CONSUMERS = (2, 4, 16)
CAMERAS_PER_CONSUMER = (4, 16, 64)


def fullest(cameras: int, consumers: int, installations: int = INSTALLATIONS) -> list[int]:
    """How many cameras the fullest consumer has, in each of so many installations, in ascending order."""
    partitions = partitions_for(consumers)
    names = (f"camera-{number}".encode() for number in count(1))
    found = []
    for _ in range(installations):
        # Each consumer has every so many-th partition.
        places = Counter(partition_of(name, partitions) % consumers for name in islice(names, cameras))
        found.append(max(places.values()))
    return sorted(found)


def render() -> str:
    """The table: of the fullest consumer, times the average."""
    return "\n".join(
        [
            "| consumers | cameras per consumer | median | 19 of 20 | formula |",
            "| ---: | ---: | ---: | ---: | ---: |",
            *_rows(),
        ]
    )


def _rows() -> Iterator[str]:
    for consumers in CONSUMERS:
        for each in CAMERAS_PER_CONSUMER:
            cameras = each * consumers
            found = fullest(cameras, consumers)
            figures = (
                statistics.median(found),
                found[INSTALLATIONS * 19 // 20 - 1],
                most_cameras(cameras, 1 / consumers, consumers),
            )
            shown = " | ".join(f"{figure / each:.2f}" for figure in figures)
            yield f"| {consumers} | {each} | {shown} |"


if __name__ == "__main__":
    print(render())  # noqa: T201
