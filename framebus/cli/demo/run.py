"""Runs the demo's programs and follows the topics until every frame is accounted for."""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from framebus.bus.kafka import KafkaReader
from framebus.cli.demo.display import PictureWriter, table
from framebus.cli.demo.ledger import Ledger
from framebus.cli.demo.programs import Program
from framebus.errors import FramebusError
from framebus.local_broker.ports import LOOPBACK, free_ports, port_or_another
from framebus.settings import Settings

_READY_TIMEOUT_S = 120.0
# Frames that have no answer for this long, with nothing else coming either, are given up.
_QUIET_TIMEOUT_S = 60.0
_POLL_RECORDS = 100
_POLL_TIMEOUT_S = 0.1


class DemoRun:
    """One consumer, one producer per camera, a dashboard, and a reader of the topics that is none of them.

    Args:
        settings: With the broker to use.
        model_name: The model that frames go through.
        engine: What runs it; None: what its config.json names.
        videos: The video of each camera, by camera id.
        frames: Frames to publish, over all cameras; None: until told to stop.
        max_bytes: The run ends when this much was published; None: no bound.
        output: Where logs and annotated pictures go.
        console: Where the live table is shown.
        on_ready: Told the dashboard's address once all of it works.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        model_name: str,
        engine: str | None,
        videos: Mapping[str, Path],
        frames: int | None,
        max_bytes: int | None,
        output: Path,
        console: Console,
        on_ready: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._model_name = model_name
        self._engine = engine
        self._videos = videos
        self._frames = frames
        self._max_bytes = max_bytes
        self._output = output
        self._console = console
        self._on_ready = on_ready
        [self._http_port] = free_ports(1)
        api_port = port_or_another(settings.api.port)
        self._dashboard = f"http://{LOOPBACK}:{api_port}/"
        self._environment = {
            "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
            "FRAMEBUS_KAFKA__GROUP_ID": settings.kafka.group_id,
            "FRAMEBUS_CONSUMER__HTTP_PORT": str(self._http_port),
            "FRAMEBUS_PRODUCER__HTTP_PORT": "0",
            "FRAMEBUS_API__HOST": LOOPBACK,
            "FRAMEBUS_API__PORT": str(api_port),
        }

    def run(self, stop: threading.Event) -> dict[str, Any]:
        """Runs until the frames are through, or `stop` is set and what was published is through.

        Returns:
            published, processed, dropped, dead, detections and seconds.

        Raises:
            FramebusError: One of the programs failed.
        """
        with ExitStack() as programs:
            engine = [] if self._engine is None else ["--engine", self._engine]
            consumer = self._start(programs, "consumer", ["consume", "--model", self._model_name, *engine])
            api = self._start(programs, "api", ["api"])
            with self._console.status("loading the model"):
                self._wait_until_ready(consumer, f"http://{LOOPBACK}:{self._http_port}/", stop)
                self._wait_until_ready(api, self._dashboard, stop)
            started_s = time.monotonic()
            ledger = Ledger(self._settings.topics, self._model_name, since=datetime.now(UTC))
            producers: list[Program] = []
            if not stop.is_set():  # else nothing was published, and the consumer has nothing to finish
                self._on_ready(self._dashboard)
                producers = self._start_cameras(programs)
                self._follow(ledger, [consumer, api], producers, stop)
            for program in (consumer, api):
                program.ask_to_stop()
                program.wait()
            seconds = time.monotonic() - started_s
            return {
                "published": sum(producer.summary["published"] for producer in producers),
                "processed": ledger.processed,
                "dropped": sum(producer.summary["dropped"] for producer in producers),
                "dead": ledger.dead,
                "detections": ledger.detections,
                "seconds": round(seconds, 1),
            }

    def _start(self, programs: ExitStack, name: str, arguments: list[str]) -> Program:
        program = Program(name, arguments, self._environment, self._output)
        programs.callback(program.kill)
        return program

    def _start_cameras(self, programs: ExitStack) -> list[Program]:
        producers = []
        for number, (camera_id, video) in enumerate(self._videos.items()):
            arguments = ["produce", "--camera", f"{camera_id}={video}", "--loop", "--json"]
            if self._frames is not None:
                share = (self._frames + number) // len(self._videos)
                if share == 0:
                    continue
                arguments += ["--frames", str(share)]
            producers.append(self._start(programs, f"producer-{camera_id}", arguments))
        return producers

    def _wait_until_ready(self, program: Program, url: str, stop: threading.Event) -> None:
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        while not stop.wait(_POLL_TIMEOUT_S):
            program.has_ended()
            try:
                with urllib.request.urlopen(f"{url}readyz", timeout=5):
                    return
            except urllib.error.URLError as error:
                if time.monotonic() > deadline_s:
                    raise FramebusError(
                        f"the {program.name} was not ready within {_READY_TIMEOUT_S:.0f} s ({error}); "
                        f"see {program.log_file}"
                    ) from error

    def _follow(
        self, ledger: Ledger, serving: list[Program], producers: list[Program], stop: threading.Event
    ) -> None:
        pictures = PictureWriter(self._output)
        title = f"framebus demo: dashboard {self._dashboard}, pictures in {self._output}"
        reader = KafkaReader(self._settings.kafka)
        reader.follow(ledger.topics, from_start=True)
        live = Live(console=self._console, refresh_per_second=2) if self._console.is_terminal else None
        try:
            with live or nullcontext():
                moved_s = time.monotonic()
                while not self._is_through(ledger, producers):
                    records = reader.poll(_POLL_RECORDS, _POLL_TIMEOUT_S)
                    for record in records:
                        annotation = ledger.add(record)
                        if annotation is not None:
                            pictures.write(annotation)
                    if records:
                        moved_s = time.monotonic()
                    elif time.monotonic() - moved_s > _QUIET_TIMEOUT_S:
                        raise FramebusError(
                            f"nothing came for {_QUIET_TIMEOUT_S:.0f} s, and {ledger.unanswered} frames have "
                            f"no answer; see the logs in {self._output}"
                        )
                    if live is not None:
                        live.update(table(ledger, title))
                    if ledger.published_bytes > (self._max_bytes or float("inf")) and not stop.is_set():
                        self._console.print("ending: this broker keeps all that is published in memory")
                        stop.set()
                    if stop.is_set():
                        for producer in producers:
                            producer.ask_to_stop()
                    for program in serving:
                        program.has_ended()
            if live is None:
                self._console.print(table(ledger, title))
        finally:
            reader.close()

    def _is_through(self, ledger: Ledger, producers: list[Program]) -> bool:
        if not all(producer.has_ended() for producer in producers):
            return False
        published = sum(int(producer.summary["published"]) for producer in producers)
        return ledger.published >= published and ledger.unanswered == 0
