"""The child process that tries a range of inputs of one target, and tells of each as soon as it is through.

    python -m tests.mutation.shard TARGET SEED FIRST LAST    # LAST itself is not tried

It writes a line of JSON per input: its parent knows at any time which is being tried.
"""

import faulthandler
import os
import resource
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from random import Random

import orjson

from tests.mutation.targets import Input, Target, target
from tests.mutation.trial import resident_bytes, try_out

_ADDRESS_SPACE_BYTES = 4 * 2**30
"""How much more an input may ask for: what would take all of the machine fails instead, and is told of."""
_WARMING_UP = 20
"""So many inputs are tried before it counts how large the process is."""


def made(of: Target, name: str, seed: int, number: int) -> Input:
    """One input of a target: the same for the same seed and number."""
    return of.make(Random(f"{name} {seed} {number}"))


def main(name: str, seed: int, first: int, last: int) -> None:
    """See above."""
    faulthandler.enable()
    # What libraries print must not come between the lines for the parent.
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    tried = target(name)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_address_space_bytes() + _ADDRESS_SPACE_BYTES,) * 2)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, last):
            if number <= first + _WARMING_UP:
                bytes_at_first = resident_bytes()
            trial = try_out(tried, made(tried, name, seed, number), Path(folder))
            told = asdict(trial) | {
                "seconds": time.process_time(),
                "grown_bytes": resident_bytes() - bytes_at_first,
            }
            lines.write(orjson.dumps(told) + b"\n")


def _address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_bytes().split()[0])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
