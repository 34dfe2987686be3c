"""Runs a shard in a child process, sees it crash or hang, and goes on behind the input that did it."""

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import orjson

from framebus.child_process import start_child
from tests.mutation import shard
from tests.mutation.report import CRASH, FAULT, HANG, Failure, TargetReport
from tests.mutation.targets import target

_ROOT = Path(__file__).parents[2]
_LONGEST_SECONDS = 60.0
"""Without a word from the child. Its start, with TensorFlow on a busy machine, takes the longest."""
_DYING_SECONDS = 10.0
_MOST_FAILURES = 10
"""Then there is something to mend before the rest is of interest."""
_DETAIL_BYTES = 4_000
_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Its own allocator waits ten seconds for memory, each time, before it gives up.
    "TF_ENABLE_ONEDNN_OPTS": "0",
    # Each further arena reserves much more memory than an input takes.
    "MALLOC_ARENA_MAX": "1",
}


@dataclass(frozen=True, slots=True)
class Shard:
    """Inputs of one target, by their numbers: from `first` up to, but without, `last`."""

    target: str
    seed: int
    first: int
    last: int


def watch(wanted: Shard, failed: Path, longest_s: float = _LONGEST_SECONDS) -> TargetReport:
    """Tries the inputs of a shard; gives up when too many fail.

    Args:
        wanted: What to try.
        failed: Folder for the inputs that fail; made for the first.
        longest_s: A child that says nothing for so many seconds hangs.
    """
    report = TargetReport(wanted.target)
    rest = wanted
    while rest.first < rest.last and len(report.failures) < _MOST_FAILURES:
        part = _run(rest, failed, longest_s)
        report.add(part)
        rest = replace(rest, first=rest.first + part.tried)
    return report


def _run(wanted: Shard, failed: Path, longest_s: float) -> TargetReport:
    """Tries inputs in one child, up to the one that ends it."""
    report = TargetReport(wanted.target)
    with tempfile.TemporaryFile() as noise:
        numbers = (wanted.seed, wanted.first, wanted.last)
        child = start_child(
            [sys.executable, "-m", shard.__name__, wanted.target, *map(str, numbers)],
            stdout=subprocess.PIPE,
            stderr=noise,
            cwd=_ROOT,
            env=os.environ | _ENVIRONMENT,
        )
        assert child.stdout is not None
        what, how = CRASH, ""
        try:
            for line in _lines(child.stdout, longest_s):
                told = orjson.loads(line)
                if told["fault"] and len(report.failures) < _MOST_FAILURES:
                    number = wanted.first + report.tried
                    report.failures.append(_failure(FAULT, wanted, number, failed, told["fault"]))
                report.outcomes[told["kind"], told["outcome"]] += 1
                report.grown_bytes = max(report.grown_bytes, told["grown_bytes"])
                report.seconds = told["seconds"]
        except TimeoutError:
            what, how = HANG, f"no word for {longest_s:g} s, ended with "
            child.send_signal(signal.SIGABRT)  # upon which it says where it is
        finally:
            how += _ending(child)
        if child.returncode != 0:
            number = min(wanted.first + report.tried, wanted.last - 1)  # it may also die of one at its end
            failure = _failure(what, wanted, number, failed, f"{how}\n{_tail(noise)}")
            report.failures.append(failure)
            report.outcomes[failure.kind, what] += 1
    return report


def _lines(pipe: IO[bytes], longest_s: float) -> Iterator[bytes]:
    """Yields lines until the other side ends; raises `TimeoutError` where it says nothing for too long."""
    rest = b""
    while select.select([pipe], [], [], longest_s)[0]:
        data = os.read(pipe.fileno(), 2**16)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
    raise TimeoutError


def _ending(child: subprocess.Popen[bytes]) -> str:
    """Waits for a child that ends, and says how it did."""
    try:
        code = child.wait(_DYING_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        code = child.wait()
    if child.stdout is not None:
        child.stdout.close()
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _tail(noise: IO[bytes]) -> str:
    noise.seek(max(0, noise.seek(0, os.SEEK_END) - _DETAIL_BYTES))
    return noise.read().decode(errors="replace")


def _failure(what: str, of: Shard, number: int, failed: Path, detail: str) -> Failure:
    """Saves the input of that number; made again here, for its child may be no more."""
    made = shard.made(target(of.target), of.target, of.seed, number)
    failed.mkdir(parents=True, exist_ok=True)
    file = failed / f"{what}-{of.target}-{of.seed}-{number}"
    file.write_bytes(made.content if isinstance(made.content, bytes) else repr(made.content).encode())
    again = f"python -m {shard.__name__} {of.target} {of.seed} {number} {number + 1}"
    return Failure(what, of.target, made.kind, again, str(file), detail)
