"""`framebus topics create` on a real broker."""

import json
import os
import subprocess
import sys
from typing import Any

from framebus.local_broker import LocalBroker
from tests.kafka import kafka_settings, unique


def create(broker: LocalBroker, *options: str) -> list[dict[str, Any]]:
    servers = {"FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": kafka_settings(broker).bootstrap_servers}
    done = subprocess.run(
        [sys.executable, "-m", "framebus.cli", "topics", "create", "--json", *options],
        env={**os.environ, **servers},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: list[dict[str, Any]] = json.loads(done.stdout)
    return report


def test_json_tells_what_was_created_and_what_was_there(broker: LocalBroker) -> None:
    frames, model = unique("frames"), unique("ssd")
    options = ("--topic", frames, "--model", model)

    created = create(broker, *options, "--partitions", "3")
    again = create(broker, *options, "--partitions", "5")

    def of_ours(report: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [one for one in report if one["topic"] in (frames, f"detections.{model}")]

    facts = {"partitions": 3, "wanted_partitions": 3}
    assert of_ours(created) == [
        {"topic": frames, "created": True, **facts},
        {"topic": f"detections.{model}", "created": True, **facts},
    ]
    assert [(one["created"], one["partitions"], one["wanted_partitions"]) for one in of_ours(again)] == [
        (False, 3, 5),
        (False, 3, 5),
    ]
    assert {"frames.dead", "framebus.commands", "framebus.workers"} < {one["topic"] for one in created}
