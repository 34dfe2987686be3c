import uuid
from pathlib import Path

import pytest

from control_api.models import Models, label_uuid, model_uuid
from control_api.problems import ModelNotFoundError, UnavailableError
from control_api.workers import Workers
from framebus.control import ModelStatus
from tests.unit.control_api.fake_worker import beat

HOSTILE = [
    "",
    ".",
    "..",
    "../secret",
    "../../etc",
    "/etc",
    "people/",
    "people/../cars",
    "people\0",
    "people\n",
    "PEOPLE",
    "\N{CYRILLIC SMALL LETTER ER}eople",
    "a" * 5_000,
    "00000000-0000-0000-0000-000000000000",
]


@pytest.fixture
def workers() -> Workers:
    return Workers(beat_interval_s=60)


@pytest.fixture
def repository(models: Path, workers: Workers) -> Models:
    # What a client must never reach: it lies beside the models, and looks like one.
    secret = models.parent / "secret"
    secret.mkdir()
    (secret / "object-detection.pbtxt").write_text("item { id: 1 name: 'secret' }")
    return Models(models, workers)


def test_a_model_goes_by_its_name_or_its_uuid(repository: Models) -> None:
    assert repository.names() == ["cars", "people"]
    assert repository.resolve("people") == "people"
    assert repository.resolve(model_uuid("people")) == "people"
    assert repository.resolve(model_uuid("cars").upper()) == "cars"


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_model_is_not_found(repository: Models, name: str) -> None:
    for ask in (repository.resolve, repository.labels, repository.config):
        with pytest.raises(ModelNotFoundError, match=r"^Model not found$"):
            ask(name)


def test_uuids_never_change() -> None:
    # Clients have them in their configuration.
    assert model_uuid("people") == "4c98646e-bd0d-54a6-a9db-c64e88e23595"
    assert label_uuid("people", "person") == "dfe4499c-f9f9-5ed1-aac2-914bd3bba477"
    assert uuid.UUID(model_uuid("people")).version == 5
    assert label_uuid("cars", "person") != label_uuid("people", "person")


def test_a_model_whose_name_is_another_ones_uuid_is_itself(repository: Models, models: Path) -> None:
    (models / "people").rename(models / model_uuid("cars"))

    assert repository.resolve(model_uuid("cars")) == model_uuid("cars")


def test_a_model_that_a_worker_still_has_is_one_without_its_folder(
    repository: Models, workers: Workers
) -> None:
    workers.take(beat("worker-1", ModelStatus(name="gone", state="loaded")))

    assert repository.names() == ["cars", "gone", "people"]
    assert repository.resolve(model_uuid("gone")) == "gone"
    with pytest.raises(ModelNotFoundError):
        repository.labels("gone")


def test_labels_stand_in_the_order_of_their_ids(repository: Models) -> None:
    assert repository.labels("people") == ["person", "dog"]


def test_config_is_what_the_file_says(repository: Models) -> None:
    assert repository.config("people").network == "ssd"


def test_without_a_models_directory_it_is_said_so(workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="the models directory cannot be read"):
        Models(tmp_path / "nowhere", workers).resolve("people")
