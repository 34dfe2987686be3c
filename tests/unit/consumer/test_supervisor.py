import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumer.supervisor import MAX_FAILURES, STEADY_S, Supervisor, Worker
from framebus.backoff import Backoff
from framebus.errors import FramebusError, SettingsError
from tests.workers import IGNORE_SIGTERM, PROGRAM, RUN, Diary, is_alive, wait_until, worker

SUPERVISOR = """
import os, sys
from consumer.supervisor import Supervisor, Worker
from framebus.cli.signals import stop_on_signals

program, *diaries = sys.argv[1:]
commands = [[sys.executable, "-c", program, diary, "0"] for diary in diaries]
workers = [Worker(number, "cpu", command, os.environ) for number, command in enumerate(commands)]
Supervisor(workers, 30).run(stop_on_signals())
"""

ENDINGS = [
    ("sys.exit(1)", "exit code 1"),
    ("sys.exit(0)", "exit code 0"),
    ("os.kill(os.getpid(), 9)", "SIGKILL"),
]


class Clock:
    """Goes on when told to."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path / "diary")


@pytest.fixture
def other_diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path / "other-diary")


@contextmanager
def supervised(*workers: Worker, end_timeout_s: float = 30) -> Iterator[None]:
    """Supervises the workers until the block ends; raises what the supervisor raises."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(Supervisor(workers, end_timeout_s).run, stop)
        try:
            yield
        finally:
            stop.set()
        running.result()


