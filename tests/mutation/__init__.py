"""Hostile input, made from sound input: does each reader accept it, or refuse it as its contract says?

Every input follows from a seed, a target's name and a number, so that it can be made again by itself. Inputs
are tried in child processes, so that a crash or a hang is found with the input that caused it:

    changes.py parts.py      ways to change bytes, and the parts of a picture's file
    targets/                 what is tried, a module each: its inputs, how it reads them, what it may raise
    trial.py                 one input: twice the same outcome, within bounds of time and memory
    shard.py                 the child process: a range of inputs of one target
    watch.py                 its parent, which sees it crash or hang, and goes on behind that input
    report.py run.py         what came of it all

    python -m tests.mutation [--count N] [--seed S] [--json FILE]
"""

from tests.mutation.report import Report
from tests.mutation.run import run

__all__ = ["Report", "run"]
