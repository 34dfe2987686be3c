"""The bar is for terminals, and on standard error alone."""

import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest

SCRIPT = """
import sys
from framebus.cli.progress import progress_bar
with progress_bar("counting", 3, beside_output=sys.argv[1] == "True") as on_progress:
    for number in range(3):
        print(number, flush=True)
        on_progress(number + 1, "words on it")
"""


def run(*, beside_output: bool, stdout_is_a_terminal: bool) -> tuple[str, str]:
    """Standard output of the script, if it is no terminal, and what its terminal showed."""
    terminal, end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(beside_output)],
        stdout=end if stdout_is_a_terminal else subprocess.PIPE,
        stderr=end,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
        text=True,
    ) as running:
        os.close(end)
        shown = b""
        with suppress(OSError):  # the other end is closed
            while chunk := os.read(terminal, 1_000):
                shown += chunk
        written, _ = running.communicate(timeout=60)
    os.close(terminal)
    assert running.returncode == 0
    return written or "", shown.decode()


@pytest.mark.parametrize("beside_output", [False, True])
def test_results_in_a_pipe_are_not_mixed_with_the_bar(beside_output: bool) -> None:
    written, shown = run(beside_output=beside_output, stdout_is_a_terminal=False)

    assert written == "0\n1\n2\n"
    assert "counting" in shown
    assert "3/3" in shown
    assert "words on it" in shown


def test_results_on_the_same_terminal_are_progress_enough() -> None:
    assert run(beside_output=True, stdout_is_a_terminal=True)[1].split() == ["0", "1", "2"]


def test_without_a_terminal_there_is_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "False"], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("0\n1\n2\n", "")
