"""Which devices there are to run on, one worker each: GPUs by number, or the CPU."""

import os
import re
import shutil
import subprocess
from importlib import metadata
from itertools import takewhile

from framebus.errors import SettingsError
from framebus.logs import get_logger
from framebus.settings import Settings

CPU = "cpu"

_LISTING_TIMEOUT_S = 30.0

log = get_logger("consumer")


def parse_devices(value: str) -> list[str]:
    """Reads the value of `--devices`: numbers of GPUs and `cpu`, comma-separated.

    Raises:
        SettingsError: It is neither, or a GPU is named twice.
    """
    devices = [part.strip() for part in value.split(",")]
    for device in devices:
        if device != CPU and not re.fullmatch(r"0|[1-9][0-9]*", device):
            raise SettingsError(
                f"--devices {value}: {device!r} is no device; name GPUs by number, e.g. 0,1, or {CPU}"
            )
        # Workers share the CPU's cores; on one GPU each would take the memory that the other counts on.
        if device != CPU and devices.count(device) > 1:
            raise SettingsError(f"--devices {value}: GPU {device} is there twice; one worker runs on a GPU")
    return devices


def default_devices(settings: Settings) -> list[str]:
    """The devices without `--devices`: every visible GPU if there are several.

    Returns:
        Empty if there is nothing to choose from: TensorFlow takes what it finds, or what the settings name.
    """
    if settings.tensorflow.visible_devices is not None or not _tensorflow_runs_on_gpus():
        return []
    count = visible_gpus()
    return [str(number) for number in range(count)] if count > 1 else []


def on_device(settings: Settings, device: str) -> Settings:
    """The settings of a worker that runs on this device alone."""
    visible = "" if device == CPU else device
    return settings.model_copy(
        update={"tensorflow": settings.tensorflow.model_copy(update={"visible_devices": visible})}
    )


def visible_gpus() -> int:
    """How many GPUs CUDA shows to a program, found out without taking hold of one.

    NVIDIA's container runtime (NV_GPU, NVIDIA_VISIBLE_DEVICES) shows a container its own GPUs only; of these
    CUDA_VISIBLE_DEVICES picks some, by number or UUID, up to the first entry that names none
    (https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables).
    """
    listing = _nvidia_smi_listing()
    count = len(re.findall(r"^GPU \d+: ", listing, re.MULTILINE))
    picked = os.environ.get("CUDA_VISIBLE_DEVICES")
    if picked is None:
        return count

    def is_there(entry: str) -> bool:
        if entry.isdecimal():
            return int(entry) < count
        return entry.startswith(("GPU-", "MIG-")) and f"(UUID: {entry}" in listing

    return len(list(takewhile(is_there, map(str.strip, picked.split(",")))))


def _nvidia_smi_listing() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        # It also fails when one of several GPUs is broken, and lists the others.
        return subprocess.run(
            [program, "-L"], capture_output=True, text=True, timeout=_LISTING_TIMEOUT_S, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("nvidia-smi does not tell which GPUs there are; name them: --devices", error=str(error))
        return ""


def _tensorflow_runs_on_gpus() -> bool:
    """Whether it is the one of the extra `gpu`; that of the extra `cpu` is called `tensorflow-cpu`."""
    try:
        metadata.distribution("tensorflow")
    except metadata.PackageNotFoundError:
        return False
    return True
