from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consumer.devices import default_devices, on_device, parse_devices, visible_gpus
from framebus.errors import SettingsError
from framebus.settings import Settings, TensorFlowSettings

TWO_GPUS = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5a7c2f10-0000-1111-2222-333344445555)
  MIG 1g.5gb      Device  0: (UUID: MIG-0b1f9a3e-0000-1111-2222-333344445555)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-9e8d7c6b-0000-1111-2222-333344445555)
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where programs are looked for first: there is no nvidia-smi yet."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return folder


def write_nvidia_smi(folder: Path, listing: str, code: int = 0) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n[ \"$1\" = -L ] && cat <<'END'\n{listing}END\nexit {code}\n")
    program.chmod(0o755)


@pytest.fixture
def gpu_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the extra `gpu` installs, as far as it shows in the list of packages."""
    info = tmp_path / "packages" / "tensorflow-2.21.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tensorflow\nVersion: 2.21.0\n")
    monkeypatch.syspath_prepend(info.parent)


@pytest.mark.parametrize(
    ("value", "devices"),
    [
        ("0", ["0"]),
        ("0,1", ["0", "1"]),
        ("3, 10", ["3", "10"]),
        ("cpu", ["cpu"]),
        ("cpu,cpu", ["cpu", "cpu"]),
        ("0,cpu", ["0", "cpu"]),
    ],
)
def test_devices_are_read_in_their_order(value: str, devices: list[str]) -> None:
    assert parse_devices(value) == devices


@pytest.mark.parametrize("value", ["", "a", "0,,1", "0,", "-1", "0;1", "GPU:0", "1.5", "01", "٣", "CPU"])
def test_what_is_no_device_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=r"is no device; name GPUs by number, e\.g\. 0,1, or cpu"):
        parse_devices(value)


def test_one_gpu_for_two_workers_is_refused() -> None:
    with pytest.raises(SettingsError, match="--devices 1,0,1: GPU 1 is there twice"):
        parse_devices("1,0,1")


@pytest.mark.parametrize(("device", "visible"), [("cpu", ""), ("1", "1")])
def test_a_worker_sees_its_device_alone(device: str, visible: str) -> None:
    settings = Settings(tensorflow=TensorFlowSettings(visible_devices="0,1", batch_size=4))

    assert on_device(settings, device).tensorflow == TensorFlowSettings(visible_devices=visible, batch_size=4)


@pytest.mark.parametrize(
    ("picked", "count"),
    [
        (None, 2),
        ("", 0),
        ("-1", 0),
        ("1", 1),
        ("1, 0", 2),
        ("0,7,1", 1),  # CUDA stops at the first that is not there
        ("GPU-9e8d7c6b", 1),
        ("GPU-9e8d7c6b-0000-1111-2222-333344445555,GPU-5a7c2f10", 2),
        ("MIG-0b1f9a3e-0000-1111-2222-333344445555", 1),
        ("GPU-00000000,0", 0),
        ("NoDevFiles", 0),
    ],
)
def test_gpus_are_counted_as_cuda_shows_them(
    programs: Path, monkeypatch: pytest.MonkeyPatch, picked: str | None, count: int
) -> None:
    write_nvidia_smi(programs, TWO_GPUS)
    if picked is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", picked)

    assert visible_gpus() == count


def test_a_broken_gpu_does_not_hide_the_others(programs: Path) -> None:
    write_nvidia_smi(
        programs,
        "Unable to determine the device handle for GPU 0000:17:00.0: GPU is lost.\n" + TWO_GPUS,
        code=15,
    )

    assert visible_gpus() == 2


def test_without_nvidia_smi_there_is_no_gpu(programs: Path) -> None:
    assert visible_gpus() == 0


def test_an_nvidia_smi_that_cannot_run_is_told(programs: Path) -> None:
    (programs / "nvidia-smi").write_text("no program")
    (programs / "nvidia-smi").chmod(0o755)

    with capture_logs() as logs:
        assert visible_gpus() == 0
    assert "name them: --devices" in logs[0]["event"]


@pytest.mark.parametrize(("gpus", "devices"), [(0, []), (1, []), (2, ["0", "1"]), (3, ["0", "1", "2"])])
def test_by_default_each_gpu_has_its_worker_if_there_are_several(
    programs: Path, gpu_tensorflow: None, gpus: int, devices: list[str]
) -> None:
    write_nvidia_smi(
        programs, "".join(f"GPU {number}: NVIDIA T4 (UUID: GPU-{number})\n" for number in range(gpus))
    )

    assert default_devices(Settings()) == devices


@pytest.mark.parametrize("visible", ["", "1", "0,1"])
def test_the_setting_is_left_to_a_single_worker(programs: Path, gpu_tensorflow: None, visible: str) -> None:
    write_nvidia_smi(programs, TWO_GPUS)

    assert default_devices(Settings(tensorflow=TensorFlowSettings(visible_devices=visible))) == []


def test_a_tensorflow_for_the_cpu_has_no_use_for_gpus(programs: Path) -> None:
    write_nvidia_smi(programs, TWO_GPUS)

    assert default_devices(Settings()) == []
