"""Programs that we start, and that end when we do."""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

# Becomes the program, such that the kernel ends it (SIGTERM, 15) when its parent dies without having stopped
# it: PR_SET_PDEATHSIG is 1, prctl(2). A parent that died before that shows in the child's having another.
_END_WITH_PARENT = """
import ctypes, os, sys
parent, *command = sys.argv[1:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)
    if os.getppid() != int(parent):
        sys.exit("the program that started this one is gone")
os.execv(command[0], command)
"""


def start_child(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Starts a program that does not outlive us, in a session of its own: Ctrl-C is for us, who then stop it.

    The calling thread must live as long as the child: on Linux the child gets SIGTERM when that thread ends.

    Args:
        command: The program's full path, and its arguments.
        **options: For `subprocess.Popen`.
    """
    return subprocess.Popen(
        [sys.executable, "-IS", "-c", _END_WITH_PARENT, str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        **options,
    )
