"""Frames as they come from the bus: no more than there is room for, and those of this model only."""

import sys
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import chain, zip_longest

from consumer.assignment import Assignment
from consumer.flight import FlyingFrame
from consumer.frame_trace import NewTrace
from consumer.limits import Limit
from consumer.suspects import Suspects
from consumer.turn import Turn
from framebus import wire
from framebus.bus import BusConsumer, Partition, Record
from framebus.routes import Route, Routes

_POLL_TIMEOUT_S = 0.1
# Records per poll: small enough that one poll cannot overshoot the bytes in flight by much.
_POLL_RECORDS = 16
# How long the pipeline may be full before the partitions are paused. Pausing throws away what was fetched
# ahead, so a pipeline that is merely busy should not.
_FULL_PATIENCE_S = 0.5


class Intake:
    """Polls for one model; used by the thread that owns the consumer.

    Where every frame counts, a full pipeline pauses the partitions. Where only the latest of a camera counts,
    everything is read as it comes, and `accept` makes room by leaving out what is older.

    Args:
        model: The model.
        routes: All routes; those of this model say how fresh its frames have to be.
        consumer: Member of the group.
        assignment: What the group gave it.
        suspects: Tells which frames run alone, and which have ended a process.
        alone: Held by the one of a process's pipelines that runs a frame alone.
        max_frames: Most frames in flight, where every frame counts.
        max_bytes: Most bytes in flight, encoded; the same again where only the latest counts.
        keeps_offset_order: Whether all frames of a partition are published in the order of their offsets, and
            not only those of each camera where freshness counts.
        trace: Made for each frame of this model.
        accept: Takes each frame of this model.
        condemn: Takes each frame of this model that has ended a process.
    """

    def __init__(
        self,
        *,
        model: str,
        routes: Routes,
        consumer: BusConsumer,
        assignment: Assignment,
        suspects: Suspects,
        alone: Turn,
        max_frames: int,
        max_bytes: int,
        keeps_offset_order: bool,
        trace: NewTrace,
        accept: Callable[[FlyingFrame], None],
        condemn: Callable[[FlyingFrame], None],
    ) -> None:
        self._model = model
        self._routes = routes
        self._consumer = consumer
        self._assignment = assignment
        self._keeps_offset_order = keeps_offset_order
        self._suspects = suspects
        self._alone = alone
        self._has_turn = False
        self._trace = trace
        self._accept = accept
        self._condemn = condemn
        self._every = Limit(max_frames, max_bytes)
        self._latest = Limit(sys.maxsize, max_bytes)
        self._paused: set[Partition] = set()
        self.busy_since_s = time.monotonic()
        """When the first of the frames in flight came."""

    @property
    def frames(self) -> int:
        """Frames in flight."""
        return self._every.frames + self._latest.frames

    @property
    def bytes(self) -> int:
        """Memory of the frames in flight, encoded."""
        return self._every.bytes + self._latest.bytes

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Waits a while until nothing is in flight, for frames of either kind; tells whether that is so."""
        return self._every.wait_until_empty(timeout_s) and self._latest.wait_until_empty(timeout_s)

    def forget(self, partition: Partition) -> None:
        """The partition is another consumer's now."""
        self._paused.discard(partition)

    def poll(self) -> None:
        """Takes in what has come, or waits a moment for it or for room.

        Raises:
            TransportError: The bus refused for good.
        """
        alone = self._suspects.run_alone
        if not alone:
            self._end_turn()
        if self._paused and (self.frames == 0 if alone else self._every.is_half_empty()):
            self._consumer.resume(sorted(self._paused & self._assignment.partitions))
            self._paused.clear()
        room = 0 if self._paused else self._every.room()
        if alone:
            self._poll_one()
        elif room == 0:
            self._poll_while_full()
        else:
            self._admit_all(self._consumer.poll(min(room, _POLL_RECORDS), _POLL_TIMEOUT_S))

    def _poll_one(self) -> None:
        if self.wait_until_empty(_POLL_TIMEOUT_S):
            self._end_turn()
            self._has_turn = self._alone.acquire(timeout=_POLL_TIMEOUT_S)
        if self._has_turn and self.frames == 0:
            self._admit_all(self._consumer.poll(1, _POLL_TIMEOUT_S))
        else:
            self._pause(self._assignment.partitions)
            self._admit_all(self._consumer.poll(0, 0))

    def _end_turn(self) -> None:
        if self._has_turn:
            self._suspects.settle()
            self._has_turn = False
            self._alone.release()

    def _poll_while_full(self) -> None:
        partitions = self._assignment.partitions
        latest = {one for one in partitions if self._route(one).freshness == "latest"}
        if not latest and not self._paused and self._every.wait_for_room(_FULL_PATIENCE_S):
            return
        self._pause(partitions - latest)
        self._admit_all(self._consumer.poll(_POLL_RECORDS if latest else 0, _POLL_TIMEOUT_S))

    def _pause(self, partitions: set[Partition]) -> None:
        # Also those that came since the last time.
        if pausing := sorted(partitions - self._paused):
            self._consumer.pause(pausing)
            self._paused.update(pausing)

    def _route(self, partition: Partition) -> Route:
        route = self._routes.match(partition.topic)
        assert route is not None, f"{partition.topic} was subscribed and has no route"
        return route

    def _admit_all(self, records: Sequence[Record]) -> None:
        tracked = self._assignment.tracked()
        guilty = self._suspects.begin(records)
        for record in _in_turn(records):
            offsets = tracked.get(record.partition)
            if offsets is None or offsets.is_given_away:  # since it was fetched; its new owner reads it
                continue
            offsets.admit(record.offset)
            route = self._route(record.partition)
            if not self._is_for_this_model(record, route):
                offsets.finish(record.offset)
                continue
            limit = self._latest if route.freshness == "latest" else self._every
            flying = FlyingFrame(
                record,
                route,
                self._order_key(record, route),
                offsets,
                limit,
                polled_at=time.monotonic(),
                trace=self._trace(),
            )
            if self.frames == 0:
                self.busy_since_s = flying.polled_at
            limit.take(flying.held_bytes)
            (self._condemn if record in guilty else self._accept)(flying)

    def _order_key(self, record: Record, route: Route) -> Hashable:
        if self._keeps_offset_order or route.freshness == "all":
            return record.partition  # as it is what is committed
        return (record.partition, record.key)  # no camera waits for another

    def _is_for_this_model(self, record: Record, route: Route) -> bool:
        wanted = wire.wanted_model(record)
        if wanted is None:
            return True
        # What names a model that is not of the route is answered, by one of them.
        return self._model == (wanted if wanted in route.models else route.models[0])


def _in_turn(records: Sequence[Record]) -> Iterator[Record]:
    """Takes one record of each partition in turn, so that a busy partition does not hold up the others."""
    by_partition: dict[Partition, list[Record]] = {}
    for record in records:
        by_partition.setdefault(record.partition, []).append(record)
    return (record for record in chain(*zip_longest(*by_partition.values())) if record is not None)
