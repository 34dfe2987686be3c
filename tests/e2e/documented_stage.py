"""A directory in which the commands of a page find what it speaks of, and a shell that runs them in turn."""

import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2

from framebus.environment import load_settings
from framebus.local_broker.ports import free_ports
from framebus.resources import cache_directory
from tests.documented_commands import Command, File
from tests.e2e.documented_program import Program, interrupt
from tests.e2e.documented_tables import SUBSTITUTES
from tests.pictures import jpeg, picture
from tests.quick_model import add_quick_model, install_quick_model

_PATIENCE_S = 120.0
_FRAME_INTERVAL_S = 0.05
_QUICK_MODELS = ("pedestrian", "coco", "ssd", "plates")
_ENDLESS = ("api", "broker", "consume", "produce", "serve", "tail")
_BOUNDS = ("--frames", "--count")
# The state of the shell travels from command to command in a file.
_PROLOGUE = "set -a -o pipefail; . ./.session; "
_EPILOGUE = "; code=$?; { export -p; declare -f; } > .session; exit $code"


class Stage:
    """Runs the commands of a page; a context, at whose end every program is interrupted.

    Of the programs on one port one runs at a time: a second `framebus consume` takes the place of the first,
    for pages show alternatives. `framebus serve` takes the place of all, for it needs none.

    Args:
        directory: Empty; what pages speak of is put there.
        kafka: The broker.
        model, video: The folder of a real model, and a real video; None for quick ones.
    """

    def __init__(
        self, directory: Path, kafka: str, model: Path | None = None, video: Path | None = None
    ) -> None:
        self._directory = directory
        api_port, consumer_port, producer_port = free_ports(3)
        self._ports = {"api": api_port, "serve": api_port, "consume": consumer_port, "produce": producer_port}
        self._programs: dict[str, Program] = {}
        self._servers = ExitStack()
        quick = install_quick_model(directory, _QUICK_MODELS[0], call_s=0.0)
        for name in _QUICK_MODELS[1:]:
            add_quick_model(directory, name)
        if model:
            shutil.rmtree(directory / "models/pedestrian")
            shutil.copytree(model, directory / "models/pedestrian")
        (directory / "videos").mkdir()
        if video:
            shutil.copy(video, directory / "videos/yard.mp4")
        else:
            _write_video(directory / "videos/yard.mp4")
        shutil.copy(directory / "videos/yard.mp4", directory)
        for name in ("picture.jpg", "street.jpg"):
            (directory / name).write_bytes(jpeg())
        (directory / "secrets").mkdir()
        for name in ("framebus-read", "framebus-admin"):
            (directory / "secrets" / name).write_text(f"the-token-of-{name}")
        (directory / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
        (directory / ".session").touch()
        self._values = {
            "kafka": kafka,
            "kafka_port": kafka.rpartition(":")[2],
            "api_port": str(api_port),
            "consumer_port": str(consumer_port),
            "camera": f"http://{self._servers.enter_context(_served(directory))}",
            "directory": str(directory),
            "cache": str(cache_directory(load_settings())),
            "environment": sys.prefix,
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FRAMEBUS_")}
        self._environment = {
            **kept,
            **quick,
            "CURL_HOME": str(directory),
            "FRAMEBUS_API__LEGACY_STATUS": "false",  # so that curl sees what is wrong
            "FRAMEBUS_API__PORT": str(api_port),
            "FRAMEBUS_CACHE_DIR": self._values["cache"],
            "FRAMEBUS_CONSUMER__HTTP_PORT": str(consumer_port),
            "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": kafka,
            "FRAMEBUS_PRODUCER__HTTP_PORT": str(producer_port),
            "PATH": os.pathsep.join([f"{sys.prefix}/bin", os.environ["PATH"]]),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        programs = list(self._programs.values())
        try:
            if error is None:
                interrupt(programs)
        finally:
            for program in programs:
                program.kill()
            self._servers.close()

    def write(self, file: File) -> None:
        """Writes a file of the page."""
        (self._directory / file.name).write_text(self._substituted(file.text))

    def run(self, command: Command | str) -> None:
        """Runs a command as the next one; it has to end well, or to be up if it goes on."""
        text = self._substituted(command.text if isinstance(command, Command) else command)
        if kind := _endless_kind(text):
            self._make_room(kind)
            program = Program(kind, _PROLOGUE + text, self._directory, self._environment)
            self._programs[kind] = program
            program.until(partial(self._is_up, kind))
            return
        done = subprocess.run(
            ["bash", "-c", f"{_PROLOGUE}{text}{_EPILOGUE}"],
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        others = "".join(f"\n{one.kind}: {one.output()[-2000:]}" for one in self._programs.values())
        assert done.returncode == 0, f"exit code {done.returncode} of {text}\n{done.stdout}{others}"

    def _make_room(self, kind: str) -> None:
        port = self._ports.get(kind)
        others = [
            other
            for other in self._programs
            if kind in (other, "serve") or (port and self._ports.get(other) == port)
        ]
        interrupt([self._programs.pop(other) for other in others])

    def _is_up(self, kind: str, output: str) -> bool:
        if kind not in self._ports:
            return output.strip() != ""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[kind]}/readyz", timeout=10):
                return True
        except urllib.error.URLError:
            return False

    def _substituted(self, text: str) -> str:
        for documented, substitute in SUBSTITUTES.items():
            if documented in text:
                text = text.replace(
                    documented, substitute.format_map(_Values(self._values, self._dead_letter))
                )
        return text

    def _dead_letter(self) -> str:
        """The place of the newest one."""
        listed = subprocess.run(
            ["framebus", "dead", "list"],
            env=self._environment,
            cwd=self._directory,
            capture_output=True,
            text=True,
            check=True,
        )
        return listed.stdout.splitlines()[-2].split()[0]


class _Values(dict[str, str]):
    """Values of a stage; that of a dead letter is only looked up when a command asks for it."""

    def __init__(self, values: Mapping[str, str], dead_letter: Callable[[], str]) -> None:
        super().__init__(values)
        self._dead_letter = dead_letter

    def __missing__(self, name: str) -> str:
        assert name == "dead_letter", name
        return self._dead_letter()


def _endless_kind(text: str) -> str | None:
    """Which program that goes on a command starts; None for all others."""
    words = [word for word in text.split() if "=" not in word or word.startswith("-")]
    is_endless = words[:1] == ["framebus"] and words[1] in _ENDLESS and not set(words) & set(_BOUNDS)
    return words[1] if is_endless else None


def _write_video(path: Path) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    for _ in range(50):
        writer.write(picture())
    writer.release()


class _Camera(SimpleHTTPRequestHandler):
    """Answers with a file of its directory, or at `/live` with motion JPEG until nobody listens."""

    def do_GET(self) -> None:
        if self.path != "/live":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        part = b"--next\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg() + b"\r\n"
        with suppress(ConnectionError):
            while True:
                self.wfile.write(part)
                time.sleep(_FRAME_INTERVAL_S)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


@contextmanager
def _served(directory: Path) -> Iterator[str]:
    """Serves a directory by HTTP, as a camera serves its picture."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Camera, directory=str(directory))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
