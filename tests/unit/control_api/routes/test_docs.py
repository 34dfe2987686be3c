import re

import pytest
from pydantic import BaseModel

from control_api import schemas
from tests.unit.control_api.conftest import Api, StartApi

FILE = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}


def test_the_page_needs_nothing_from_elsewhere(steady: Api) -> None:
    page = steady.http.get("/docs")

    assert page.status_code == 200
    assert "://" not in page.text
    links = re.findall(r"""(?:src|href)="([^"]+)""", page.text)
    assert sorted(links) == ["docs/favicon-32x32.png", "docs/swagger-ui-bundle.js", "docs/swagger-ui.css"]
    kinds = {"png": "image/png", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
    for link in links:
        file = steady.http.get(f"/{link}")
        assert file.status_code == 200
        assert file.headers["content-type"] == kinds[link.rpartition(".")[2]]
        assert file.content
    # Where the page is shown, no one is asked whether the description is valid.
    assert '"validatorUrl": null' in page.text
    assert "'openapi.json'" in page.text
    assert steady.http.get("/docs/../secrets").status_code == 404


def test_every_endpoint_says_what_it_does_and_what_may_go_wrong(steady: Api) -> None:
    description = steady.http.get("/openapi.json").json()

    ids = []
    for path, operations in description["paths"].items():
        for operation in operations.values():
            ids.append(operation["operationId"])
            assert operation["summary"].endswith("."), path
            assert len(operation["tags"]) == 1, path
            assert "200" in operation["responses"], path
            for status, response in operation["responses"].items():
                if status != "200" and "health" not in operation["tags"]:
                    [content] = response["content"].values()
                    schemas.Failure.model_validate(content["example"])
                    assert content["example"]["data"] is None
                    assert content["schema"] == {"$ref": "#/components/schemas/Failure"}
    assert len(ids) == len(set(ids)) == 23
    assert "HTTPValidationError" not in description["components"]["schemas"]


def test_pictures_are_sent_as_files_and_batches_as_a_list_of_them(steady: Api) -> None:
    paths = steady.http.get("/openapi.json").json()["paths"]

    def form(path: str) -> dict[str, object]:
        schema = paths[path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert schema["required"] == list(schema["properties"])
        return schema["properties"]  # type: ignore[no-any-return]

    assert form("/models/{model}/predict") == {"input_data": FILE}
    assert form("/models/{model}/predict_image") == {"input_data": FILE}
    assert form("/models/{model}/predict_batch")["input_data"] == {
        "type": "array",
        "items": FILE,
        "minItems": 1,
    }
    assert form("/detect")["image"] == FILE


MODELS = [
    model for model in vars(schemas).values() if isinstance(model, type) and issubclass(model, BaseModel)
]
EXAMPLES = [
    (model, example)
    for model in MODELS
    if isinstance(extra := model.model_config.get("json_schema_extra"), dict)
    for example in extra["examples"]  # type: ignore[union-attr]
]


@pytest.mark.parametrize(("model", "example"), EXAMPLES, ids=lambda value: getattr(value, "__name__", ""))
def test_examples_are_what_they_are_examples_of(steady: Api, model: type[BaseModel], example: object) -> None:
    parsed = model.model_validate(example)
    assert parsed.model_dump(mode="json", by_alias=True, exclude_unset=True) == example

    described = steady.http.get("/openapi.json").json()["components"]["schemas"]
    assert example in described[model.__name__]["examples"]


def test_tokens_are_described_where_they_are_needed(start_api: StartApi) -> None:
    admin, reader = "the token of admins", "the token of readers"

    def secured(**tokens: str) -> set[str]:
        description = start_api(**tokens).http.get("/openapi.json").json()
        schemes = description["components"].get("securitySchemes", {})
        assert set(schemes) == ({"token"} if tokens else set())
        return {
            operation["operationId"]
            for operations in description["paths"].values()
            for operation in operations.values()
            if operation.get("security") == [{"token": []}]
        }

    changing = {
        "get_load_all",
        "post_load_all",
        "get_load",
        "post_load",
        "post_unload",
        "patch_config",
    }
    assert secured() == set()
    assert secured(admin_token=admin) == changing
    everything = secured(admin_token=admin, read_token=reader)
    assert changing | {"get_models", "post_predict", "post_detect", "get_workers"} <= everything
    assert not everything & {"get_healthz", "get_readyz", "get_metrics", "post_login", "post_logout"}
