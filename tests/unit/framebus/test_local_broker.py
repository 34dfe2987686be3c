import os
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from framebus.errors import SettingsError, TransportError
from framebus.local_broker import BrokerKind, TansuBroker, process
from framebus.local_broker.ports import answers, free_ports, require_free
from framebus.local_broker.process import ProcessBroker

READY = bytes.fromhex("00000006 00000001 0000")

# Answers every request like a broker that is ready; with a second argument it does not mind SIGTERM.
ANSWERING_PROGRAM = f"""
import signal, socket, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN if len(sys.argv) > 2 else signal.SIG_DFL)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall({READY!r})
"""


class ProgramBroker(ProcessBroker):
    """Any program as a broker; the word PORT of its command becomes the port."""

    kind = BrokerKind.TANSU

    def __init__(self, *command: str, data_directory: Path | None = None) -> None:
        super().__init__(data_directory=data_directory)
        self.command = command

    def _command(self, directory: Path) -> list[str]:
        (directory / "stored").touch()
        return [str(self.port) if word == "PORT" else word for word in self.command]


def answering_broker(*options: str, data_directory: Path | None = None) -> ProgramBroker:
    command = (sys.executable, "-c", ANSWERING_PROGRAM, "PORT", *options)
    return ProgramBroker(*command, data_directory=data_directory)


@pytest.fixture
def temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary directories are made during the test."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    return directory


# Ports


def test_free_ports_differ_and_are_never_given_to_outgoing_connections() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert max(ports) < 32_768
    for port in ports:
        require_free(port)


def test_a_taken_port_is_refused_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"port {port} .* in use; choose another with --port"):
            TansuBroker(port=port).start()


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (READY, True),
        (READY + b"the versions that it knows", True),
        (READY[:-2] + b"\x00\x0f", False),  # coordinator not available
        (b"HTTP/1.0 400 Bad Request\r\n", False),
        (b"", False),
    ],
)
def test_only_a_right_answer_means_that_a_broker_is_ready(reply: bytes, expected: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve_one() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(reply)

        server = threading.Thread(target=serve_one)
        server.start()
        assert answers(listener.getsockname()[1]) is expected
        server.join()


def test_nobody_there_is_no_broker() -> None:
    assert not answers(free_ports(1)[0])


# A broker as a child process


def test_stop_ends_the_process_and_removes_what_it_stored(temporary_files: Path) -> None:
    with answering_broker() as broker:
        pid = broker.pid
        assert broker.bootstrap_servers == f"127.0.0.1:{broker.port}"
        assert answers(broker.port)
        assert len(list(temporary_files.glob("*/stored"))) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    require_free(broker.port)
    assert list(temporary_files.iterdir()) == []


def test_a_data_directory_stays(tmp_path: Path) -> None:
    with answering_broker(data_directory=tmp_path / "new" / "data"):
        pass
    assert (tmp_path / "new" / "data" / "stored").exists()


def test_a_data_directory_belongs_to_one_broker_at_a_time(tmp_path: Path) -> None:
    with answering_broker(data_directory=tmp_path) as first:
        with pytest.raises(SettingsError, match=r"--data-dir .* in use by another broker"):
            answering_broker(data_directory=tmp_path).start()
        assert answers(first.port)
    with answering_broker(data_directory=tmp_path) as second:
        assert answers(second.port)


def test_a_data_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"--data-dir .*file"):
        answering_broker(data_directory=tmp_path / "file").start()


def test_the_same_broker_starts_again_on_its_port() -> None:
    broker = answering_broker()
    for _ in range(2):
        with broker:
            assert answers(broker.port)


def test_a_broker_that_ignores_the_request_to_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP_TIMEOUT_S", 0.2)
    with answering_broker("stubborn") as broker:
        pid = broker.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_broker_that_ends_while_it_starts_is_explained_by_its_log(temporary_files: Path) -> None:
    broker = ProgramBroker("/bin/sh", "-c", "echo no space left >&2; exit 3")
    with pytest.raises(TransportError, match="exit code 3") as raised:
        broker.start()
    [log] = temporary_files.glob("*/broker.log")
    assert str(log) in str(raised.value)
    assert "no space left" in str(raised.value)
    broker.stop()
    assert log.read_text() == "no space left\n"


@pytest.mark.usefixtures("temporary_files")
def test_a_broker_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "START_TIMEOUT_S", 0.2)
    started = tmp_path / "pid"
    with pytest.raises(TransportError, match="does not answer"):
        ProgramBroker("/bin/sh", "-c", f"echo $$ > {started}; exec sleep 60").start()
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


def test_wait_says_that_the_broker_ended_by_itself() -> None:
    with answering_broker() as broker:
        os.kill(broker.pid, signal.SIGKILL)
        with pytest.raises(TransportError, match="ended by itself, exit code -9"):
            broker.wait()
