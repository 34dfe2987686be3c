import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from framebus.cli.bench.usage import Usage

_BUSY = """
import os, sys, time
memory = bytearray(os.urandom(1) * {memory_bytes})
while time.process_time() < {cpu_s}:
    pass
print("done", flush=True)
sys.stdin.read()
"""
_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
{then}
print("done", flush=True)
sys.stdin.read()
"""


@contextmanager
def running(program: str, *arguments: str) -> Iterator[int]:
    """Runs a program; it has said so often that it is done when its process id is given."""
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(1 + len(arguments)):
            assert process.stdout.readline() == b"done\n"
        yield process.pid


def test_cpu_time_and_memory_of_a_process() -> None:
    with running(_BUSY.format(cpu_s=0.5, memory_bytes=50_000_000)) as pid:
        usage = Usage.of([pid])
    assert usage.cpu_s > 0.4
    assert 50_000_000 < usage.memory_bytes < 500_000_000


def test_children_count_while_they_run_and_after() -> None:
    busy = _BUSY.format(cpu_s=0.5, memory_bytes=50_000_000)
    with running(_PARENT.format(then=""), busy) as pid:
        alive = Usage.of([pid])
    assert alive.cpu_s > 0.4
    assert alive.memory_bytes > 50_000_000
    with running(_PARENT.format(then="child.wait()"), busy.replace("sys.stdin.read()", "")) as pid:
        ended = Usage.of([pid])
    assert ended.cpu_s > 0.4
    assert ended.memory_bytes < alive.memory_bytes


def test_several_processes_are_added_up() -> None:
    program = _BUSY.format(cpu_s=0.3, memory_bytes=1)
    with running(program) as first, running(program) as second:
        both, one = Usage.of([first, second]), Usage.of([first])
    assert both.cpu_s - one.cpu_s > 0.2
    assert both.memory_bytes > one.memory_bytes
