"""Requests of every kind, made of what the API says of itself."""

from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from control_api.app import create_app
from framebus.bus.memory import MemoryBus
from tests.pictures import jpeg
from tests.unit.control_api.conftest import Api, settings_for

DESCRIPTION = schemathesis.openapi.from_dict(create_app(settings_for(Path("models")), MemoryBus()).openapi())
schemathesis.openapi.format("binary", st.sampled_from([jpeg(), jpeg(3, 2), jpeg()[:-40], b"text", b""]))


@DESCRIPTION.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_whatever_is_sent_is_answered_as_described(steady: Api, case: schemathesis.Case[Any]) -> None:
    # Most names are nobody's; those of a model go further.
    if len(str(case.path_parameters.get("model"))) % 2:
        case.path_parameters["model"] = "people"

    # Which files are pictures cannot be said in OpenAPI.
    is_form = case.media_type == "multipart/form-data"
    case.call_and_validate(base_url=steady.url, excluded_checks=[positive_data_acceptance] if is_form else [])
