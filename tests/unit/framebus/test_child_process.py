import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from framebus.child_process import start_child

PARENT = """
import signal, sys
from framebus.child_process import start_child
child = start_child([sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"])
print(child.pid, flush=True)
signal.pause()
"""


def test_a_program_is_started_with_its_arguments_and_options(tmp_path: Path) -> None:
    script = "import os, sys; print(sys.argv[1:], os.environ['MODEL'], os.getcwd(), sys.stdin.read())"
    child = start_child(
        [sys.executable, "-c", script, "--one", "two words"],
        env={"MODEL": "coco"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
    )

    output, _ = child.communicate(timeout=30)
    assert output.decode() == f"['--one', 'two words'] coco {tmp_path} \n"
    assert child.returncode == 0


def test_ctrl_c_is_for_us_alone() -> None:
    with start_child([sys.executable, "-c", "input()"]) as child:
        assert os.getpgid(child.pid) == os.getsid(child.pid) == child.pid
        child.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends the orphans on Linux only")
def test_a_child_does_not_outlive_us() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        lines = {parent.stdout.readline(), parent.stdout.readline()}
        assert b"up\n" in lines
        parent.send_signal(signal.SIGKILL)
        # The child holds the pipe, too: it is gone when this ends.
        output, _ = parent.communicate(timeout=30)
        assert output == b""
