"""The Helm chart: what stands in Secrets, and who reads it."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.chart import (
    EVERYTHING,
    KUBERNETES,
    SECURED,
    SMALLEST,
    Manifests,
    Object,
    render,
    settings_in,
)


def test_a_secured_bus_is_reached_with_what_stands_in_secrets(tmp_path: Path) -> None:
    pods = render(SECURED).pods()

    options = settings_in(pods["consumer"], tmp_path).kafka.options

    assert options == {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": f"{tmp_path}/etc/framebus/kafka/ca.crt",
        "ssl.certificate.location": f"{tmp_path}/etc/framebus/kafka/user.crt",
        "ssl.key.location": f"{tmp_path}/etc/framebus/kafka/user.key",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "eyes",
        "sasl.password": "what stands in /etc/framebus/kafka/password",
        "socket.keepalive.enable": "true",
    }
    assert settings_in(pods["topics"], tmp_path).kafka.options["sasl.username"] == "topics"


class _Cluster(BaseHTTPRequestHandler):
    """As much of an API server as Helm's `lookup` asks: a cluster that has one Secret."""

    secret: Object

    def do_GET(self) -> None:
        secret = self.secret["metadata"]
        kind = {
            "name": "secrets",
            "singularName": "secret",
            "namespaced": True,
            "kind": "Secret",
            "verbs": ["get"],
        }
        answers = {
            "/version": {"major": "1", "minor": "34", "gitVersion": f"v{KUBERNETES}"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "groups": []},
            "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [kind]},
            f"/api/v1/namespaces/vision/secrets/{secret['name']}": self.secret,
        }
        found = answers.get(self.path.partition("?")[0])
        body = json.dumps(found or {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404})
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def cluster_with(secret: Object) -> Iterator[str]:
    handler = type("Cluster", (_Cluster,), {"secret": secret})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_tokens_are_generated_once() -> None:
    def secret_of(made: Manifests) -> Object:
        return made.of("Secret")[""]

    first, other = secret_of(render(SMALLEST)), secret_of(render(EVERYTHING))
    assert first["data"].keys() == {"worker-token", "read-token", "admin-token"}
    assert all(len(base64.b64decode(token)) >= 16 for token in first["data"].values())
    assert not first["data"].items() & other["data"].items()

    # The Secret alone, for this cluster knows no other kinds.
    alone = SMALLEST | {
        part: {"enabled": False} for part in ("consumer", "api", "networkPolicy", "podDisruptionBudget")
    }
    alone["topics"] = {"create": False}
    owner = {"meta.helm.sh/release-name": "eyes", "meta.helm.sh/release-namespace": "vision"}
    first["metadata"]["annotations"] = owner
    with cluster_with(first) as address:
        server = ("--dry-run=server", "--disable-openapi-validation", "--kube-apiserver", address)
        again = secret_of(render(alone, *server))
    assert again["data"] == first["data"]


def test_a_secret_of_ones_own_is_used_instead() -> None:
    made = render(SMALLEST | {"secrets": {"existingSecret": "own"}})

    assert made.of("Secret") == {}
    for name in ("consumer", "control-api"):
        [tokens] = [one for one in made.pods()[name]["spec"]["volumes"] if one["name"] == "tokens"]
        assert tokens["secret"]["secretName"] == "own"


def test_an_open_api_asks_for_no_token(tmp_path: Path) -> None:
    pods = {tokens: render(SMALLEST | {"api": {"tokens": tokens}}).pods() for tokens in (True, False)}
    settings = {tokens: settings_in(made["control-api"], tmp_path) for tokens, made in pods.items()}

    assert settings[True].api.read_token is not None
    assert settings[True].api.admin_token is not None
    assert settings[False].api.read_token is settings[False].api.admin_token is None
    assert {one.control.worker_token is not None for one in settings.values()} == {True}