@contextmanager
def supervisor_process(*diaries: Diary) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor of its own, with a worker for each diary, all of them running."""
    files = [str(diary.file) for diary in diaries]
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, PROGRAM + RUN, *files], start_new_session=True
    ) as process:
        try:
            wait_until(lambda: all(diary.pids("started") for diary in diaries))
            yield process
        finally:
            process.kill()


def run_to_its_end(worker: Worker) -> dict[str, Any]:
    """Looks after a worker until its process is started and has ended; returns what was logged of the end."""
    wait_until(lambda: _looked_after(worker).pid is not None)
    return look_after_to_its_end(worker)


def look_after_to_its_end(worker: Worker) -> dict[str, Any]:
    """Looks after a worker whose process was started until that has ended; returns what was logged of it."""
    with capture_logs() as logs:
        wait_until(lambda: _looked_after(worker).pid is None)
    return dict(logs[-1])


def _looked_after(worker: Worker) -> Worker:
    worker.look_after()
    return worker


@pytest.mark.parametrize(("ending", "in_words"), ENDINGS)
def test_a_worker_that_ends_is_started_again(diary: Diary, ending: str, in_words: str) -> None:
    first_time = f"import pathlib\nif not pathlib.Path(sys.argv[1]).exists(): note('failed'); {ending}"
    with capture_logs() as logs, supervised(worker(diary, f"{first_time}\n{RUN}", number=3)):
        wait_until(lambda: diary.pids("started"))

    [ended] = [line for line in logs if line["event"] == "worker ended, it will be started again"]
    assert (ended["worker"], ended["device"], ended["ended_with"]) == (3, "device-3", in_words)
    assert ended["log_level"] == "warning"
    starts = [line["pid"] for line in logs if line["event"] == "worker started"]
    assert starts == diary.pids("failed") + diary.pids("started")


def test_waits_grow_while_a_worker_fails_and_the_next_start_keeps_to_them(diary: Diary) -> None:
    clock = Clock()
    failing = worker(diary, "sys.exit(1)", backoff=Backoff(30, first_s=1, chance=lambda: 0.0), clock=clock)

    for number, wait_s in enumerate([1, 2, 4, 8, 16, 30, 30], start=1):
        ended = run_to_its_end(failing)
        assert (ended["next_start_in_s"], ended["failures_in_a_row"]) == (wait_s, number)
        clock.now_s += wait_s - 0.1
        failing.look_after()
        assert failing.pid is None
        clock.now_s += 0.2


def test_a_worker_that_ran_for_a_while_has_all_its_attempts_again(diary: Diary) -> None:
    clock = Clock()
    unsteady = worker(diary, backoff=Backoff(30, first_s=1, chance=lambda: 0.0), clock=clock)
    for ran_for_s, failures in [(1, 1), (STEADY_S - 1, 2), (STEADY_S, 1), (1, 2)]:
        clock.now_s += 60
        unsteady.look_after()
        assert unsteady.pid is not None
        clock.now_s += ran_for_s
        os.kill(unsteady.pid, signal.SIGKILL)
        assert look_after_to_its_end(unsteady)["failures_in_a_row"] == failures


def test_workers_that_all_fail_are_given_up(diary: Diary, other_diary: Diary) -> None:
    fail = "note('failed')\nsys.exit(1)"
    supervisor = Supervisor([worker(diary, fail), worker(other_diary, fail, number=1)], 30)
    with pytest.raises(FramebusError, match="none of 2 workers can be kept running"):
        supervisor.run(threading.Event())

    assert len(diary.pids("failed")) >= MAX_FAILURES
    assert len(other_diary.pids("failed")) >= MAX_FAILURES


def test_one_that_fails_and_fails_leaves_the_others_alone(diary: Diary, other_diary: Diary) -> None:
    failures = MAX_FAILURES + 2
    fail = f"note('failed')\nif open(sys.argv[1]).read().count('failed') <= {failures}: sys.exit(1)"
    with supervised(worker(diary, fail + RUN), worker(other_diary, number=1)):
        wait_until(lambda: diary.pids("started"))

    assert other_diary.words() == ["started", "told-to-stop", "finished"]


@pytest.fixture
def last_of_two(diary: Diary, other_diary: Diary) -> Iterator[tuple[Worker, Worker, Clock]]:
    """Two workers that failed as often as they may, and would run now. Only the first one does."""
    clock = Clock()
    so_often = f"open(sys.argv[1]).read().count('failed') > {MAX_FAILURES}"
    script = f"note('failed')\nif not ({so_often}): sys.exit(1)" + RUN
    both = [
        worker(one, script, number=number, backoff=Backoff(0), clock=clock)
        for number, one in enumerate((diary, other_diary))
    ]
    for one in both:
        for _ in range(MAX_FAILURES):
            run_to_its_end(one)
    first, second = both
    first.look_after()
    yield first, second, clock
    for one in both:
        one.ask_to_end()
        one.end(30)


def test_all_are_given_up_when_the_last_that_runs_ends(
    last_of_two: tuple[Worker, Worker, Clock], diary: Diary, other_diary: Diary
) -> None:
    first, second, _ = last_of_two
    wait_until(lambda: diary.pids("started"))
    os.kill(diary.pids("started")[0], signal.SIGKILL)
    with pytest.raises(FramebusError, match="none of 2 workers can be kept running"):
        Supervisor([first, second], 30).run(threading.Event())

    assert other_diary.pids("started") == []


def test_all_have_their_attempts_again_when_the_last_that_runs_proves_steady(
    last_of_two: tuple[Worker, Worker, Clock], other_diary: Diary
) -> None:
    first, second, clock = last_of_two
    with supervised(first, second):
        clock.now_s += STEADY_S
        wait_until(lambda: other_diary.pids("started"))


def test_settings_that_a_worker_refuses_end_them_all(diary: Diary) -> None:
    refusing = "import pathlib\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\nsys.exit(2)"
    supervisor = Supervisor([worker(diary, refusing), worker(diary, number=1)], 30)
    with pytest.raises(SettingsError, match=r"worker 0 \(device device-0\) refused its settings"):
        supervisor.run(threading.Event())

    assert diary.words() == ["started", "told-to-stop", "finished"]


def test_settings_that_a_worker_ran_with_are_not_at_fault(diary: Diary) -> None:
    clock = Clock()
    on_a_lost_gpu = worker(diary, "sys.exit(2)", clock=clock)
    on_a_lost_gpu.look_after()
    clock.now_s += STEADY_S

    assert run_to_its_end(on_a_lost_gpu)["ended_with"] == "exit code 2"
    clock.now_s += 1
    assert run_to_its_end(on_a_lost_gpu)["ended_with"] == "exit code 2"


def test_workers_finish_what_they_hold_when_they_are_told_to_stop(diary: Diary, other_diary: Diary) -> None:
    with supervised(worker(diary), worker(other_diary, number=1)):
        wait_until(lambda: diary.pids("started") and other_diary.pids("started"))

    for one in (diary, other_diary):
        assert one.words() == ["started", "told-to-stop", "finished"]
        assert not is_alive(one.pids("started")[0])


def test_a_worker_that_does_not_end_is_killed(diary: Diary, other_diary: Diary) -> None:
    with (
        pytest.raises(FramebusError, match="not all workers ended well"),
        capture_logs() as logs,
        supervised(worker(diary, IGNORE_SIGTERM), worker(other_diary, number=1), end_timeout_s=3),
    ):
        wait_until(lambda: diary.pids("started") and other_diary.pids("started"))

    assert not is_alive(diary.pids("started")[0])
    assert other_diary.words() == ["started", "told-to-stop", "finished"]
    [killed] = [line for line in logs if "was killed" in line["event"]]
    assert (killed["worker"], killed["log_level"]) == (0, "error")


def test_a_worker_that_cannot_finish_is_no_clean_end(diary: Diary) -> None:
    with (
        pytest.raises(FramebusError, match="not all workers ended well"),
        supervised(worker(diary, code_at_stop=1)),
    ):
        wait_until(lambda: diary.pids("started"))


def test_a_worker_that_is_still_starting_may_die_of_the_signal(diary: Diary) -> None:
    unprepared = "signal.signal(signal.SIGTERM, signal.SIG_DFL)" + RUN
    with supervised(worker(diary, unprepared)):
        wait_until(lambda: diary.pids("started"))

    assert diary.words() == ["started"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends the orphans on Linux only")
def test_workers_finish_and_end_when_their_supervisor_is_killed(diary: Diary, other_diary: Diary) -> None:
    with supervisor_process(diary, other_diary) as supervisor:
        supervisor.kill()
        wait_until(lambda: diary.pids("finished") and other_diary.pids("finished"))

    wait_until(lambda: not any(map(is_alive, diary.pids("started") + other_diary.pids("started"))))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_for_the_whole_terminal_reaches_workers_once(
    diary: Diary, other_diary: Diary, number: signal.Signals
) -> None:
    with supervisor_process(diary, other_diary) as supervisor:
        os.killpg(supervisor.pid, number)
        os.killpg(supervisor.pid, number)
        assert supervisor.wait(timeout=30) == 0

    for one in (diary, other_diary):
        assert one.words() == ["started", "told-to-stop", "finished"]
