"""How much memory this process has, and may still take."""

import os
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Memory of this process that is in use now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def available_bytes() -> int:
    """Memory that may still be taken: what the machine has free, or the container is allowed."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free_bytes = int(fields["MemAvailable"].split()[0]) * 1024
    return min([free_bytes, *_left_to_container()])


def _left_to_container() -> list[int]:
    group = Path("/sys/fs/cgroup")  # version 2, as a container sees its own
    try:
        limit, used = (group / "memory.max").read_text(), (group / "memory.current").read_text()
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:
        return []
    # The page cache counts as used, and is given up when memory is needed.
    return [] if limit.strip() == "max" else [int(limit) - int(used) + int(statistics["inactive_file"])]
