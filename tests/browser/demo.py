"""`framebus demo` as a process of its own."""

import signal
from pathlib import Path

from tests.integration.framebus_process import FramebusProcess

MODEL = "pedestrian"


class Demo(FramebusProcess):
    """The demo, on a broker that is there, or on a Tansu of its own.

    Args:
        directory: Has its models, and gets its logs and pictures.
        servers: The broker; None: one of its own.
    """

    def __init__(self, directory: Path, servers: str | None) -> None:
        own = {} if servers is None else {"FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": servers}
        super().__init__(
            "demo",
            *("demo", "--model", MODEL, "--broker", "tansu", "--output", str(directory)),
            environment={"FRAMEBUS_MODELS_DIR": str(directory / "models"), **own},
            directory=directory,
        )

    @property
    def dashboard(self) -> str:
        """Where that is."""
        return f"{self.url}/"

    def until_ready(self) -> None:
        """Waits until it says that its dashboard is there."""
        self.until(
            lambda: f"dashboard: {self.dashboard}" in self._log_file.read_text(),
            "its dashboard",
            timeout_s=150,
        )

    def end(self) -> None:
        """Ends it as Ctrl-C does, with all that it started."""
        self.send(signal.SIGINT)
        self.wait()
