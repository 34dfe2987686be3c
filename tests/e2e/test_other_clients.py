"""The programs of docs/how-to/publish-and-subscribe.md, on Apache Kafka, with a consumer between them."""

import re
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka.partitioner.default import murmur2

from framebus.bus import Partition, Record
from framebus.environment import load_settings
from framebus.errors import SettingsError
from framebus.local_broker import LocalBroker
from framebus.local_broker.java import find_java, resolve_jars
from framebus.resources import cache_directory
from framebus.wire import decode_frame
from tests.contracts import DOCS, MessageContract, message_of
from tests.integration.accounts import read
from tests.integration.installation import Installation
from tests.pictures import jpeg

PAGE = DOCS / "how-to" / "publish-and-subscribe.md"
PROGRAMS = dict(
    re.findall(
        r'^```\w+ title="([^"]+)"\n(.*?)^```$', PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
)
PICTURE = jpeg()
TIMEOUT_S = 60.0
OLDEST_NODE = (20, 19)

PARTITIONS = 7
"""No power of two: on such a topic it shows how a partitioner treats the sign of its hash."""


def partition_of(camera: str) -> int:
    """Where Kafka's own client puts a camera."""
    return int(murmur2(camera.encode()) & 0x7FFFFFFF) % PARTITIONS


def wrong_partitions(camera: str) -> set[int]:
    """Where clients put it that hash in another way, or take the sign for a digit."""
    return {zlib.crc32(camera.encode()) % PARTITIONS, int(murmur2(camera.encode()) & 0xFFFFFFFF) % PARTITIONS}


CAMERA = next(
    camera
    for camera in (f"cam-{number}" for number in range(2, 1_000))
    if partition_of(camera) not in wrong_partitions(camera)
)


@dataclass(frozen=True, slots=True)
class Client:
    """One client, as the page has it.

    Attributes:
        publish: The program that publishes.
        subscribe: The program that subscribes.
        command: How a program is run in a directory.
        prepare: Gets a directory ready, or skips the test.
    """

    publish: str
    subscribe: str
    command: Callable[[str], Sequence[str]]
    prepare: Callable[[Path], None] = field(default=lambda _: None)


def need_kcat(directory: Path) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not installed (Debian: apt install kcat)")


def need_jdk(directory: Path) -> None:
    try:
        modules = subprocess.run([find_java(), "--list-modules"], capture_output=True, text=True, check=True)
    except SettingsError as error:
        pytest.skip(str(error))
    if "jdk.compiler" not in modules.stdout:
        pytest.skip("Java is there without its compiler (Debian: apt install openjdk-17-jdk-headless)")


def need_node(directory: Path) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm is not installed (Debian: apt install npm)")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST_NODE:
        pytest.skip(f"@platformatic/kafka needs Node.js {'.'.join(map(str, OLDEST_NODE))}; here is {version}")
    install = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "@platformatic/kafka"]
    subprocess.run(install, cwd=directory, check=True, timeout=120)


def run_java(program: str) -> Sequence[str]:
    return [find_java(), "-cp", f"{resolve_jars(cache_directory(load_settings()))}/*", program]


def run_python(program: str) -> Sequence[str]:
    return [sys.executable, program]


CLIENTS = {
    "kcat": Client("publish.sh", "subscribe.sh", lambda program: ["bash", program], need_kcat),
    "kafka-python": Client("publish_kafka_python.py", "subscribe_kafka_python.py", run_python),
    "confluent-kafka": Client("publish_confluent_kafka.py", "subscribe_confluent_kafka.py", run_python),
    "java": Client("Publish.java", "Subscribe.java", run_java, need_jdk),
    "node": Client("publish.mjs", "subscribe.mjs", lambda program: ["node", program], need_node),
}


@pytest.fixture(scope="module")
def installation(apache: LocalBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A consumer at work."""
    directory = tmp_path_factory.mktemp("clients")
    with Installation(apache.bootstrap_servers, directory, partitions=PARTITIONS, call_s=0) as installation:
        installation.create_topics()
        consumer = installation.consumer()
        consumer.until_ready()
        yield installation
        consumer.stop()


def write_program(name: str, installation: Installation, directory: Path) -> None:
    """Writes a program of the page for this installation's broker, topics and camera."""
    program = PROGRAMS[name].replace("localhost:9092", installation.servers).replace("cam-1", CAMERA)
    program = program.replace("detections.pedestrian", installation.detections)
    program, count = re.subn(r"""(?<=["'])frames(?=["'])|(?<=-t )frames\b""", installation.topic, program)
    assert count == name.lower().startswith("publish")
    (directory / name).write_text(program, encoding="utf-8")


def frames_of(installation: Installation) -> dict[tuple[int, int], Any]:
    """All frames that are there, by partition and offset."""
    return {
        (record.partition, record.offset): record for record in read(installation.servers, installation.topic)
    }


def test_the_page_has_these_programs_and_no_others() -> None:
    assert set(PROGRAMS) == {name for one in CLIENTS.values() for name in (one.publish, one.subscribe)}


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIENTS)
def test_a_frame_of_this_client_is_detected_and_its_detections_are_read_by_it(
    name: str, installation: Installation, tmp_path: Path
) -> None:
    client = CLIENTS[name]
    client.prepare(tmp_path)
    for program in (client.publish, client.subscribe):
        write_program(program, installation, tmp_path)
    (tmp_path / "picture.jpg").write_bytes(PICTURE)
    earlier = frames_of(installation)
    published = subprocess.run(
        client.command(client.publish), cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert published.returncode == 0, published.stderr

    [(place, record)] = [
        (place, one) for place, one in frames_of(installation).items() if place not in earlier
    ]
    message = message_of(record.key, record.value, record.headers, is_json=False)
    assert MessageContract("frame", strict=True).problems(message) == []
    frame = decode_frame(
        Record(
            Partition(record.topic, record.partition),
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            tuple(record.headers),
        )
    )
    assert (frame.camera_id, frame.data) == (CAMERA, PICTURE)
    assert abs(datetime.now(UTC) - frame.captured_at) < timedelta(minutes=10)
    assert frame.frame_id == message.headers["ce_id"]
    assert place[0] == partition_of(CAMERA), "another partition than that of other clients"

    said = until_said(client.command(client.subscribe), frame.frame_id, tmp_path)
    assert CAMERA in said
    assert "person" in said
    assert "0.9" in said


def until_said(command: Sequence[str], word: str, directory: Path) -> str:
    """Runs a program until it prints a whole line with a word in it, and returns that line."""
    output, errors = directory / "output.txt", directory / "errors.txt"
    with output.open("wb") as stdout, errors.open("wb") as stderr:
        process = subprocess.Popen(command, cwd=directory, stdout=stdout, stderr=stderr)
    try:
        deadline_s = time.monotonic() + TIMEOUT_S
        while True:
            ended = process.poll() is not None
            for line in output.read_text().split("\n")[:-1]:
                if word in line:
                    return line
            assert not ended, f"it ended: {errors.read_text()}"
            assert time.monotonic() < deadline_s, f"it printed {output.read_text()!r}, {errors.read_text()!r}"
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
