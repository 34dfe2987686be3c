"""Workers that are small programs, and write down what happens to them."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from consumer.supervisor import Worker
from framebus.backoff import Backoff

PROGRAM = """
import os, signal, sys, time

def note(word):
    with open(sys.argv[1], "a") as diary:
        print(word, os.getpid(), file=diary)

def told_to_stop(*_):
    note("told-to-stop")
    time.sleep(0.2)
    note("finished")
    sys.exit(int(sys.argv[2]))

signal.signal(signal.SIGTERM, told_to_stop)
signal.signal(signal.SIGINT, lambda *_: note("interrupted"))
"""
RUN = "\nnote('started')\nwhile True: signal.pause()"
IGNORE_SIGTERM = "signal.signal(signal.SIGTERM, signal.SIG_IGN)" + RUN


class Diary:
    """What a worker's processes wrote down, one word and pid per line."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def pids(self, word: str) -> list[int]:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [int(pid) for written, pid in map(str.split, lines) if written == word]

    def words(self) -> list[str]:
        return [line.split()[0] for line in self.file.read_text().splitlines()]


def worker(
    diary: Diary, script: str = RUN, *, number: int = 0, code_at_stop: int = 0, **options: Any
) -> Worker:
    command = [sys.executable, "-ISc", PROGRAM + script, str(diary.file), str(code_at_stop)]
    return Worker(number, f"device-{number}", command, os.environ, **{"backoff": Backoff(0.01), **options})


def wait_until(condition: Callable[[], object], limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not yet collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
