"""What became of every frame, by what was published and what a subscriber has."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.reading import Answer
from tests.tools.camera_load.reading import Position, PublishedFrame


@dataclass(frozen=True, slots=True)
class Account:
    """How many frames became what.

    Attributes:
        published: Frames that the broker acknowledged to their publisher.
        lost: Those of them with neither an answer nor a dead letter.
        dead: Those of them that are dead letters.
        duplicates: Answers to a frame that had one already.
        recognisable: Those of them that have the `ce_id` of that first answer, which no other frame's has.
        out_of_order: Frames first answered after a later one of their camera.
        wrong: Answers and dead letters of what nobody published, answers under another camera or frame id,
            and frames whose answer has the `ce_id` of another's.
    """

    published: int
    lost: int
    dead: int
    duplicates: int
    recognisable: int
    out_of_order: int
    wrong: int

    def broken(self, *, once: bool) -> list[str]:
        """Which guarantees do not hold, in words.

        Args:
            once: Whether every frame has to be answered once only, and not at least once.
        """
        faults = {
            "frames lost": self.lost,
            "frames made dead letters without a fault of their own": self.dead,
            "answers more than frames": self.duplicates if once else 0,
            "duplicates that ce_id does not tell": self.duplicates - self.recognisable,
            "frames answered out of order": self.out_of_order,
            "answers that are not their frame's": self.wrong,
        }
        return [f"{count} {what}" for what, count in faults.items() if count]


def account(
    frames: Iterable[PublishedFrame], answers: Sequence[Answer], dead: Collection[Position] = ()
) -> Account:
    """Matches frames and what became of them by topic, partition and offset."""
    published = {frame.position: frame for frame in frames}
    dead = set(dead)
    first: dict[Position, Answer] = {}
    again: list[Answer] = []
    for answer in answers:
        if answer.position in first:
            again.append(answer)
        else:
            first[answer.position] = answer
    frames_of = Counter(answer.event_id for answer in first.values())
    return Account(
        published=len(published),
        lost=len(published.keys() - first.keys() - dead),
        dead=len(dead & published.keys()),
        duplicates=len(again),
        recognisable=sum(
            answer.event_id == first[answer.position].event_id and frames_of[answer.event_id] == 1
            for answer in again
        ),
        out_of_order=_out_of_order(first.values()),
        wrong=sum(not _fits(answer, published.get(answer.position)) for answer in answers)
        + len(dead - published.keys())
        + len(first)
        - len(frames_of),
    )


def longest_silence_s(answers: Iterable[Answer], from_ms: float, to_ms: float) -> float:
    """How long a subscriber had nothing of a partition of frames, at most, between two moments."""
    seen: dict[int, list[float]] = defaultdict(list)
    for answer in answers:
        seen[answer.position[1]].append(answer.seen_ms)
    gaps_ms = (
        after - before
        for moments in seen.values()
        for before, after in pairwise(
            [from_ms, *sorted(moment for moment in moments if from_ms < moment < to_ms), to_ms]
        )
    )
    return max(gaps_ms, default=to_ms - from_ms) / 1000


def _fits(answer: Answer, frame: PublishedFrame | None) -> bool:
    return frame is not None and (answer.camera_id, answer.frame_id) == (frame.camera_id, frame.frame_id)


def _out_of_order(first_answers: Iterable[Answer]) -> int:
    """A camera's frames stand on one partition, in the order in which it published them."""
    newest: dict[str, int] = {}
    late = 0
    for answer in first_answers:
        offset = answer.position[2]
        late += offset < newest.get(answer.camera_id, -1)
        newest[answer.camera_id] = max(offset, newest.get(answer.camera_id, -1))
    return late
