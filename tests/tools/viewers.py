"""What viewers of the dashboard cost a stream: a consumer at full load, with and without them, in turn.

    python -m tests.tools.viewers --viewers 2 --rounds 5

The viewers watch all cameras as the page does. They are processes of this machine, and so is the broker: what
they cost themselves is part of the figure.
"""

import argparse
import http.client
import json
import os
import statistics
import tempfile
import threading
import time
from email import message_from_bytes, policy
from pathlib import Path

from framebus import samples
from framebus.cli.bench.backlog import CAMERAS, Backlog, camera_of, create_topics
from framebus.cli.bench.child import Child
from framebus.cli.bench.consumer_process import ConsumerProcess
from framebus.cli.bench.footage import read_footage
from framebus.cli.bench.own_broker import OwnBroker, own_broker
from framebus.cli.bench.program import Program
from framebus.cli.bench.variants import variant_models
from framebus.cli.models import fetch_with_progress
from framebus.environment import load_settings
from framebus.local_broker import BrokerKind
from framebus.local_broker.ports import LOOPBACK, free_ports
from framebus.settings import Settings

_MODEL = "pedestrian"
_WARM_UP_FRAMES = 500
_SETTLE_S = 3.0
# As the page does.
_ROUND_S = 0.25


class Viewers:
    """Several viewers, in a process of their own (`Child`).

    Args:
        port: Where the control API is.
        model: What they watch.
    """

    def __init__(self, port: int, model: str) -> None:
        self._port, self._model = port, model
        self._off = threading.Event()
        self._threads: list[threading.Thread] = []
        self._pictures: list[int] = []

    def begin(self, count: int) -> None:
        """So many begin to watch."""
        self._off.clear()
        self._pictures = []
        self._threads = [threading.Thread(target=self._watch) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def end(self) -> int:
        """They go; returns how many pictures they have seen."""
        self._off.set()
        for thread in self._threads:
            thread.join()
        return sum(self._pictures)

    def _watch(self) -> None:
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=30)
        seen: dict[str, str | None] = {camera_of(number): None for number in range(CAMERAS)}
        pictures = 0
        while not self._off.is_set():
            next_s = time.monotonic() + _ROUND_S
            body = json.dumps({"model": self._model, "cameras": seen, "wait_s": 1})
            connection.request("POST", "/live", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            kind, form = answer.headers["content-type"], answer.read()
            assert answer.status == http.HTTPStatus.OK, form
            first = form.split(f"--{kind.partition('boundary=')[2]}".encode(), 2)[1]
            part = message_from_bytes(first.lstrip(), policy=policy.HTTP)
            for camera, frame in json.loads(part.get_content()).items():
                seen[camera] = frame["place"]
                pictures += frame["picture"]
            self._off.wait(max(next_s - time.monotonic(), 0))
        self._pictures.append(pictures)


def _fps(consumer: ConsumerProcess, seconds: float) -> float:
    time.sleep(_SETTLE_S)
    first = consumer.read()
    time.sleep(seconds)
    last = consumer.read()
    return (last.frames - first.frames) / (last.at_s - first.at_s)


def measure(broker: OwnBroker, model: str, *, viewers: int, rounds: int, seconds: float) -> None:
    """Prints each round, and the medians."""
    [port] = free_ports(1)
    api = Program(
        "the API",
        ["api"],
        port=port,
        settings={
            "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": broker.settings.kafka.bootstrap_servers,
            "FRAMEBUS_MODELS_DIR": str(broker.settings.models_dir.resolve()),
            "FRAMEBUS_API__PORT": str(port),
        },
    )
    shares = []
    with (
        ConsumerProcess(broker, model, broker.settings.topics.frames) as consumer,
        api,
        Child("tests.tools.viewers:Viewers", port, model) as watching,
    ):
        consumer.wait_for(_WARM_UP_FRAMES)
        for number in range(rounds):
            without = _fps(consumer, seconds)
            watching.ask("begin", viewers)
            with_them = _fps(consumer, seconds)
            pictures = watching.ask("end")
            shares.append(with_them / without)
            print(  # noqa: T201
                f"round {number + 1}: {without:.1f} frames/s alone, {with_them:.1f} with {viewers} viewers, "
                f"who saw {pictures / (seconds + _SETTLE_S):.1f} pictures/s: {shares[-1]:.3f}"
            )
    spread = f"{min(shares):.3f} to {max(shares):.3f}"
    print(f"median {statistics.median(shares):.3f} ({spread})")  # noqa: T201


def main() -> None:
    """Measures as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--case", default="auto-f32")
    wanted = parser.parse_args()
    settings: Settings = load_settings()
    video = fetch_with_progress(samples.read_samples()["plaza"], settings)
    fetch_with_progress(samples.read_samples()[_MODEL], settings)
    os.environ["PYTHONPATH"] = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])  # noqa: PTH109
    with (
        tempfile.TemporaryDirectory() as folder,
        own_broker(settings, BrokerKind.APACHE, Path(folder)) as own,
    ):
        model = variant_models(settings.models_dir, _MODEL, Path(folder))[wanted.case]
        create_topics(own.settings)
        backlog = Backlog(own.settings, read_footage(video).jpegs)
        backlog.grow_to(round(300 * wanted.rounds * (wanted.seconds + _SETTLE_S)) + _WARM_UP_FRAMES)
        measure(own, model, viewers=wanted.viewers, rounds=wanted.rounds, seconds=wanted.seconds)


if __name__ == "__main__":
    main()
