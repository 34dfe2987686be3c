"""`framebus dead`: frames that could not be processed; look at them, and send them round again."""

import json
import shutil
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from framebus.cli.completion import model_names
from framebus.cli.dead.selection import Selection, parse_reason
from framebus.cli.moments import parse_since
from framebus.cli.places import Place, parse_place
from framebus.cli.signals import stop_on_signals
from framebus.environment import load_settings
from framebus.errors import DeadLetterError, FramebusError
from framebus.logs import configure_logs
from framebus.settings import Settings

app = typer.Typer(
    help="Look at frames that could not be processed, and send them round again.", no_args_is_help=True
)

ModelOption = Annotated[
    list[str] | None,
    typer.Option("--model", help="Only those of this model; repeat it for more.", autocompletion=model_names),
]
CameraOption = Annotated[
    list[str] | None, typer.Option("--camera", help="Only those of this camera; repeat it for more.")
]
ReasonOption = Annotated[
    list[str] | None,
    typer.Option(
        "--reason",
        parser=parse_reason,
        metavar="REASON",
        help="Only those that died of this, e.g. undecodable; repeat it for more.",
    ),
]
SinceOption = Annotated[
    datetime | None,
    typer.Option(
        "--since",
        parser=parse_since,
        metavar="AGO|TIME",
        help="Only those that died since: 90s, 10m, 2h or 3d ago, or an RFC 3339 time.",
    ),
]


@app.callback()
def dead() -> None:
    """Look at frames that could not be processed, and send them round again (docs/dead-letters.md)."""


@app.command("list")
def list_dead_letters(
    model: ModelOption = None,
    camera: CameraOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    count: Annotated[int, typer.Option(min=1, help="So many of the newest.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object a line.")] = False,
) -> None:
    """List dead letters, the newest last; joins no group and commits nothing."""
    from framebus.cli.dead import listing
    from framebus.cli.dead.topic import DeadTopic

    with closing(DeadTopic(_settings())) as topic:
        letters = listing.newest(topic, Selection.of(model, camera, reason, since), count)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in listing.as_json(letters) if as_json else listing.as_lines(letters, width):
        typer.echo(line)
    for line in (topic.foreign_records, listing.summary(letters, count)):
        if line:
            typer.echo(line, err=True)


@app.command()
def show(
    place: Annotated[
        Place, typer.Argument(parser=parse_place, metavar="PLACE", help="As `list` gives it, e.g. 3/17.")
    ],
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the picture there, byte for byte.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Show one dead letter: why the frame died, where it came from, its headers, and what its picture is."""
    from framebus.cli.dead import showing
    from framebus.cli.dead.topic import DeadTopic

    with closing(DeadTopic(_settings())) as topic:
        letter = topic.find(place)
        missing = None
        try:
            letter = topic.restored(letter)
        except DeadLetterError as error:
            missing = error
        if as_json:
            typer.echo(json.dumps(showing.as_json(letter, missing)))
        else:
            for line in showing.describe(letter, missing):
                typer.echo(line)
    if save is None:
        return
    if missing is not None:
        raise FramebusError(f"{save} is not written: {missing}")
    try:
        save.write_bytes(letter.value)
    except OSError as error:
        raise FramebusError(f"{save} cannot be written: {error.strerror}") from error


@app.command("replay")
def replay_dead_letters(
    places: Annotated[
        list[Place] | None,
        typer.Argument(parser=parse_place, metavar="PLACE", help="As `list` gives them, e.g. 3/17."),
    ] = None,
    model: ModelOption = None,
    camera: CameraOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every dead letter that is kept.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be published, and where.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object a frame.")] = False,
) -> None:
    """Publish dead frames once more where they came from, for the model that failed and no other.

    The dead letters stay where they are. Exit code 1 if a frame could not be published.
    """
    from framebus.cli.dead.replaying import Plan, Replay
    from framebus.cli.dead.topic import DeadTopic

    selection = Selection.of(model, camera, reason, since)
    if sum(map(bool, (places, selection, everything))) != 1:
        raise typer.BadParameter(
            "say which: either places, as `framebus dead list` gives them, or some of --model, --camera, "
            "--reason and --since, or --all"
        )
    if not (dry_run or yes or sys.stdin.isatty()):
        raise typer.BadParameter("there is nobody to ask, for this is no terminal; give --yes")
    settings = _settings()
    with closing(DeadTopic(settings)) as topic:
        plan = Plan.of_places(topic, places) if places else Plan.of_selection(topic, selection)
        for line in (topic.foreign_records, str(plan)):
            if line:
                typer.echo(line, err=True)
        replay = Replay(settings, topic, as_json=as_json)
        if dry_run:
            all_well = replay.rehearse(plan)
        else:
            if plan.frames and not yes:
                typer.confirm("Publish them?", abort=True, err=True)
            all_well = replay.publish(plan, stop_on_signals())
    if not all_well:
        raise typer.Exit(1)


def _settings() -> Settings:
    settings = load_settings()
    configure_logs(settings.log, ends_by_itself=True)
    return settings
