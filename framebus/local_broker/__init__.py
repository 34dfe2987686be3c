"""A Kafka broker on this machine, for those who have none: for the demo, for tests, for a first try.

`with local_broker(settings) as broker:` starts one; clients connect to `broker.bootstrap_servers`.
"""

from pathlib import Path

from framebus.errors import FramebusError, SettingsError
from framebus.local_broker.apache import ApacheBroker
from framebus.local_broker.broker import BrokerKind, LocalBroker
from framebus.local_broker.docker import DockerBroker
from framebus.local_broker.java import find_java, jars_directory, resolve_jars
from framebus.local_broker.process import Report, no_report
from framebus.local_broker.tansu import TansuBroker, is_tansu_installed
from framebus.resources import cache_directory
from framebus.settings import Settings

__all__ = [
    "ApacheBroker",
    "BrokerKind",
    "DockerBroker",
    "LocalBroker",
    "TansuBroker",
    "local_broker",
    "why_no_apache",
]


def local_broker(
    settings: Settings,
    kind: BrokerKind = BrokerKind.AUTO,
    *,
    port: int = 0,
    data_directory: Path | None = None,
    report: Report = no_report,
) -> LocalBroker:
    """Returns a broker of this kind, not yet started.

    Args:
        settings: Say where downloads are kept.
        kind: `AUTO`: Apache Kafka if its jars are cached and Java is there, or if Tansu is not; else Tansu.
        port: Where it listens, on loopback; 0: any free port.
        data_directory: What it stores stays there for the next start (`APACHE` only); None: nothing stays.
        report: Told in words what is going on, until the broker answers.

    Raises:
        SettingsError: A data directory for a broker that cannot keep anything.
    """
    cache = cache_directory(settings)
    if kind is BrokerKind.AUTO:
        kind = _present_kind(cache)
    if kind is BrokerKind.APACHE:
        return ApacheBroker(cache, port, data_directory, report)
    if kind is BrokerKind.TANSU:
        return TansuBroker(port, data_directory, report)
    return DockerBroker(port, data_directory)


def why_no_apache(settings: Settings) -> str | None:
    """Says in words why Apache Kafka cannot be had here; None if it can.

    There is no knowing without trying: its jars are in the cache afterwards, if need be by way of Maven.
    """
    try:
        find_java()
        resolve_jars(cache_directory(settings))
    except FramebusError as error:
        return str(error)
    return None


def _present_kind(cache: Path) -> BrokerKind:
    if not is_tansu_installed():
        return BrokerKind.APACHE
    if not jars_directory(cache).is_dir():
        return BrokerKind.TANSU
    try:
        find_java()
    except SettingsError:
        return BrokerKind.TANSU
    return BrokerKind.APACHE
