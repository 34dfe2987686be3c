"""What is compared: one model as its user would have it, with one engine or another.

A variant is nothing but a model's folder with a config.json of its own, so every program runs it as it is.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framebus.cli.bench.machine import has_amx_bf16
from framebus.model_config import FILE_NAMES
from framebus.model_repository import ModelRepository

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "tensorflow": {"inference_engine_name": "tensorflow_detection"},
    "auto-f32": {"inference_engine_name": "auto", "precision": "f32"},
    "auto-bf16": {"inference_engine_name": "auto", "precision": "bf16"},
}
"""By case: what its config.json says, over what the model's own says."""


def variant_models(models_dir: Path, model: str, into: Path) -> dict[str, str]:
    """Makes one folder per variant of a model in a models directory; its files are links to the model's own.

    Several models may go into one directory, where programs are run with it as FRAMEBUS_MODELS_DIR.

    Args:
        models_dir: Where the model lies.
        model: Its name.
        into: The directory, which exists.

    Returns:
        The name of the model's variant by case; bf16 only on a CPU that computes in it (AMX).

    Raises:
        ModelError: The model is not there, or not sound.
    """
    stored = ModelRepository(models_dir).open(model)
    own = stored.config.model_dump(exclude_none=True)
    names = {}
    for case, changes in VARIANTS.items():
        if case == "auto-bf16" and not has_amx_bf16():
            continue
        names[case] = f"{model}-{case}"
        folder = into / names[case]
        folder.mkdir()
        for file in stored.folder.iterdir():
            if file.name not in FILE_NAMES:
                (folder / file.name).symlink_to(file.resolve())
        (folder / FILE_NAMES[0]).write_text(json.dumps({**own, **changes}), encoding="utf-8")
    return names
