"""A node of Apache Kafka behind TLS, with users who have passwords (SCRAM) and what each may do (ACLs)."""

import argparse
import secrets
import shlex
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # without __all__
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives import serialization

from framebus.local_broker.apache import SINGLE_NODE_PROPERTIES
from framebus.local_broker.ports import LOOPBACK, free_ports
from tests.apache_node import ApacheNode

ADMIN = "admin"
"""The user who may do everything."""

_BROKER = "broker"
_MECHANISM = "SCRAM-SHA-512"
_ITERATIONS = 4096  # the fewest that Kafka takes
_REQUEST_TIMEOUT_S = 30.0
_INTERVAL_S = 0.05
_KINDS = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional_id": ResourceType.TRANSACTIONAL_ID,
}


def read_acls(options: str) -> list[AclBinding]:
    """Reads what Kafka's own command is told that allows a user something: kafka-acls --add."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--allow-principal", required=True)
    parser.add_argument("--operation", action="append", required=True)
    parser.add_argument("--resource-pattern-type", default="literal")
    for kind in _KINDS:
        parser.add_argument(f"--{kind.replace('_', '-')}", action="append", default=[])
    given = parser.parse_args(shlex.split(options))
    return [
        AclBinding(
            resource,
            name,
            ResourcePatternType[given.resource_pattern_type.upper()],
            given.allow_principal,
            "*",
            AclOperation[operation.upper()],
            AclPermissionType.ALLOW,
        )
        for kind, resource in _KINDS.items()
        for name in getattr(given, kind)
        for operation in given.operation
    ]


class Certificates:
    """An authority, and what it has signed, as PEM files.

    Attributes:
        authority: The authority's own certificate, for those who are to trust it.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self._authority = trustme.CA()
        self.authority = directory / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.authority))

    def issue(self, name: str, *addresses: str, key_password: str | None = None) -> Path:
        """Signs for a server at these addresses, or for a client; returns a file of key and certificate."""
        issued = self._authority.issue_cert(*(addresses or (name,)), common_name=name)
        key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), password=None)
        encryption = (
            serialization.NoEncryption()
            if key_password is None
            else serialization.BestAvailableEncryption(key_password.encode())
        )
        # Kafka reads keys in this form only.
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        ) + b"".join(certificate.bytes() for certificate in issued.cert_chain_pems)
        file = self._directory / f"{name}.pem"
        file.write_bytes(pem)
        return file


class SecureKafka:
    """One node that asks for TLS and a password; on another port, for a certificate. A context.

    Its certificate is for 127.0.0.1 and for no name. At first, nobody but `ADMIN` may do anything.

    Args:
        directory: Keeps its data, its log, certificates and passwords.

    Attributes:
        certificates: Its authority, which signs for clients too.
        bootstrap_servers: Where it asks for passwords.
        certified_servers: Where it asks for certificates; the user is the certificate's common name.
        node: The node itself.
    """

    def __init__(self, directory: Path) -> None:
        self._secrets = directory / "secrets"
        self._secrets.mkdir()
        self.certificates = Certificates(directory / "certificates")
        self.bootstrap_servers, self.certified_servers, controller = (
            f"{LOOPBACK}:{port}" for port in free_ports(3)
        )
        passwords = {name: self._new_password(name) for name in (_BROKER, ADMIN)}
        properties = SINGLE_NODE_PROPERTIES | {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": (
                f"SASL_SSL://{self.bootstrap_servers},SSL://{self.certified_servers},"
                f"CONTROLLER://{controller}"
            ),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "SASL_SSL",
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:SSL",
            "sasl.enabled.mechanisms": _MECHANISM,
            "sasl.mechanism.inter.broker.protocol": _MECHANISM,
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required "
                f'username="{_BROKER}" password="{passwords[_BROKER]}";'
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.certificates.issue(_BROKER, LOOPBACK)),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates.authority),
            "listener.name.ssl.ssl.client.auth": "required",
            "listener.name.controller.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{ADMIN};User:{_BROKER}",
            "log.dirs": "data",
        }
        self.node = ApacheNode(
            directory / "node",
            properties,
            format_options=[
                option
                for name, password in passwords.items()
                for option in ("--add-scram", f"{_MECHANISM}=[name={name},password={password}]")
            ],
        )

    def __enter__(self) -> Self:
        self.node.__enter__()
        self._admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, **self.options(ADMIN)})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        del self._admin  # or it would complain that its node is gone
        self.node.__exit__(kind, error, traceback)

    def add_user(self, name: str) -> None:
        """Makes a user, or gives one that there is another password."""
        credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _ITERATIONS)
        wanted = UserScramCredentialUpsertion(name, credential, self._new_password(name).encode())
        for done in self._admin.alter_user_scram_credentials([wanted]).values():
            done.result(_REQUEST_TIMEOUT_S)

    def allow(self, acls: Iterable[AclBinding]) -> None:
        """Allows users something, and returns when the node knows."""
        if not (wanted := list(acls)):
            return
        for done in self._admin.create_acls(wanted).values():
            done.result(_REQUEST_TIMEOUT_S)
        deadline_s = time.monotonic() + _REQUEST_TIMEOUT_S
        while not set(wanted).issubset(self._acls()):
            assert time.monotonic() < deadline_s, "the node does not know the ACLs"
            time.sleep(_INTERVAL_S)

    def password_file(self, user: str) -> Path:
        """The file that holds a user's password, as an editor would leave it: with an end of the line."""
        return self._secrets / user

    def password(self, user: str) -> str:
        """A user's password."""
        return self.password_file(user).read_text().removesuffix("\n")

    def options(self, user: str) -> dict[str, str]:
        """What a client of librdkafka has to be told to sign in with a password."""
        return {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.certificates.authority),
            "sasl.mechanism": _MECHANISM,
            "sasl.username": user,
            "sasl.password": self.password(user),
        }

    def _new_password(self, user: str) -> str:
        password = f"{user}-{secrets.token_hex(16)}"
        self.password_file(user).write_text(f"{password}\n")
        return password

    def _acls(self) -> Sequence[AclBinding]:
        anything: Any = None  # a name, a principal, a host
        everything = AclBindingFilter(
            ResourceType.ANY,
            anything,
            ResourcePatternType.ANY,
            anything,
            anything,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        acls: Sequence[AclBinding] = self._admin.describe_acls(everything).result(_REQUEST_TIMEOUT_S)
        return acls
