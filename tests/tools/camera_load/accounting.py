"""What became of every frame."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.tools.camera_load.reading import Answer, Position, PublishedFrame


@dataclass(frozen=True, slots=True)
class Account:
    """How many frames of a topic became what, for one model.

    Attributes:
        published: Frames on the topic.
        answered_once: With one detection message.
        answered_again: With more than one, which at-least-once delivery allows after a crash.
        dead: Dead letters.
        dropped: Left out on purpose, as the consumer's metrics say.
        waiting: Not answered, and not committed either: still to come.
        missing: Committed, and nothing of the above: lost, or left out in silence. Negative: counted twice.
        wrong: Answers whose camera, frame id, time or picture size is not that of their frame, and dead
            letters of frames that were answered or never published.
        out_of_order: Answers that came after one to a later frame of their camera.
    """

    published: int
    answered_once: int
    answered_again: int
    dead: int
    dropped: int
    waiting: int
    missing: int
    wrong: int
    out_of_order: int


def account(
    frames: Sequence[PublishedFrame],
    answers: Sequence[Answer],
    dead: Collection[Position],
    committed: Mapping[int, int],
    dropped: int = 0,
) -> Account:
    """Matches frames and what became of them by topic, partition and offset."""
    times = Counter(answer.position for answer in answers)
    dead = set(dead)
    open_frames = [frame for frame in frames if not times[frame.position] and frame.position not in dead]
    waiting = sum(frame.position[2] >= committed[frame.position[1]] for frame in open_frames)
    by_position = {frame.position: frame for frame in frames}
    return Account(
        published=len(frames),
        answered_once=sum(count == 1 for count in times.values()),
        answered_again=sum(count > 1 for count in times.values()),
        dead=len(dead),
        dropped=dropped,
        waiting=waiting,
        missing=len(open_frames) - waiting - dropped,
        wrong=sum(not _fits(answer, by_position.get(answer.position)) for answer in answers)
        + sum(position in times or position not in by_position for position in dead),
        out_of_order=_out_of_order(answers),
    )


def _fits(answer: Answer, frame: PublishedFrame | None) -> bool:
    return frame is not None and (
        (answer.camera_id, answer.frame_id, answer.captured_ms, answer.width, answer.height)
        == (frame.camera_id, frame.frame_id, frame.captured_ms, frame.width, frame.height)
    )


def _out_of_order(answers: Iterable[Answer]) -> int:
    """Counts first answers only: what is answered again after a crash is old by nature."""
    seen: set[Position] = set()
    newest: dict[str, int] = {}
    violations = 0
    for answer in answers:
        if answer.position in seen:
            continue
        seen.add(answer.position)
        number = int(answer.frame_id)
        violations += number < newest.get(answer.camera_id, -1)
        newest[answer.camera_id] = max(number, newest.get(answer.camera_id, -1))
    return violations
