"""The watchdog ends whole processes, so each test has one of its own."""

import subprocess
import sys
import time
from pathlib import Path

from consumer.watchdog import watchdog

CHECKOUT = Path(__file__).parents[3]

HANG = """
import sys, threading, time
from consumer.watchdog import watchdog

since_s = time.monotonic()

def stuck():
    hung_s = time.monotonic() - since_s
    return f"it hangs for {hung_s:.1f} s" if hung_s > 0.5 else None

with watchdog(stuck):
    print("at work", flush=True)
    threading.Event().wait()
"""

# The real pipeline on a memory bus; its consumer, or its engine, never comes back.
PIPELINE = """
import sys, threading
from consumer.watchdog import watchdog
from framebus.bus.memory import MemoryConsumer
from tests.engines import ScriptedEngine
from tests.pictures import jpeg
from tests.pipelines import MODEL, Run, memory_bus, publish, settings_with

class Deaf(MemoryConsumer):
    def poll(self, max_records, timeout_s):
        if sys.argv[1] == "poll":
            threading.Event().wait()
        return super().poll(max_records, timeout_s)

engine = ScriptedEngine()
if sys.argv[1] == "engine":
    engine.gate.clear()
bus = memory_bus()
publish(bus, jpeg())
run = Run(bus, engine, settings_with(stall_timeout_s=1, drain_timeout_s=0), consumer=Deaf(bus, MODEL))
with watchdog(lambda: run.pipeline.not_alive):
    run.start()
    run.thread.join()
"""


def end(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_process_that_is_stuck_is_ended_and_says_why() -> None:
    ended = end(HANG)

    assert ended.returncode == 1
    assert ended.stdout.startswith("at work\n")
    assert "stuck, ending the process" in ended.stdout + ended.stderr
    assert "it hangs for" in ended.stdout + ended.stderr


def test_an_engine_call_that_hangs_ends_the_process() -> None:
    ended = end(PIPELINE, "engine")

    assert ended.returncode == 1
    assert "stuck, ending the process" in ended.stdout + ended.stderr


def test_a_poll_that_hangs_ends_the_process() -> None:
    ended = end(PIPELINE, "poll")

    assert ended.returncode == 1
    assert "the poll loop hangs" in ended.stdout + ended.stderr


def test_it_watches_no_longer_than_it_is_told_to() -> None:
    asked: list[float] = []

    def stuck() -> None:
        asked.append(time.monotonic())

    with watchdog(stuck):
        while not asked:
            time.sleep(0.05)
    count = len(asked)
    time.sleep(1.2)

    assert len(asked) == count
