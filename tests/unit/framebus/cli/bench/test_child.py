import os
from pathlib import Path

import pytest

from framebus.cli.bench.child import Child
from framebus.errors import FramebusError, ModelError

MODULE = "importlib:import_module"
"""Makes a module, whose functions are asked as if they were methods."""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_keeps_what_it_has_made() -> None:
    with Child("collections:deque", [1, 2]) as child:
        child.ask("append", 2)
        assert child.ask("count", 2) == 2
        assert child.pid != os.getpid()
        assert is_running(child.pid)
    assert not is_running(child.pid)


def test_errors_of_ours_cross_over(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with Child("framebus.model_repository:ModelRepository", tmp_path / "models") as child:
        with pytest.raises(ModelError, match="Model not found: cups"):
            child.ask("open", "cups")
        assert child.ask("names") == []


def test_an_error_of_ours_at_the_start_crosses_over_and_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FRAMEBUS_NO_SUCH_SETTING", "1")
    child = Child("framebus.environment:load_settings")
    with pytest.raises(FramebusError, match="FRAMEBUS_NO_SUCH_SETTING is no setting"), child:
        pass
    assert not is_running(child.pid)


def test_any_other_error_is_told_with_the_end_of_what_the_process_wrote() -> None:
    with pytest.raises(FramebusError, match=r"(?s)ended with exit code 1; .*ValueError: .*'no number'"):
        Child("builtins:int", "no number").__enter__()


def test_a_process_that_ends_is_told_of() -> None:
    with Child(MODULE, "os") as child, pytest.raises(FramebusError, match=r"importlib.* exit code 3"):
        child.ask("_exit", 3)


def test_it_runs_on_so_many_cores() -> None:
    with Child(MODULE, "framebus.cli.bench.machine", cores=1) as child:
        assert child.ask("cores") == 1
