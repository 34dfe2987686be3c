"""Frames as they come from the bus: no more than there is room for, and those of this model only."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, zip_longest

from consumer.assignment import Assignment
from consumer.flight import FlyingFrame
from consumer.limits import Limit
from framebus import wire
from framebus.bus import BusConsumer, Partition, Record
from framebus.routes import Route, Routes
from framebus.settings import ConsumerSettings

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
        limits: How much may be in flight.
        accept: Takes each frame of this model.
    """

    def __init__(
        self,
        *,
        model: str,
        routes: Routes,
        consumer: BusConsumer,
        assignment: Assignment,
        limits: ConsumerSettings,
        accept: Callable[[FlyingFrame], None],
    ) -> None:
        self._model = model
        self._routes = routes
        self._consumer = consumer
        self._assignment = assignment
        self._accept = accept
        self._every = Limit(limits.max_in_flight_frames, limits.max_in_flight_bytes)
        self._latest = Limit(sys.maxsize, limits.max_in_flight_bytes)
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
        """Waits until nothing is in flight, at most `timeout_s`; tells whether that is so."""
        return self._every.wait_until_empty(timeout_s) and self._latest.wait_until_empty(0)

    def forget(self, partition: Partition) -> None:
        """The partition is another consumer's now."""
        self._paused.discard(partition)

    def poll(self) -> None:
        """Takes in what has come, or waits a moment for it or for room.

        Raises:
            TransportError: The bus refused for good.
        """
        if self._paused and self._every.is_half_empty():
            self._consumer.resume(sorted(self._paused & self._assignment.partitions))
            self._paused.clear()
        room = 0 if self._paused else self._every.room()
        if room == 0:
            self._poll_while_full()
        else:
            self._admit_all(self._consumer.poll(min(room, _POLL_RECORDS), _POLL_TIMEOUT_S))

    def _poll_while_full(self) -> None:
        partitions = self._assignment.partitions
        latest = {one for one in partitions if self._route(one).freshness == "latest"}
        if not latest and not self._paused and self._every.wait_for_room(_FULL_PATIENCE_S):
            return
        # Also those that came since the last time.
        if pausing := sorted(partitions - latest - self._paused):
            self._consumer.pause(pausing)
            self._paused.update(pausing)
        self._admit_all(self._consumer.poll(_POLL_RECORDS if latest else 0, _POLL_TIMEOUT_S))

    def _route(self, partition: Partition) -> Route:
        route = self._routes.match(partition.topic)
        assert route is not None, f"{partition.topic} was subscribed and has no route"
        return route

    def _admit_all(self, records: Sequence[Record]) -> None:
        for record in _in_turn(records):
            offsets = self._assignment.offsets_of(record.partition)
            if offsets is None:  # given away since it was fetched; its new owner reads it
                continue
            offsets.admit(record.offset)
            route = self._route(record.partition)
            if not self._is_for_this_model(record, route):
                offsets.finish(record.offset)
                continue
            limit = self._latest if route.freshness == "latest" else self._every
            flying = FlyingFrame(record, route, offsets, limit, time.monotonic())
            if self.frames == 0:
                self.busy_since_s = flying.polled_at
            limit.take(flying.held_bytes)
            self._accept(flying)

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
