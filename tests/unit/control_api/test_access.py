import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from control_api.access import COOKIE, SESSION_S, Access, Scope
from control_api.problems import TokenError
from framebus.errors import SettingsError
from framebus.settings import ApiSettings
from tests.pictures import jpeg
from tests.unit.control_api.clients import error
from tests.unit.control_api.conftest import Api, StartApi
from tests.unit.control_api.fake_worker import FakeWorker

READER, ADMIN = "the token of readers", "the token of admins"

READING = [
    ("GET", "/models"),
    ("GET", "/models/people/labels"),
    ("GET", "/models/people/config"),
    ("GET", "/workers"),
    ("GET", "/cameras"),
    ("POST", "/get_labels"),
    ("POST", "/detect"),
    ("POST", "/models/people/predict"),
    ("POST", "/models/people/predict_image"),
    ("POST", "/models/people/predict_batch"),
]
CHANGING = [
    ("GET", "/load"),
    ("POST", "/load"),
    ("GET", "/models/people/load"),
    ("POST", "/models/people/load"),
    ("POST", "/models/people/unload"),
    ("PATCH", "/models/people/config"),
]
OPEN = [("GET", path) for path in ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json")]


@pytest.fixture
def start(start_api: StartApi, worker: FakeWorker) -> Callable[..., Api]:
    def start(**api: str) -> Api:
        replica = start_api(**api)
        replica.knows(worker, models=("people",))
        return replica

    return start


Start = Callable[..., Api]


def status(api: Api, method: str, path: str, token: str | None = None) -> int:
    headers = {} if token is None else {b"Authorization": f"Bearer {token}".encode("latin-1")}
    body: Any = {} if method == "PATCH" else None
    return api.http.request(method, path, headers=headers, json=body).status_code


def test_without_tokens_everything_is_open(start: Start) -> None:
    api = start()

    for endpoint in [*READING, *CHANGING, *OPEN]:
        assert status(api, *endpoint) not in (401, 403), endpoint
        assert status(api, *endpoint, token="any token at all") not in (401, 403), endpoint


def test_with_an_admin_token_alone_reading_is_open(start: Start) -> None:
    api = start(admin_token=ADMIN)

    for endpoint in [*READING, *OPEN]:
        assert status(api, *endpoint) not in (401, 403), endpoint
    for endpoint in CHANGING:
        assert status(api, *endpoint) == 401, endpoint
        assert status(api, *endpoint, token=ADMIN) not in (401, 403), endpoint
    for endpoint in [*READING, *CHANGING]:
        assert status(api, *endpoint, token="wrong token") == 401, endpoint


def test_with_both_tokens_each_opens_its_own(start: Start) -> None:
    api = start(admin_token=ADMIN, read_token=READER)

    for endpoint in OPEN:
        assert status(api, *endpoint) not in (401, 403), endpoint
    for endpoint in [*READING, *CHANGING]:
        for token in (None, "-", "wrong", READER[:-1], READER + "x", "\xff"):
            assert status(api, *endpoint, token=token) == 401, (endpoint, token)
        assert status(api, *endpoint, token=ADMIN) not in (401, 403), endpoint
    for endpoint in READING:
        assert status(api, *endpoint, token=READER) not in (401, 403), endpoint
    for endpoint in CHANGING:
        assert status(api, *endpoint, token=READER) == 403, endpoint


def test_who_is_turned_away_is_told_how_to_come_in(start: Start) -> None:
    api = start(admin_token=ADMIN, read_token=READER)

    response = api.http.get("/models")

    assert error(response) == (
        401,
        "this needs a token: send it as `Authorization: Bearer <token>`, or log in",
    )
    assert response.headers["WWW-Authenticate"] == "Bearer"
    wrong = api.http.get("/models", headers={"Authorization": "Bearer wrong"})
    assert error(wrong) == (401, "the token is neither the read nor the admin token")
    reading = api.http.get("/load", headers={"Authorization": f"Bearer {READER}"})
    assert error(reading) == (403, "this needs the admin token")


def test_the_old_statuses_do_not_hide_a_missing_token(start: Start) -> None:
    api = start(admin_token=ADMIN, read_token=READER, legacy_status="1")

    assert status(api, "GET", "/models") == 401
    assert status(api, "GET", "/load", token=READER) == 403


def test_predicting_loads_a_model_only_for_an_admin(start: Start) -> None:
    api = start(admin_token=ADMIN, read_token=READER)

    def predict(model: str, token: str) -> tuple[int, str]:
        files = {"input_data": ("a.jpg", jpeg())}
        bearer = {"Authorization": f"Bearer {token}"}
        response = api.http.post(f"/models/{model}/predict", files=files, headers=bearer)
        return response.status_code, response.json()["error"]

    assert predict("people", READER) == (200, "")
    answered, said = predict("cars", READER)
    assert answered == 409
    assert "model cars is not loaded, and loading it takes the admin token" in said

    assert predict("cars", ADMIN) == (200, "")
    assert predict("cars", READER) == (200, "")


def test_a_read_token_alone_is_refused(start: Start) -> None:
    with pytest.raises(SettingsError, match="FRAMEBUS_API__ADMIN_TOKEN is not; set both"):
        start(read_token=READER)


def test_a_browser_logs_in_for_a_cookie(start: Start) -> None:
    api = start(admin_token=ADMIN, read_token=READER)
    assert status(api, "GET", "/models") == 401

    response = api.http.post("/login", json={"token": READER})

    assert response.json() == {"data": {"scope": "read"}, "error": "", "success": True}
    cookie = response.headers["Set-Cookie"]
    assert READER not in cookie
    flags = {flag.lower() for flag in re.split(r";\s*", cookie)[1:]}
    assert {"httponly", "samesite=strict", "path=/", f"max-age={SESSION_S}"} <= flags
    assert "secure" not in flags  # it came by http
    assert status(api, "GET", "/models") == 200
    assert status(api, "GET", "/load") == 403

    assert api.http.post("/login", json={"token": ADMIN}).json()["data"] == {"scope": "admin"}
    assert status(api, "GET", "/load") == 200

    assert api.http.post("/logout").status_code == 200
    assert status(api, "GET", "/models") == 401


def test_a_cookie_goes_over_https_only_where_it_came_from_there(start: Start) -> None:
    api = start(admin_token=ADMIN)

    # As a proxy on this machine says that ends TLS.
    response = api.http.post("/login", json={"token": ADMIN}, headers={"X-Forwarded-Proto": "https"})

    assert "; secure" in response.headers["Set-Cookie"].lower()


def test_a_wrong_token_logs_nobody_in(start: Start) -> None:
    api = start(admin_token=ADMIN, read_token=READER)

    for body, answered in (
        ({"token": "wrong"}, 401),
        ({"token": ""}, 401),
        ({}, 422),
        ({"token": 5}, 422),
        ({"token": "x" * 2_000}, 422),
    ):
        response = api.http.post("/login", json=body)
        assert response.status_code == answered, body
        assert "Set-Cookie" not in response.headers


def test_logging_in_where_no_token_is_set_says_that_everything_is_open(start: Start) -> None:
    assert start().http.post("/login", json={"token": "any"}).json()["data"] == {"scope": "admin"}


def test_every_replica_takes_the_cookie(start: Start) -> None:
    first, second = (start(admin_token=ADMIN, read_token=READER) for _ in range(2))
    first.http.post("/login", json={"token": READER})

    second.http.cookies.set(COOKIE, first.http.cookies[COOKIE])

    assert status(second, "GET", "/models") == 200


def settings(admin: str = ADMIN) -> ApiSettings:
    return ApiSettings(admin_token=SecretStr(admin), read_token=SecretStr(READER))


@pytest.mark.parametrize(
    "forge",
    [
        lambda cookie: "2" + cookie[1:],
        lambda cookie: cookie[:-1],
        lambda cookie: cookie + "=",
        lambda cookie: cookie.rpartition(".")[2],
        lambda cookie: "2.99999999999." + cookie.rpartition(".")[2],
        lambda _: "",
        lambda _: "2.99999999999.",
        lambda _: "\xff.\xff.\xff",
    ],
)
def test_a_forged_cookie_opens_nothing(start: Start, forge: Callable[[str], str]) -> None:
    api = start(admin_token=ADMIN, read_token=READER)
    cookie = forge(api.plane.access.cookie(Scope.READ))

    answer = api.http.get("/load", headers={b"Cookie": f"{COOKIE}={cookie}".encode("latin-1")})

    assert answer.status_code == 401


def test_a_cookie_expires(start: Start) -> None:
    now_s = 1_000_000.0
    access = Access(settings(), clock=lambda: now_s)
    cookie = access.cookie(Scope.ADMIN)
    assert access.of_cookie(cookie) is Scope.ADMIN
    now_s += SESSION_S - 1
    assert access.of_cookie(cookie) is Scope.ADMIN

    now_s += 1

    assert access.of_cookie(cookie) is Scope.NOTHING


def test_another_token_ends_all_sessions() -> None:
    cookie = Access(settings()).cookie(Scope.ADMIN)

    assert Access(settings("another token of admins")).of_cookie(cookie) is Scope.NOTHING


def test_one_token_for_both_is_the_admins() -> None:
    access = Access(settings(READER))

    assert access.of_token(READER) is Scope.ADMIN
    with pytest.raises(TokenError):
        access.of_token(ADMIN)
