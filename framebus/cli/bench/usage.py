"""What processes cost: CPU time and memory, their children included."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from framebus.cli.bench.options import need

if TYPE_CHECKING:
    import psutil


@dataclass(frozen=True, slots=True)
class Usage:
    """What some processes have used, as of now; the difference of two is what they used between.

    Attributes:
        cpu_s: Seconds on all cores since each process began, in user and kernel.
        memory_bytes: Resident set size, of all together; pages that they share count for each.
    """

    cpu_s: float
    memory_bytes: int

    @classmethod
    def of(cls, pids: Iterable[int]) -> Self:
        """Reads it for these processes, and for their children's children too.

        Raises:
            SettingsError: psutil is not installed.
            psutil.NoSuchProcess: One of the processes has ended.
        """
        need("psutil")
        import psutil

        cpu_s, memory_bytes = 0.0, 0
        for pid in pids:
            process = psutil.Process(pid)
            cpu_s += _cpu_s(process)
            memory_bytes += process.memory_info().rss
            for child in process.children(recursive=True):
                try:
                    cpu_s += _cpu_s(child)
                    memory_bytes += child.memory_info().rss
                except psutil.NoSuchProcess:  # its parent has its time by now
                    continue
        return cls(cpu_s, memory_bytes)


def _cpu_s(process: "psutil.Process") -> float:
    times = process.cpu_times()
    # Those of children that have ended; while they live they have times of their own.
    return float(times.user + times.system + times.children_user + times.children_system)


def busy_core_s() -> float:
    """Seconds that all cores together were busy since the machine started, whatever with.

    Raises:
        SettingsError: psutil is not installed.
    """
    need("psutil")
    import psutil

    times = psutil.cpu_times()
    # Of a virtual machine's own time, what its host gave to others is not ours.
    return float(times.user + times.nice + times.system + times.irq + times.softirq)
