import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.model_workers import ModelWorker, at_work
from tests.obedient_models import ObedientModels
from tests.worker_port import Port, opened


@pytest.fixture
def obedient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObedientModels:
    """A models directory whose engines do what the test says."""
    models = ObedientModels(tmp_path)
    monkeypatch.syspath_prepend(models.packages)
    return models


@pytest.fixture
def often_interrupted() -> Iterator[None]:
    """Threads give way to each other as often as they can."""
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before_s)


@pytest.fixture
def worker(obedient: ObedientModels) -> Iterator[ModelWorker]:
    obedient.add("ssd")
    with at_work(obedient) as worker:
        yield worker


@pytest.fixture
def port() -> Iterator[Port]:
    with opened() as port:
        yield port
