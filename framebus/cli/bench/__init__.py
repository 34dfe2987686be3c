"""`framebus bench`: what framebus costs on this machine, and against what; docs/benchmarks.md has figures."""

import typer

from framebus.cli.bench import consumers, engine, latency, rest, scale, stream
from framebus.cli.bench.options import interrupted_once
from framebus.logs import configure_logs
from framebus.settings import LogSettings

app = typer.Typer(help="Measure engines, the stream, and REST on this machine.", no_args_is_help=True)
app.command("engine")(engine.engine)
app.command("stream")(stream.stream)
app.command("latency")(latency.latency)
app.command("rest")(rest.rest)
app.command("scale")(scale.scale)
app.command("consumers")(consumers.consumers)


@app.callback()
def bench(context: typer.Context) -> None:
    """Measure engines, the stream, and REST on this machine.

    Everything that is compared is measured in turn, in one run; rows show medians, and in brackets the least
    and the most. Nothing else should run meanwhile. docs/benchmarks.md says how to read the rows.
    """
    # What the measured programs log goes to files of their own; ours would tear the progress bar.
    configure_logs(LogSettings(level="error", format="console"))
    context.with_resource(interrupted_once())
