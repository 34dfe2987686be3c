import os
import signal
from pathlib import Path

import psutil
import pytest

from framebus.cli.bench.program import Program
from framebus.errors import FramebusError
from framebus.local_broker.ports import LOOPBACK, free_ports


def serve(port: int, models_dir: Path, *without: str) -> Program:
    settings = {
        "FRAMEBUS_API__HOST": LOOPBACK,
        "FRAMEBUS_API__PORT": str(port),
        "FRAMEBUS_MODELS_DIR": str(models_dir),
    }
    return Program("the server", ["serve"], port=port, settings=settings, without=without)


@pytest.mark.slow
def test_it_is_ready_in_its_block_and_gone_after_it(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEBUS_NO_SUCH_SETTING", "1")
    [port] = free_ports(1)

    with serve(port, models_dir, "FRAMEBUS_NO_") as program:
        assert program.get("/readyz") is not None
        assert '"cups"' in (program.get("/models") or "")
        assert program.get("/no/such/path") is None
        assert program.usage().cpu_s > 0
        assert program.usage().memory_bytes > 10**6
        os.kill(program.pid, signal.SIGKILL)
        os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(FramebusError, match=r"(?s)the server ended with exit code -9; .*REST API open"):
            program.get("/readyz")

    assert not psutil.pid_exists(program.pid)


def test_one_that_does_not_start_is_told_of_with_what_it_wrote(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEBUS_NO_SUCH_SETTING", "1")
    [port] = free_ports(1)

    with (
        pytest.raises(FramebusError, match=r"(?s)ended with exit code 2; .*FRAMEBUS_NO_SUCH_SETTING"),
        serve(port, models_dir),
    ):
        pass
