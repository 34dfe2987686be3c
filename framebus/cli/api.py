"""`framebus api`: the control API."""

from framebus.cli.signals import stop_on_signals
from framebus.environment import load_settings
from framebus.logs import configure_logs


def api() -> None:
    """Serve the REST API: predictions, and control of the models on every worker.

    It listens on 127.0.0.1, port 4343; FRAMEBUS_API__HOST and FRAMEBUS_API__PORT say otherwise.
    """
    settings = load_settings()
    configure_logs(settings.log)
    from control_api.app import ControlApi
    from framebus.bus.kafka import KafkaBus

    ControlApi(settings, KafkaBus(settings.kafka)).run(stop_on_signals())
