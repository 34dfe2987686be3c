import importlib.util
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from framebus.cli.bench import options
from framebus.environment import load_settings
from framebus.errors import ModelError, SettingsError


def test_a_model_that_is_named_twice_is_measured_once(models_dir: Path) -> None:
    assert options.models_or_default(["cups", "cups"], load_settings()) == ["cups"]


def test_a_model_that_is_not_there_is_refused(models_dir: Path) -> None:
    with pytest.raises(ModelError, match="Model not found: mugs"):
        options.models_or_default(["cups", "mugs"], load_settings())


def test_the_sample_model_is_the_default_and_taken_as_it_is(models_dir: Path) -> None:
    (models_dir / "cups").rename(models_dir / options.DEFAULT_MODEL)  # one of the user's own
    assert options.models_or_default(None, load_settings()) == [options.DEFAULT_MODEL]


def test_a_short_look_has_fewer_rounds_unless_they_are_given() -> None:
    assert options.rounds_or_default(None, short=False) == 5
    assert options.rounds_or_default(None, short=True) == 3
    assert options.rounds_or_default(7, short=True) == 7


def test_outputs_that_can_be_written_are_fine(tmp_path: Path) -> None:
    options.check_outputs(tmp_path / "results.json", None, plot=tmp_path / "plot.svg")
    options.check_outputs(Path("results.json"), plot=None)
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_cannot_be_written_are_refused_beforehand(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone/results\.json: cannot be written"):
        options.check_outputs(tmp_path / "gone" / "results.json", plot=None)
    with pytest.raises(SettingsError, match="cannot be written"):
        options.check_outputs(tmp_path, plot=None)
    with pytest.raises(SettingsError, match=r"plot\.pdf: .* ends with \.svg or \.png"):
        options.check_outputs(None, plot=tmp_path / "plot.pdf")


def test_what_is_not_installed_is_told_of_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find_spec(name)
    )
    with pytest.raises(SettingsError, match=r"needs matplotlib, .*pip install '\.\[bench\]'"):
        options.check_outputs(None, plot=tmp_path / "plot.svg")


def test_off_a_terminal_there_is_no_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with options.progress_bar("engine") as progress:
        progress(1, 2, "raw")
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.strip() == ""


def test_on_a_terminal_it_tells_what_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # that is how rich takes anything for a terminal
    monkeypatch.setenv("COLUMNS", "120")
    with options.progress_bar("engine") as progress:
        progress(3, 10, "tensorflow, batch 8")
    written = capsys.readouterr()
    assert written.out == ""
    assert "tensorflow, batch 8" in written.err
    assert "3/10" in written.err


# In a process of its own: whoever runs the tests may have other plans with signals.
INTERRUPTED = """
import signal, sys
from framebus.cli.bench import options

number = int(sys.argv[1])
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have had ignored
before = [signal.getsignal(other) for other in options.INTERRUPTS]
ends = []
try:
    with options.interrupted_once():
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)  # ignored: a second one must not interrupt the end
            ends.append("in order")
except KeyboardInterrupt:
    ends.append("interrupted")
assert ends == ["in order", "interrupted"], ends
assert [signal.getsignal(other) for other in options.INTERRUPTS] == before
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_once_and_the_handlers_come_back(number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(int(number))], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
