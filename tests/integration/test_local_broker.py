import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from framebus.environment import load_settings
from framebus.errors import SettingsError, TransportError
from framebus.local_broker import ApacheBroker, BrokerKind, LocalBroker, local_broker, why_no_apache
from framebus.local_broker.java import resolve_jars
from framebus.local_broker.ports import answers, free_ports, require_free
from framebus.local_broker.process import ProcessBroker
from framebus.resources import cache_directory

PICTURE = os.urandom(9 * 2**20)  # larger than Kafka's default limit of 1 MB

UNRESOLVABLE_POM = """
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>framebus</groupId><artifactId>test</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>0.0.0-none</version>
  </dependency></dependencies>
</project>
"""


@pytest.fixture(scope="module")
def apache_cache() -> Path:
    """The cache with Kafka's jars in it; skips the test where Apache Kafka cannot be had."""
    settings = load_settings()
    if reason := why_no_apache(settings):
        pytest.skip(reason)
    return cache_directory(settings)


@pytest.fixture(scope="module")
def running_apache(apache_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheBroker]:
    with ApacheBroker(apache_cache, data_directory=tmp_path_factory.mktemp("apache")) as broker:
        yield broker


def publish(broker: LocalBroker, topic: str, value: bytes) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    for future in admin.create_topics([NewTopic(topic, 1, 1)]).values():
        future.result()
    errors = []
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "message.max.bytes": 10 * 2**20})
    producer.produce(topic, value, key=b"cam-1", on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(30) == 0
    assert errors == [None]


def read_one(broker: LocalBroker, topic: str) -> tuple[bytes | None, bytes | None]:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "reader"})
    try:
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        message = consumer.poll(30)
        assert message is not None
        assert message.error() is None
        return message.key(), message.value()
    finally:
        consumer.close()


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not yet collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def ended_in_time(pid: int, limit_s: float = 20) -> bool:
    deadline = time.monotonic() + limit_s
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_alive(pid)


@pytest.mark.parametrize("kind", [BrokerKind.TANSU, pytest.param(BrokerKind.APACHE, marks=pytest.mark.slow)])
def test_a_record_goes_through_and_nothing_stays(kind: BrokerKind, request: pytest.FixtureRequest) -> None:
    if kind is BrokerKind.APACHE:
        request.getfixturevalue("apache_cache")
    with local_broker(load_settings(), kind) as broker:
        assert isinstance(broker, ProcessBroker)
        pid = broker.pid
        publish(broker, "frames", b"a picture")
        assert read_one(broker, "frames") == (b"cam-1", b"a picture")
    assert not is_alive(pid)
    require_free(broker.port)


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_apache_keeps_its_records_however_it_ended(
    ending: signal.Signals, apache_cache: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "data, with a comma"
    with ApacheBroker(apache_cache, data_directory=directory) as before:
        publish(before, "frames", PICTURE)
        os.kill(before.pid, ending)
        assert ended_in_time(before.pid)
    with ApacheBroker(apache_cache, port=before.port, data_directory=directory) as after:
        assert after.bootstrap_servers == before.bootstrap_servers
        assert read_one(after, "frames") == (b"cam-1", PICTURE)


@pytest.mark.slow
def test_apache_makes_no_topic_unasked(running_apache: ApacheBroker) -> None:
    producer = Producer(
        {"bootstrap.servers": running_apache.bootstrap_servers, "topic.metadata.propagation.max.ms": 500}
    )
    errors = []
    producer.produce("tpyo", b"", on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(30) == 0
    [error] = errors
    assert error is not None
    assert error.code() in (KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART)


@pytest.mark.slow
def test_apache_shares_its_data_directory_with_no_other(
    running_apache: ApacheBroker, apache_cache: Path
) -> None:
    second = ApacheBroker(apache_cache, data_directory=running_apache.data_directory)
    with pytest.raises(SettingsError, match=r"--data-dir .* in use by another broker"):
        second.start()
    assert answers(running_apache.port)


@pytest.mark.slow
def test_apache_says_why_it_does_not_start(apache_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=another\n")
    with pytest.raises(TransportError, match=r"exit code 1; its log, .*broker.log(.|\n)*node.id"):
        ApacheBroker(apache_cache, data_directory=tmp_path).start()


@pytest.mark.skipif(shutil.which("mvn") is None, reason="Maven is not installed")
def test_jars_that_maven_cannot_find_are_explained(tmp_path: Path) -> None:
    pom = tmp_path / "pom.xml"
    pom.write_text(UNRESOLVABLE_POM)
    with pytest.raises(TransportError, match=r"--broker tansu(.|\n)*0\.0\.0-none"):
        resolve_jars(tmp_path / "cache", pom=pom)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_broker_ends_with_a_program_that_was_killed(tmp_path: Path) -> None:
    program = (
        "import time; from framebus.local_broker import TansuBroker\n"
        "broker = TansuBroker(); broker.start(); print(broker.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    assert ended_in_time(pid)


# `framebus broker`


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "framebus.cli", "broker", *options]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_one_line_and_ends_cleanly(ending: signal.Signals) -> None:
    arguments = command("--broker", "tansu", "--port", "0")
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        host, _, port = running.stdout.readline().strip().partition(":")
        assert host == "127.0.0.1"
        assert answers(int(port))
        running.send_signal(ending)
        running.send_signal(ending)
        rest, messages = running.communicate(timeout=30)
    assert running.returncode == 0, messages
    assert rest == ""
    require_free(int(port))


def test_the_command_fails_when_its_broker_dies() -> None:
    arguments = command("--broker", "tansu", "--port", "0")
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline()
        [broker] = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        os.kill(int(broker), signal.SIGKILL)
        _, messages = running.communicate(timeout=30)
    assert running.returncode == 1
    assert "ended by itself" in messages


def test_the_command_refuses_a_taken_port() -> None:
    [port] = free_ports(1)
    arguments = command("--broker", "tansu", "--port", str(port))
    with local_broker(load_settings(), BrokerKind.TANSU, port=port):
        refused = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=30)
    assert refused.returncode == 2
    assert f"port {port} on 127.0.0.1 cannot be used" in refused.stderr


def test_the_command_says_that_there_is_no_docker_daemon(tmp_path: Path) -> None:
    environment = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}
    arguments = command("--broker", "docker", "--port", "0")
    refused = subprocess.run(
        arguments, capture_output=True, text=True, check=False, timeout=60, env=environment
    )
    assert refused.returncode == 1
    assert "daemon running" in refused.stderr
    assert "--broker tansu" in refused.stderr
