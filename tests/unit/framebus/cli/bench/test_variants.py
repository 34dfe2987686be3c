import json
from pathlib import Path

import pytest

from framebus.cli.bench import machine
from framebus.cli.bench.variants import variant_models
from framebus.errors import ModelError
from framebus.model_repository import ModelRepository

CPU_INFO = {True: "flags\t\t: avx2 amx_bf16\n", False: "flags\t\t: avx2\n"}


@pytest.fixture(params=[True, False], ids=["with AMX", "without AMX"])
def has_amx(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    (tmp_path / "cpuinfo").write_text(CPU_INFO[request.param])
    monkeypatch.setattr(machine, "_CPU_INFO", tmp_path / "cpuinfo")
    has_it: bool = request.param
    return has_it


@pytest.fixture
def into(tmp_path: Path) -> Path:
    path = tmp_path / "variants"
    path.mkdir()
    return path


def test_bf16_is_a_variant_where_the_cpu_has_it(models_dir: Path, into: Path, has_amx: bool) -> None:
    names = variant_models(models_dir, "cups", into)
    assert list(names) == ["tensorflow", "auto-f32", *(["auto-bf16"] if has_amx else [])]
    assert ModelRepository(into).names() == sorted(names.values())


def test_a_variant_is_the_model_with_another_engine(models_dir: Path, into: Path) -> None:
    own = ModelRepository(models_dir).open("cups")
    names = variant_models(models_dir, "cups", into)
    for case, engine in {"tensorflow": "tensorflow_detection", "auto-f32": "auto"}.items():
        variant = ModelRepository(into).open(names[case])
        assert variant.config.inference_engine_name == engine
        assert (variant.version, variant.labels, variant.thresholds) == (
            own.version,
            own.labels,
            own.thresholds,
        )
        assert variant.graph.samefile(own.graph)
    config = json.loads((into / names["auto-f32"] / "config.json").read_text())
    assert config["precision"] == "f32"


def test_several_models_share_a_directory_and_stay_as_they_are(models_dir: Path, into: Path) -> None:
    (models_dir / "cups").rename(models_dir / "mugs")
    (models_dir / "mugs" / "config.json").rename(models_dir / "mugs" / "Config.json")
    (models_dir / "cups").mkdir()
    for file in (models_dir / "mugs").iterdir():
        (models_dir / "cups" / file.name).write_bytes(file.read_bytes())
    before = {path: path.read_bytes() for path in models_dir.rglob("*") if path.is_file()}
    names = [name for model in ("cups", "mugs") for name in variant_models(models_dir, model, into).values()]
    for name in names:
        ModelRepository(into).open(name)
    assert {path: path.read_bytes() for path in models_dir.rglob("*") if path.is_file()} == before


def test_an_unknown_model_is_refused(models_dir: Path, into: Path) -> None:
    with pytest.raises(ModelError, match=r"Model not found: mugs; .* has cups"):
        variant_models(models_dir, "mugs", into)
