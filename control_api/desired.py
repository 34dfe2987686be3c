"""What all workers should run: read from the topic of commands, and written to it."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from control_api.waiting import wait_until
from framebus.bus import Bus, Delivery, OutgoingRecord, Record
from framebus.control import DesiredState, LoadCommand, Overrides, load_record, overrides_record
from framebus.errors import TransportError

_ACKNOWLEDGE_TIMEOUT_S = 10.0
_ACKNOWLEDGE_INTERVAL_S = 0.02
_READ_BACK_TIMEOUT_S = 5.0


class Desired:
    """The desired state, the same on every replica of the control API.

    Args:
        bus: Where it is written.
        topic: The topic of commands.
    """

    def __init__(self, bus: Bus, topic: str) -> None:
        self._bus, self._topic = bus, topic
        self._state = self._reading = DesiredState()
        self._next_offset = 0

    def restart(self) -> None:
        """Reading begins again; until all of it was read, what was known before holds."""
        self._reading = DesiredState()

    def take(self, record: Record) -> None:
        """Takes a command.

        Raises:
            ControlRecordError: It is none.
        """
        try:
            self._reading.apply(record)
        finally:
            self._next_offset = record.offset + 1

    def reached_end(self) -> None:
        """All of it is known."""
        self._state = self._reading

    def command(self, model: str) -> LoadCommand | None:
        """What was last said of loading a model; None if nothing ever was."""
        return self._state.loads.get(model)

    def overrides(self, model: str) -> Overrides:
        """What wins over a model's config.json."""
        return self._state.overrides.get(model, Overrides())

    async def load(self, commands: Mapping[str, LoadCommand]) -> None:
        """Says for each model whether every worker should have it.

        Raises:
            TransportError: The broker did not take it.
        """
        await self._write([load_record(self._topic, model, command) for model, command in commands.items()])

    async def override(self, model: str, overrides: Overrides) -> None:
        """Says what wins over a model's config.json.

        Raises:
            TransportError: The broker did not take it.
        """
        await self._write([overrides_record(self._topic, model, overrides)])

    async def _write(self, records: Sequence[OutgoingRecord]) -> None:
        if not records:
            return
        last_offset = await asyncio.to_thread(_publish, self._bus, records)
        # Who asks again sees what was written before.
        if not await wait_until(lambda: self._next_offset > last_offset, _READ_BACK_TIMEOUT_S):
            raise TransportError("the command was written, and cannot be read back; is a broker down?")


def _publish(bus: Bus, records: Sequence[OutgoingRecord]) -> int:
    """Publishes records to their acknowledgement, and returns the highest of their offsets.

    Commands are rare, so each time has a producer of its own, which the calling thread owns.
    """
    deliveries: list[Delivery] = []
    deadline_s = time.monotonic() + _ACKNOWLEDGE_TIMEOUT_S
    producer = bus.producer()
    try:
        for record in records:
            while not producer.publish(record, deliveries.append):
                producer.poll(_ACKNOWLEDGE_INTERVAL_S)
        while len(deliveries) < len(records):
            if time.monotonic() > deadline_s:
                raise TransportError(
                    f"no broker acknowledged the command within {_ACKNOWLEDGE_TIMEOUT_S:.0f} s; try again"
                )
            producer.poll(_ACKNOWLEDGE_INTERVAL_S)
    finally:
        producer.close()
    offsets = [delivery.offset for delivery in deliveries if delivery.offset is not None]
    if len(offsets) < len(records):
        why = next(delivery.error for delivery in deliveries if delivery.offset is None)
        raise TransportError(f"the broker did not take the command: {why}")
    return max(offsets)
