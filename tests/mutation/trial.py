"""One input, tried twice: the same outcome, one that the contract names, within bounds of time and memory."""

import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from framebus.errors import FrameError
from tests.mutation.targets import Input, Target

ACCEPTED = "accepted"

_MOST_SECONDS = 10.0
"""Of processor time, for both tries; a hundred times what the slowest needs."""
_LONGEST_MESSAGE = 2_000


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one input.

    Attributes:
        kind: How the input was made.
        outcome: `accepted`, `fault`, or the reason that it was refused for.
        fault: What should not have happened, in many lines; empty if nothing.
    """

    kind: str
    outcome: str
    fault: str = ""


def try_out(target: Target, made: Input, folder: Path) -> Trial:
    """Has the target read an input twice."""
    bytes_before, seconds_before = peak_bytes(), time.process_time()
    try:
        first = _outcome(target, made, folder)
        second = _outcome(target, made, folder)
    except BaseException:  # panics of extensions in Rust are no `Exception`
        return Trial(made.kind, "fault", traceback.format_exc())
    seconds, taken = time.process_time() - seconds_before, peak_bytes() - bytes_before
    fault = ""
    if first != second:
        fault = f"two outcomes of one input: {first}, then {second}"
    elif seconds > _MOST_SECONDS:
        fault = f"{first[0]}, after {seconds:.1f} s of processor time"
    elif taken > target.MOST_BYTES:
        fault = f"{first[0]}, with {taken / 2**20:.0f} MiB of memory"
    return Trial(made.kind, "fault" if fault else first[0], fault)


def _outcome(target: Target, made: Input, folder: Path) -> tuple[str, object]:
    try:
        return ACCEPTED, target.read(made.content, folder)
    except target.REFUSALS as error:
        message = str(error)
        assert 0 < len(message) <= _LONGEST_MESSAGE, (
            f"a message of {len(message)} characters: {message[:500]}"
        )
        return error.reason if isinstance(error, FrameError) else type(error).__name__, ""


def peak_bytes() -> int:
    """The most address space that this process ever had, taken or merely reserved."""
    return _status(b"VmPeak:")


def resident_bytes() -> int:
    """The memory that this process has."""
    return _status(b"VmRSS:")


def _status(what: bytes) -> int:
    """A line of `/proc/self/status`, proc(5), in bytes; 0 where there is no Linux."""
    try:
        status = Path("/proc/self/status").read_bytes()
    except FileNotFoundError:
        return 0
    start = status.index(what) + len(what)
    return int(status[start : status.index(b"kB", start)]) * 1024
