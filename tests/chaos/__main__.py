"""Faults on purpose, on a real Apache Kafka: python -m tests.chaos [SCENARIO...].

    kill         kill -9 of one of three consumers, twenty times
    broker       the broker stopped for half a minute, five times
    membership   consumers joining and leaving for five minutes
    sigterm      SIGTERM at full load, with the real model
    soak         twenty minutes at full load, with the real model
    mutations    frames, headers and model folders that were tampered with
    throughput   exactly_once against at_least_once

Without a name: all of them. Ends with exit code 1 if a guarantee did not hold, and says which, and where the
logs are.
"""

import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from framebus.environment import load_settings
from framebus.errors import FramebusError
from framebus.local_broker import BrokerKind, local_broker
from framebus.local_broker.java import jars_directory
from framebus.logs import configure_logs
from framebus.resources import cache_directory
from framebus.settings import Settings
from tests.chaos.page import Result, write
from tests.chaos.scenarios import PLANS, Plan, Scenario
from tests.chaos.stage import BrokenGuaranteeError, Delivery, Finding, Stage, on_broker

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    scenarios: Annotated[list[Scenario] | None, typer.Argument(help="By default all of them.")] = None,
    deliveries: Annotated[
        list[Delivery] | None, typer.Option("--delivery", help="By default either, in turn.")
    ] = None,
    is_short: Annotated[
        bool, typer.Option("--short", help="Seconds each, to see that they work; proves nothing.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all that was found to this file.")
    ] = None,
    to_page: Annotated[
        bool, typer.Option("--write", help="Write the figures into docs/reliability.md.")
    ] = False,
) -> None:
    """See above."""
    if is_short and to_page:
        raise typer.BadParameter("what --short finds does not belong on the page", param_hint="--write")
    settings = load_settings()
    configure_logs(settings.log)
    # With this the processes end too, and the broker.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    logs = Path(tempfile.mkdtemp(prefix="framebus-chaos-"))
    _quiet_stock_client(logs)
    results: list[Result] = []
    with (
        tempfile.TemporaryDirectory(prefix="framebus-chaos-broker-") as data,
        local_broker(settings, BrokerKind.APACHE, data_directory=Path(data)) as broker,
    ):
        for scenario in scenarios or Scenario:
            for delivery in _chosen(PLANS[scenario], deliveries):
                name = "-".join(filter(None, (scenario, delivery)))
                stage = Stage(
                    settings=on_broker(settings, broker),
                    broker=broker,
                    delivery=delivery or Delivery.AT_LEAST_ONCE,
                    directory=logs / name,
                    is_short=is_short,
                    say=_with_clock(name),
                )
                results.append(_play(scenario, delivery, stage))
                # At once: what comes later may not come to its end.
                if to_page:
                    write(results[-1:])
                if json_file is not None:
                    json_file.write_text(json.dumps([result.as_json() for result in results], indent=1))
    faults = [(result, fault) for result in results for fault in result.finding.broken]
    for result, fault in faults:
        typer.echo(f"broken: {result.scenario} {result.delivery or ''}: {fault}")
    typer.echo(f"logs: {logs}")
    raise SystemExit(1 if faults else 0)


def _chosen(plan: Plan, deliveries: Sequence[Delivery] | None) -> Sequence[Delivery | None]:
    return [one for one in plan.deliveries if one is None or not deliveries or one in deliveries]


def _play(scenario: Scenario, delivery: Delivery | None, stage: Stage) -> Result:
    stage.directory.mkdir()
    stage.say("begins")
    try:
        finding = PLANS[scenario].play(stage)
    except BrokenGuaranteeError as error:
        finding = Finding("it did not come to its end", None, {}, [str(error)])
    for what, figure in {**_account(finding), **finding.figures}.items():
        stage.say(f"{what}: {figure}")
    return Result(scenario, delivery, datetime.now(UTC).date().isoformat(), _machine(stage.settings), finding)


def _account(finding: Finding) -> dict[str, object]:
    return {} if finding.account is None else asdict(finding.account)


def _machine(settings: Settings) -> str:
    [jar] = jars_directory(cache_directory(settings)).glob("kafka_2.*.jar")
    return f"{os.cpu_count()} cores, Apache Kafka {jar.stem.rpartition('-')[2]}"


def _with_clock(name: str) -> Callable[[str], None]:
    began_s = time.monotonic()
    return lambda line: typer.echo(f"{name} {time.monotonic() - began_s:6.1f} s  {line}")


def _quiet_stock_client(logs: Path) -> None:
    """It has much to say of brokers that go away."""
    logger = logging.getLogger("kafka")
    logger.addHandler(logging.FileHandler(logs / "kafka-python.log"))
    logger.propagate = False


if __name__ == "__main__":
    try:
        app()
    except FramebusError as error:
        raise SystemExit(str(error)) from error
