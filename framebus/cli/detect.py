"""`framebus detect`: runs a model on picture files, without any bus."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from framebus.cli.completion import engine_names, model_names
from framebus.cli.progress import progress_bar
from framebus.environment import load_settings
from framebus.errors import DetectionError, FrameError
from framebus.logs import configure_logs
from framebus.routes import load_routes

if TYPE_CHECKING:
    from rich.table import Table

    from consumer.engines.engine import DetectionEngine
    from framebus.detections import Detections
    from framebus.frames import Frame
    from framebus.model_repository import StoredModel

_PIPED_COLUMNS = 400

OnFailure = Callable[[Path, Exception], None]


def detect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="JPEG, PNG or WebP pictures.")],
    model: Annotated[
        str | None, typer.Option(help="Model to run; by default the consumer's.", autocompletion=model_names)
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Write one object a line per file, as on the bus (confidence 0..1)."),
    ] = False,
    annotate: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write each picture there with its boxes drawn.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="Engine to use instead of the one in the model's config.json.", autocompletion=engine_names
        ),
    ] = None,
) -> None:
    """Detect objects in pictures; exit code 1 if one of them could not be processed."""
    from rich.console import Console
    from rich.table import Column, Table

    from consumer.engines.engine import create_engine
    from framebus.model_repository import ModelRepository

    settings = load_settings()
    configure_logs(settings.log, ends_by_itself=True)
    stored = ModelRepository(settings.models_dir).open(model or load_routes(settings).models[0])
    failed: list[Path] = []

    def on_failure(file: Path, error: Exception) -> None:
        typer.echo(f"error: {file}: {error}", err=True)
        failed.append(file)

    table = Table(Column("file", overflow="fold"), "type", box=None)
    for heading in ("confidence (0..1)", "left", "top", "right", "bottom"):
        table.add_column(heading, justify="right")
    annotated = _annotated_files(files, annotate) if annotate else {}
    if annotate:
        try:
            annotate.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise typer.BadParameter(f"{annotate}: {error.strerror}", param_hint="--annotate") from error
    running = create_engine(stored, settings, name=engine)
    running.load()
    try:
        frames = _read(files, settings.consumer.max_frame_pixels, on_failure)
        with progress_bar("detecting", len(files), beside_output=as_json) as on_progress:
            for number, (frame, detections) in enumerate(_detect(running, frames, on_failure), 1):
                kept = detections.keep(stored.thresholds)
                if as_json:
                    typer.echo(_json_line(frame, kept, stored))
                else:
                    _add_rows(table, frame, kept, stored)
                if annotate:
                    _annotate(annotated[Path(frame.encoded.frame_id)], frame, kept, stored)
                on_progress(number + len(failed), frame.encoded.frame_id)
    finally:
        running.close()
    if table.row_count:
        console = Console()
        # Off a terminal rich takes 80 columns, and would break long file names.
        console.print(table, width=None if console.is_terminal else _PIPED_COLUMNS)
    if failed:
        raise typer.Exit(1)


def _read(files: Iterable[Path], max_pixels: int, on_failure: OnFailure) -> "Iterator[Frame]":
    """Reads pictures as frames: the file is the frame, its folder the camera."""
    from framebus.frames import EncodedFrame, Frame
    from framebus.images import decode

    for file in files:
        try:
            data = file.read_bytes()
            image = decode(data, max_pixels)
            captured_at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        except IsADirectoryError:
            on_failure(file, OSError("is a directory; name the pictures in it"))
        except OSError as error:
            on_failure(file, OSError(error.strerror))
        except FrameError as error:
            on_failure(file, error)
        else:
            yield Frame(EncodedFrame(str(file.parent), str(file), captured_at, data), image)


def _detect(
    engine: "DetectionEngine", frames: "Iterable[Frame]", on_failure: OnFailure
) -> "Iterator[tuple[Frame, Detections]]":
    for batch in _batches(engine, frames):
        try:
            yield from zip(batch, engine.detect([frame.image for frame in batch]), strict=True)
        except DetectionError as error:
            if len(batch) == 1:
                on_failure(Path(batch[0].encoded.frame_id), error)
                continue
            for frame in batch:  # alone, so that only the guilty one fails
                yield from _detect(engine, [frame], on_failure)


def _batches(engine: "DetectionEngine", frames: "Iterable[Frame]") -> "Iterator[list[Frame]]":
    """Joins neighbours that may share a call, so that results keep the order of the files."""
    batch: list[Frame] = []
    for frame in frames:
        full = len(batch) == engine.preferred_batch_size
        if batch and (full or engine.batch_key(frame.image) != engine.batch_key(batch[0].image)):
            yield batch
            batch = []
        batch.append(frame)
    if batch:
        yield batch


def _json_line(frame: "Frame", detections: "Detections", model: "StoredModel") -> bytes:
    import orjson

    from framebus.wire import ModelInForce, detections_json

    in_force = ModelInForce(model.name, model.version, model.thresholds, model.labels)
    return orjson.dumps(detections_json(frame.encoded, detections, in_force))


def _add_rows(table: "Table", frame: "Frame", detections: "Detections", model: "StoredModel") -> None:
    from rich.text import Text

    from framebus.detections import label_of

    file = Text(frame.encoded.frame_id)
    if not len(detections):
        table.add_row(file, "nothing")
    for box, score, class_id in zip(detections.boxes, detections.scores, detections.class_ids, strict=True):
        label = Text(label_of(int(class_id), model.labels))
        table.add_row(file, label, f"{score:.3f}", *(f"{edge:.1f}" for edge in box))


def _annotated_files(files: Iterable[Path], folder: Path) -> dict[Path, Path]:
    """Names the annotated picture of each file; files of one name from several folders are numbered."""
    names: dict[Path, Path] = {}
    for file in files:
        number, name = 1, f"{file.stem}.detections.jpg"
        while folder / name in names.values():
            number += 1
            name = f"{file.stem}-{number}.detections.jpg"
        names.setdefault(file, folder / name)
    return names


def _annotate(path: Path, frame: "Frame", detections: "Detections", model: "StoredModel") -> None:
    from framebus.images import draw, encode_jpeg

    data = encode_jpeg(draw(frame.image, detections, model.labels))
    try:
        path.write_bytes(data)
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}", param_hint="--annotate") from error
