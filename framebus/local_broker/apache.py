"""Apache Kafka itself: broker and controller in one Java process."""

import base64
import subprocess
import uuid
from pathlib import Path

from framebus.errors import TransportError
from framebus.local_broker.broker import BrokerKind
from framebus.local_broker.java import find_java, resolve_jars
from framebus.local_broker.ports import LOOPBACK, free_ports
from framebus.local_broker.process import ProcessBroker, Report, no_report

_MAX_MESSAGE_BYTES = str(10 * 2**20)

SINGLE_NODE_PROPERTIES = {
    "auto.create.topics.enable": "false",
    "message.max.bytes": _MAX_MESSAGE_BYTES,
    "replica.fetch.max.bytes": _MAX_MESSAGE_BYTES,
    # One node cannot replicate, and groups of one machine need no wait for members that start late.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
}
"""What makes one node of Kafka, of whatever version, fit for frames."""

# Names in the broker's directory.
_DATA = "data"
_PROPERTIES = "server.properties"

# Without the optimising compiler: on few cores it doubles the time until the broker answers.
_JVM_OPTIONS = ("-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
_BROKER_MEMORY = ("-Xms256m", "-Xmx768m")


class ApacheBroker(ProcessBroker):
    """One node of Apache Kafka (KRaft, no ZooKeeper) on Java 17 or newer; topics must be created explicitly.

    Given the same port and data directory, the next broker goes on where this one stopped or was killed.
    """

    kind = BrokerKind.APACHE

    def __init__(
        self,
        cache_directory: Path,
        port: int = 0,
        data_directory: Path | None = None,
        report: Report = no_report,
    ) -> None:
        super().__init__(port, data_directory, report)
        self._cache_directory = cache_directory

    def _command(self, directory: Path) -> list[str]:
        java = [find_java(), *_JVM_OPTIONS]
        java += ["-cp", f"{resolve_jars(self._cache_directory, self._report)}/*"]
        properties = self._listeners() | SINGLE_NODE_PROPERTIES
        lines = [f"{name}={value}\n" for name, value in properties.items()]
        (directory / _PROPERTIES).write_text("".join(lines))
        if not (directory / _DATA / "meta.properties").exists():
            self._format(java, directory)
        return [java[0], *_BROKER_MEMORY, *java[1:], "kafka.Kafka", _PROPERTIES]

    def _listeners(self) -> dict[str, str]:
        # The controller's port may differ from start to start: nothing of it is stored.
        controller = f"{LOOPBACK}:{next(port for port in free_ports(2) if port != self.port)}"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap_servers}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            # Relative to the working directory: in a full path, Kafka would take a comma for a separator.
            "log.dirs": _DATA,
        }

    def _format(self, java: list[str], directory: Path) -> None:
        """Gives the data directory its cluster id: 16 random bytes in base64, as Kafka wants them."""
        self._report("formatting the data directory of Apache Kafka")
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        # In one word with its option, because the id may begin with a dash.
        options = [f"--cluster-id={cluster_id}", "--config", _PROPERTIES, "--ignore-formatted"]
        done = subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", *options],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            why = "\n  ".join(done.stdout.splitlines()[-10:])
            raise TransportError(f"the apache broker cannot format {directory / _DATA}; it says:\n  {why}")
