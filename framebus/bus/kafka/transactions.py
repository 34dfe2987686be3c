"""Publishing to Kafka in transactions, which hold the offsets of what was read too (KIP-98, KIP-447)."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from framebus.bus import DeliveryCallback, Membership, OutgoingRecord, Partition
from framebus.bus.kafka.client import log, new_client
from framebus.bus.kafka.producer import KafkaProducer
from framebus.errors import TransactionFailedError, TransportError
from framebus.settings import KafkaSettings

_TRANSACTION_OPTIONS = {
    # What a consumer that was killed left open holds up those who read only what is committed for so long.
    "transaction.timeout.ms": "10000",
}
_CALL_TIMEOUT_S = 5.0
# After this a new client is more likely to get on than this one: librdkafka does not always find the
# coordinator of transactions again after it was away.
_STEP_TIMEOUT_S = 10.0
# By then a call with that time-out should have come back, and some never do
# (https://github.com/confluentinc/librdkafka/issues/5456).
_STUCK_S = 15.0
_RETRY_INTERVAL_S = 0.1


class KafkaTransactionalProducer(KafkaProducer):
    """A producer that publishes in transactions; see `framebus.bus.TransactionalProducer`.

    Args:
        settings: Where the brokers are, and the group whose offsets are stored.
        transactional_id: Its name. Of two with the same name, the one that started first is refused.
        **options: librdkafka options.
    """

    _ends_at_fatal = False  # for another client takes its place

    def __init__(self, settings: KafkaSettings, transactional_id: str, **options: str) -> None:
        super().__init__(
            settings,
            **{**_TRANSACTION_OPTIONS, **options, "transactional.id": transactional_id},
        )
        self._is_open = False
        self._is_stuck = False

    def start(self) -> None:
        """Ends what an earlier producer of the same name left open, and refuses that one from then on."""
        deadline_s = time.monotonic() + self._settings.patience_s
        while True:
            try:
                self._call(self._producer.init_transactions)
                return
            except KafkaException as error:
                reason = error.args[0]
                self.poll(0)
                if not reason.retriable() or time.monotonic() > deadline_s:
                    raise TransportError(f"transactions cannot be started: {reason.str()}") from error
                log.warning("transactions cannot be started, trying again", error=reason.str())
            time.sleep(_RETRY_INTERVAL_S)

    def begin(self) -> None:
        """Opens a transaction."""
        try:
            self._step("begin", lambda _: self._producer.begin_transaction())
        except TransactionFailedError as error:  # between two transactions only the client can be at fault
            self._start_over(error)
            self._step("begin", lambda _: self._producer.begin_transaction())
        self._is_open = True

    def publish(self, record: OutgoingRecord, on_delivery: DeliveryCallback | None = None) -> bool:
        """Hands a record over without waiting; False if the buffer is full."""
        with _failing_transaction():
            return super().publish(record, on_delivery)

    def poll(self, timeout_s: float) -> None:
        """Serves delivery callbacks."""
        with _failing_transaction():
            super().poll(timeout_s)

    def commit(self, offsets: Mapping[Partition, int], membership: Membership) -> None:
        """Delivers what was published, stores the offsets to read next, and makes both visible."""
        positions = [TopicPartition(one.topic, one.number, offset) for one, offset in offsets.items()]
        self._step(
            "offsets",
            lambda timeout_s: self._producer.send_offsets_to_transaction(positions, membership, timeout_s),
        )
        try:
            self._step("commit", self._producer.commit_transaction)
        except _UnknownOutcomeError as error:
            self._start_over(error)
            if not self._is_stored(positions):
                raise
        self._is_open = False

    def abort(self) -> None:
        """Takes back everything since `begin`."""
        if not self._is_open:
            return
        try:
            self._step("abort", self._producer.abort_transaction)
        except TransactionFailedError as error:
            self._start_over(error)
        self._is_open = False

    def close(self) -> None:
        """Gives up what is not delivered."""
        with suppress(TransportError):  # of a client that has failed, which was said before
            super().close()

    def _step(self, what: str, call: Callable[[float], None]) -> None:
        """Does one step of a transaction, again and again if it takes long.

        Raises:
            TransactionFailedError: The transaction has to be aborted.
            _UnknownOutcomeError: The broker does not answer, or has forgotten this client.
        """
        deadline_s = time.monotonic() + _STEP_TIMEOUT_S
        while True:
            try:
                self._call(call)
                return
            except KafkaException as error:
                reason = error.args[0]
                if reason.txn_requires_abort():
                    raise TransactionFailedError(f"{what} of a transaction: {reason.str()}") from error
                if not reason.retriable() or time.monotonic() > deadline_s:
                    raise _UnknownOutcomeError(f"{what} of a transaction: {reason.str()}") from error
            try:
                self.poll(0)
            except TransactionFailedError as error:  # and the step may have been done for all that
                raise _UnknownOutcomeError(str(error)) from error
            time.sleep(_RETRY_INTERVAL_S)

    def _call(self, call: Callable[[float], None]) -> None:
        """Calls librdkafka, and gives up a call that does not come back, and its client with it."""
        if self._is_stuck:
            raise _UnknownOutcomeError("librdkafka does not come back from a call")
        answer: Future[None] = Future()

        def run() -> None:
            try:
                call(_CALL_TIMEOUT_S)
            except BaseException as error:
                answer.set_exception(error)
            else:
                answer.set_result(None)

        threading.Thread(target=run, name="transaction", daemon=True).start()
        try:
            answer.result(_STUCK_S)
        except TimeoutError:
            self._is_stuck = True
            raise _UnknownOutcomeError(f"librdkafka has not come back for {_STUCK_S:.0f} s") from None

    def _renew(self) -> None:
        error = TransactionFailedError("the producer knows no broker any more")
        if self._is_open:  # who takes it back gets a new client
            raise error
        self._start_over(error)

    def _start_over(self, why: TransactionFailedError) -> None:
        """Goes on with a new client of the same name, whose start ends what the old one began."""
        log.warning("starting over with a new transactional producer", error=str(why))
        if not self._is_stuck:
            self._producer.purge()
        self._producer, self._is_stuck = self._new_producer(is_up=self.is_connected), False
        self.start()
        self._is_open = False

    def _is_stored(self, positions: list[TopicPartition]) -> bool:
        """Whether the group has all these offsets, or later ones where another consumer went on since."""
        group_id = self._settings.group_id
        asked = ConsumerGroupTopicPartitions(
            group_id, [TopicPartition(one.topic, one.partition) for one in positions]
        )
        admin = new_client(AdminClient, self._settings, self._settings.options)
        try:
            answers = admin.list_consumer_group_offsets(
                [asked], require_stable=True, request_timeout=_STEP_TIMEOUT_S
            )
            stored = answers[group_id].result().topic_partitions
        except KafkaException as error:
            raise TransportError(
                f"whether a transaction was committed cannot be told: {error.args[0].str()}"
            ) from error
        offsets = {(one.topic, one.partition): one.offset for one in stored}
        return all(offsets.get((one.topic, one.partition), -1) >= one.offset for one in positions)


@contextmanager
def _failing_transaction() -> Iterator[None]:
    """Tells a transaction that has failed, or its client, from other trouble."""
    try:
        yield
    except TransportError as error:
        cause = error.__cause__
        if isinstance(cause, KafkaException):
            reason = cause.args[0]
            if reason.fatal() or reason.code() in (KafkaError._STATE, KafkaError._FATAL):
                raise TransactionFailedError(f"the transaction has failed: {error}") from error
        raise


class _UnknownOutcomeError(TransactionFailedError):
    """A step of a transaction came to no end that is known of."""
