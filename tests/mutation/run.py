"""Runs all targets at once, on all cores, and puts together what came of them."""

import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutation.report import Report, TargetReport
from tests.mutation.watch import Shard, watch

COUNT, SEED = 100_000, 1

SHARES = {
    "graphs": 0.008,
    "engines": 0.002,
    "model_folders": 0.04,
    "pictures": 0.36,
    "records": 0.38,
    "label_maps": 0.07,
    "configs": 0.07,
    "dead_letters": 0.07,
}
"""Of all inputs, by target; those that take longest first. What is slower by far has less."""

_SHARD_INPUTS = 20_000


def run(
    count: int = COUNT, seed: int = SEED, shares: Mapping[str, float] = SHARES, failed: Path | None = None
) -> Report:
    """Tries at least so many inputs, in child processes.

    Args:
        count: How many, of all targets together.
        seed: What they follow from.
        shares: How many of each target; whatever they add up to.
        failed: Folder for the inputs that fail; default: a new one for temporary files, made for the first.
    """
    folder = failed or Path(tempfile.gettempdir()) / f"mutations-{os.getpid()}"
    whole = sum(shares.values())
    shards = [
        Shard(target, seed, first, min(first + _SHARD_INPUTS, inputs))
        for target, share in shares.items()
        for inputs in [-int(-count * share // whole)]
        for first in range(0, inputs, _SHARD_INPUTS)
    ]
    targets = {target: TargetReport(target) for target in shares}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for part in pool.map(lambda shard: watch(shard, folder), shards):
            targets[part.target].add(part)
    return Report(seed, tuple(targets.values()))
