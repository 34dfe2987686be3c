"""Writes docs/metrics.md from the metrics themselves: python -m tests.tools.metrics_page."""

from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from consumer.metrics import ConsumerMetrics
from control_api.metrics import ApiMetrics
from producer.metrics import CameraStates, ProducerMetrics

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"

_HEAD = """\
# Metrics

Every program has an HTTP port (`FRAMEBUS_CONSUMER__HTTP_PORT`, `FRAMEBUS_PRODUCER__HTTP_PORT`,
`FRAMEBUS_API__PORT`) with `/metrics` for Prometheus, `/healthz` (200 while the program lives) and `/readyz`
(200 while it does its work, else 503 and why not). `framebus serve` has the metrics of both its parts on the
API's port.

The label `camera` names the first cameras seen (`..._METRICS_CAMERAS` of them, 200 by default); the rest is
`other`.

[Monitoring](monitoring.md) makes alerts and a dashboard of them.

This page is written by `python -m tests.tools.metrics_page`.
"""


def render() -> str:
    """The page."""
    lines = [_HEAD]
    producer = ProducerMetrics(CollectorRegistry(), 1)
    for title, metrics in (
        ("Consumer", ConsumerMetrics(CollectorRegistry(), 1)),
        ("Producer", producer),
        ("Control API", ApiMetrics(CollectorRegistry())),
    ):
        lines += [f"## {title}", "", "| metric | kind | labels | |", "| --- | --- | --- | --- |"]
        for metric in vars(metrics).values():
            if isinstance(metric, MetricWrapperBase):
                lines.append(_row(metric._name, metric._type, metric._labelnames, metric._documentation))
        if metrics is producer:
            cameras = CameraStates((), producer.camera).collect()
            lines += [_row(family.name, family.type, ["camera"], family.documentation) for family in cameras]
        lines.append("")
    return "\n".join(lines)


def _row(name: str, kind: str | None, labels: Iterable[str], documentation: str) -> str:
    total = "_total" if kind == "counter" else ""
    return f"| `{name}{total}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {documentation} |"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
