"""Fails in every way there is, so that a test can see whether that is noticed; no run has it."""

import os
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random

from framebus.errors import ModelError
from tests.mutation.targets import Input

REFUSALS = (ModelError,)
MOST_BYTES = 2**28

_numbers = count()


def make(random: Random) -> Input:
    kind = random.choice(tuple(_READS))
    return Input(kind, f"content of {kind}".encode())


def read(content: bytes, folder: Path) -> object:
    return _READS[content.decode().removeprefix("content of ")]()


def _refuse() -> None:
    raise ModelError("refused")


def _quote_all() -> None:
    raise ModelError("quoted " * 1_000)


def _fail() -> None:
    raise KeyError("not of the contract")


def _panic() -> None:
    raise BaseException("what no `except Exception` sees")


def _break_promise() -> None:
    raise AssertionError("accepted what it should not")


def _count() -> int:
    return next(_numbers)


_READS: dict[str, Callable[[], object]] = {
    "accepted": lambda: "well",
    "refused": _refuse,
    "crash": os.abort,
    "hang": threading.Event().wait,
    "another exception": _fail,
    "panic": _panic,
    "broken promise": _break_promise,
    "two outcomes": _count,
    "endless message": _quote_all,
    "too much memory": lambda: len(bytearray(2**29)),
}
