import re

import pytest

from tests.unit.control_api.clients import data
from tests.unit.control_api.conftest import Api, StartApi


def test_the_page_is_there_for_everybody(start_api: StartApi) -> None:
    api = start_api(read_token="r" * 16, admin_token="a" * 16)

    page = api.http.get("/")

    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "framebus" in page.text


def test_all_that_the_page_names_is_served_from_here(steady: Api) -> None:
    page = steady.http.get("/").text
    files = re.findall(r'(?:href|src)="([^"#]+)"', page)

    assert files
    for file in files:
        assert not re.match(r"/|\w+:", file), f"{file} would not be found behind a proxy's prefix, or offline"
        assert steady.http.get(f"/{file}").status_code == 200, file


def test_scripts_load_no_others_but_ours(steady: Api) -> None:
    policy = steady.http.get("/").headers["content-security-policy"]

    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_no_other_file_is_served(steady: Api) -> None:
    for path in ("/dashboard/../app.py", "/dashboard/%2e%2e/app.py", "/dashboard/nothing.js"):
        assert steady.http.get(path).status_code == 404


@pytest.mark.parametrize(("token", "scope"), [(None, "nothing"), ("r" * 16, "read"), ("a" * 16, "admin")])
def test_a_page_is_told_what_it_may_do(start_api: StartApi, token: str | None, scope: str) -> None:
    api = start_api(
        read_token="r" * 16, admin_token="a" * 16, grafana_url="https://grafana.example/d/framebus"
    )
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    assert data(api.http.get("/session", headers=headers)) == {
        "scope": scope,
        "is_open": False,
        "has_streams": True,
        "grafana_url": "https://grafana.example/d/framebus",
    }


def test_without_tokens_everybody_may_do_everything(steady: Api) -> None:
    session = data(steady.http.get("/session"))

    assert (session["scope"], session["is_open"], session["grafana_url"]) == ("admin", True, None)
