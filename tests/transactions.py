"""A transactional producer on the memory bus, whose every step a test may have fail."""

from collections.abc import Callable, Mapping

from framebus.bus import Delivery, DeliveryCallback, Membership, OutgoingRecord, Partition
from framebus.bus.memory import MemoryBus, MemoryProducer
from framebus.errors import TransactionFailedError


class MemoryTransactionalProducer(MemoryProducer):
    """Nothing of a transaction is on the bus before it is committed, and then all of it is.

    Args:
        bus: The bus.
        group_id: Whose offsets are stored.
        step: Told of each `begin`, `publish`, `commit` and `abort`; what it raises, the step raises.
        is_member: Whether the group still knows a membership.
        is_too_large: Which records the bus refuses when it is asked to take them.

    Attributes:
        step: See above; may be replaced.
        is_open: Whether a transaction is.
        commits: How many were committed.
    """

    def __init__(
        self,
        bus: MemoryBus,
        group_id: str,
        *,
        step: Callable[[str], None] = lambda _: None,
        is_member: Callable[[Membership], bool] = lambda _: True,
        is_too_large: Callable[[OutgoingRecord], bool] = lambda _: False,
    ) -> None:
        super().__init__(bus)
        self._group_id = group_id
        self.step = step
        self._is_member = is_member
        self._is_too_large = is_too_large
        self._failure = ""
        self.is_open = False
        self.commits = 0

    def start(self) -> None:
        """Nobody was before it."""

    def begin(self) -> None:
        """Opens a transaction."""
        assert not self.is_open
        self.step("begin")
        self.is_open = True

    def publish(self, record: OutgoingRecord, on_delivery: DeliveryCallback | None = None) -> bool:
        """Hands a record over."""
        assert self.is_open
        self.step("publish")
        return super().publish(record, on_delivery)

    def poll(self, timeout_s: float) -> None:
        """Tells of the records that are too large."""
        for record, on_delivery in list(self._undelivered):
            if self._is_too_large(record):
                self._undelivered.remove((record, on_delivery))
                self._failure = "a record is too large"
                assert on_delivery is not None
                on_delivery(Delivery(None, None, self._failure, is_too_large=True))

    def commit(self, offsets: Mapping[Partition, int], membership: Membership) -> None:
        """Puts it all on the bus, unless something is wrong with it."""
        assert self.is_open
        self.step("commit")
        self.poll(0)
        if self._failure or not self._is_member(membership):
            raise TransactionFailedError(self._failure or "the group does not know this member")
        while self._undelivered:
            record, on_delivery = self._undelivered.popleft()
            delivery = self._bus.append(record)
            if on_delivery is not None:
                on_delivery(delivery)
        self._bus.commit(self._group_id, offsets)
        self.is_open = False
        self.commits += 1

    def abort(self) -> None:
        """Takes everything back."""
        self.step("abort")
        self.is_open = False
        self._failure = ""
        self._undelivered.clear()
