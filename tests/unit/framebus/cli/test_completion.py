"""What a shell offers when the tabulator key is pressed, by the protocols of the shells themselves."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from framebus import label_map, model_config
from framebus.model_repository import GRAPH, ModelRepository

COMMANDS = [
    *("api", "broker", "produce", "consume", "detect", "tail", "replay", "status", "serve", "demo"),
    *("models", "topics", "dead", "capacity", "bench"),
]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with models: two to be offered, and what is none."""
    for name in ("plates", "people"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "config.json").write_text("broken")
    (tmp_path / "models" / "private").mkdir()
    return tmp_path


def complete(directory: Path, line: str, **settings: str) -> list[str]:
    """What bash offers behind a line."""
    words = line.split(" ")
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'framebus'; from framebus.cli import main; main()"],
        env={
            **os.environ,
            "_FRAMEBUS_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            **settings,
        },
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.split()


def test_commands_are_offered(directory: Path) -> None:
    assert complete(directory, "framebus ") == COMMANDS
    assert complete(directory, "framebus re") == ["replay"]
    assert complete(directory, "framebus dead ") == ["list", "show", "replay"]
    assert "--version" in complete(directory, "framebus --")


@pytest.mark.parametrize(
    "line",
    [
        "framebus consume --model ",
        "framebus detect --model ",
        "framebus tail --camera gate --model ",
        "framebus replay --model ",
        "framebus status --model ",
        "framebus topics create --model ",
        "framebus dead list --model ",
        "framebus models check ",
        "framebus bench engine --model ",
    ],
)
def test_models_are_offered_wherever_one_is_named(directory: Path, line: str) -> None:
    assert complete(directory, line) == ["people", "plates"]
    assert complete(directory, line + "pl") == ["plates"]


def test_models_are_those_of_the_models_directory(directory: Path) -> None:
    elsewhere = {"FRAMEBUS_MODELS_DIR": str(directory / "models")}
    assert complete(Path("/"), "framebus detect --model ", **elsewhere) == ["people", "plates"]


@pytest.mark.parametrize(
    "settings",
    [
        {"FRAMEBUS_MODELS_DIR": "absent"},
        {"FRAMEBUS_NO_SUCH": "setting"},
        {"FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"},
    ],
)
def test_nothing_is_said_of_what_is_wrong(directory: Path, settings: dict[str, str]) -> None:
    offered = complete(directory, "framebus detect --model p", **settings)

    assert offered in ([], ["people", "plates"])
    assert complete(directory, "framebus tail --no-such ", **settings) == []


def test_the_models_offered_are_those_of_the_repository(directory: Path) -> None:
    models = directory / "models"
    for name, file in {
        **{"graph": GRAPH, "labels": label_map.FILE_NAME, "odd~name": GRAPH, ".hidden": GRAPH, "other": "x"},
        **{f"config-{number}": file for number, file in enumerate(model_config.FILE_NAMES)},
    }.items():
        (models / name).mkdir()
        (models / name / file).touch()

    assert complete(directory, "framebus detect --model ") == ModelRepository(models).names()


def test_engines_and_samples_are_offered(directory: Path) -> None:
    engines = ["auto", "openvino_detection", "tensorflow_detection"]
    assert complete(directory, "framebus detect --engine ") == engines
    assert complete(directory, "framebus models check --engine t") == ["tensorflow_detection"]
    samples = ["pedestrian", "coco", "street", "plaza", "videos", "all"]
    assert complete(directory, "framebus models fetch ") == samples
    assert complete(directory, "framebus demo --model p") == ["pedestrian", "people", "plates"]


def test_choices_are_offered(directory: Path) -> None:
    assert complete(directory, "framebus replay --pace-by ") == ["record", "capture"]
    assert complete(directory, "framebus broker --broker ta") == ["tansu"]


def test_whoever_waits_for_it_waits_for_no_engine_and_no_client(directory: Path) -> None:
    """It is fast for what it does not import."""
    script = (
        "import sys; sys.argv[0] = 'framebus'\n"
        "from framebus.cli import main\n"
        "try: main()\n"
        "finally: print(*sorted(name for name in sys.modules if '.' not in name), file=sys.stderr)"
    )
    for line, heavy in {
        "framebus ": {"numpy", "pydantic_settings", "cv2", "confluent_kafka", "tensorflow", "fastapi"},
        "framebus replay --model ": {"numpy", "cv2", "confluent_kafka", "tensorflow", "fastapi"},
        "framebus detect --model ": {"numpy", "cv2", "confluent_kafka", "tensorflow", "openvino", "fastapi"},
    }.items():
        environment = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "_FRAMEBUS_COMPLETE": "complete_bash", **environment},
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert heavy.isdisjoint(done.stderr.split())


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_are_answered_too(directory: Path, shell: str) -> None:
    line = "framebus detect --model p"
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'framebus'; from framebus.cli import main; main()"],
        env={
            **os.environ,
            "_FRAMEBUS_COMPLETE": f"complete_{shell}",
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        },
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "people" in done.stdout
    assert "plates" in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_itself_offers_what_the_installed_script_makes_of_it(directory: Path) -> None:
    """The script that `--show-completion` prints, sourced by bash, and asked as its tabulator key does."""
    command = directory / "bin" / "framebus"
    command.parent.mkdir()
    command.write_text(
        f"#!{sys.executable}\nimport sys\nsys.argv[0] = 'framebus'\nfrom framebus.cli import main\nmain()\n"
    )
    command.chmod(0o755)
    script = """
        eval "$(framebus --show-completion bash)"
        COMP_WORDS=(framebus detect --model pe) COMP_CWORD=3
        _framebus_completion framebus pe --model
        echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={
            **os.environ,
            "PATH": f"{command.parent}:{os.environ['PATH']}",
            "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
        },
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout.split() == ["people"]
