from pathlib import Path

import pytest

from consumer import memory
from consumer.memory import available_bytes, resident_bytes

MIB = 2**20


def test_memory_that_is_taken_shows() -> None:
    before_bytes = resident_bytes()
    taken = bytearray(b"x") * (64 * MIB)
    after_bytes = resident_bytes()

    assert len(taken) == 64 * MIB
    assert after_bytes - before_bytes > 48 * MIB


def test_what_is_available_is_some_and_no_more_than_the_machine_has() -> None:
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())

    assert 0 < available_bytes() <= int(fields["MemTotal"].split()[0]) * 1024


class Machine:
    """The files of a kernel."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, path: str) -> Path:
        return self._root / path.removeprefix("/")

    def write(self, path: str, text: str) -> None:
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def container(self, limit: str, used_bytes: int, cache_bytes: int) -> None:
        self.write("/sys/fs/cgroup/memory.max", f"{limit}\n")
        self.write("/sys/fs/cgroup/memory.current", f"{used_bytes}\n")
        self.write("/sys/fs/cgroup/memory.stat", f"anon {used_bytes}\ninactive_file {cache_bytes}\nslab 5\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with 8 GiB that are free, and no container around the process."""
    machine = Machine(tmp_path)
    machine.write(
        "/proc/meminfo", "MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\nHugePages_Total: 0\n"
    )
    monkeypatch.setattr(memory, "Path", machine.path)
    return machine


def test_without_a_container_it_is_what_the_machine_has_free(machine: Machine) -> None:
    assert available_bytes() == 8 * 1024 * MIB


def test_a_container_without_a_limit_makes_no_difference(machine: Machine) -> None:
    machine.container("max", 3 * MIB, 0)

    assert available_bytes() == 8 * 1024 * MIB


def test_a_container_allows_what_it_has_not_used_and_what_is_only_cached(machine: Machine) -> None:
    machine.container(str(1024 * MIB), 900 * MIB, 300 * MIB)

    assert available_bytes() == (1024 - 900 + 300) * MIB


def test_a_container_that_allows_more_than_there_is_gives_no_more(machine: Machine) -> None:
    machine.container(str(64 * 1024 * MIB), MIB, 0)

    assert available_bytes() == 8 * 1024 * MIB
