"""Transactions on Apache Kafka, as an onlooker sees them who reads only what is committed."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from framebus.bus import Committed, Membership, OutgoingRecord, Partition, TopicSpec
from framebus.bus.kafka import KafkaAdmin, KafkaConsumer, KafkaTransactionalProducer
from framebus.errors import TransactionFailedError
from framebus.local_broker import LocalBroker
from framebus.settings import KafkaSettings
from tests.integration.accounts import read
from tests.kafka import kafka_settings, unique
from tests.pipelines import wait_until


class Member:
    """The one member of a group, and the topic that it reads."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings, self.topic, self.name = settings, unique("frames"), unique("producer")
        KafkaAdmin(settings).create_topics([TopicSpec(self.topic, 2, 1, {})])
        self.first, self.second = Partition(self.topic, 0), Partition(self.topic, 1)
        self._consumer = KafkaConsumer(settings)
        self.close = self._consumer.close
        assigned: list[Partition] = []
        self._consumer.subscribe(
            [self.topic],
            on_assigned=assigned.extend,
            on_revoked=lambda _: None,
            on_lost=lambda _: None,
            on_committed=lambda *_: None,
        )
        wait_until(lambda: self._consumer.poll(0, 0.1) == [] and len(assigned) == 2)

    @property
    def membership(self) -> Membership:
        """As of now."""
        membership = self._consumer.membership()
        assert membership is not None
        return membership

    def committed(self) -> dict[int, int]:
        """The offsets that its group has stored, by partition."""
        stored = self._consumer.committed([self.first, self.second])
        return {partition.number: committed.offset for partition, committed in stored.items()}

    def visible(self) -> list[bytes]:
        """What is committed on the topic."""
        return sorted(record.value for record in read(self.settings.bootstrap_servers, self.topic))


@pytest.fixture
def member(apache: LocalBroker) -> Iterator[Member]:
    with closing(Member(kafka_settings(apache))) as member:
        yield member


def new_producer(member: Member, kind: type[KafkaTransactionalProducer] = KafkaTransactionalProducer) -> Any:
    return closing(kind(member.settings, member.name))


def publish(producer: KafkaTransactionalProducer, member: Member, value: bytes) -> None:
    assert producer.publish(OutgoingRecord(member.topic, b"cam-1", value))


def test_nothing_of_what_was_taken_back_is_visible(member: Member) -> None:
    with new_producer(member) as producer:
        producer.start()
        producer.begin()
        publish(producer, member, b"taken back")
        producer.flush(10)
        producer.abort()
        producer.begin()
        publish(producer, member, b"committed")
        producer.commit({member.first: 7}, member.membership)

    assert member.visible() == [b"committed"]
    assert member.committed() == {0: 7}


def test_a_transaction_erases_the_note_beside_the_offset(member: Member) -> None:
    member._consumer.commit({member.first: 3}, "attempt 2")
    wait_until(
        lambda: member._consumer.committed([member.first]) == {member.first: Committed(3, "attempt 2")}
    )
    with new_producer(member) as producer:
        producer.start()
        producer.begin()
        producer.commit({member.first: 4}, member.membership)

    assert member._consumer.committed([member.first]) == {member.first: Committed(4)}


def test_what_a_producer_left_open_is_taken_back_by_the_next_of_its_name(member: Member) -> None:
    with new_producer(member) as dead, new_producer(member) as successor:
        dead.start()
        dead.begin()
        publish(dead, member, b"left open")
        dead.flush(10)
        successor.start()
        successor.begin()
        publish(successor, member, b"again")
        successor.commit({member.first: 1}, member.membership)

        assert member.visible() == [b"again"]


def test_of_two_of_one_name_the_older_can_commit_nothing(member: Member) -> None:
    with new_producer(member) as older, new_producer(member) as newer:
        older.start()
        older.begin()
        publish(older, member, b"older")
        newer.start()
        with pytest.raises(TransactionFailedError):
            older.commit({member.first: 1}, member.membership)

        assert member.visible() == []
        assert member.committed() == {}


def test_a_refused_producer_closes_in_peace_while_it_has_records_on_their_way(member: Member) -> None:
    delivered: list[str | None] = []
    with new_producer(member) as newer, new_producer(member) as older:
        older.start()
        older.begin()
        newer.start()
        for number in range(20):
            record = OutgoingRecord(member.topic, b"cam-%d" % number, b"older")
            assert older.publish(record, lambda delivery: delivered.append(delivery.error))
        time.sleep(1)  # the refusal waits to be told, and after it that of each record

    assert member.visible() == []
    assert None not in delivered


def test_a_producer_that_was_refused_goes_on_with_its_next_transaction(member: Member) -> None:
    with new_producer(member) as older, new_producer(member) as newer:
        older.start()
        older.begin()
        publish(older, member, b"older")
        newer.start()
        with pytest.raises(TransactionFailedError):
            older.commit({member.first: 1}, member.membership)
        older.abort()
        older.begin()
        publish(older, member, b"older, again")
        older.commit({member.first: 1}, member.membership)

    assert member.visible() == [b"older, again"]


def test_offsets_of_a_membership_that_the_group_has_outlived_are_refused(
    member: Member, apache: LocalBroker
) -> None:
    outlived = member.membership
    with closing(KafkaConsumer(member.settings)) as other, new_producer(member) as producer:
        ours: list[Partition] = []
        other.subscribe(
            [member.topic],
            on_assigned=ours.extend,
            on_revoked=lambda _: None,
            on_lost=lambda _: None,
            on_committed=lambda *_: None,
        )
        wait_until(lambda: other.poll(0, 0.05) == member._consumer.poll(0, 0.05) and bool(ours))
        producer.start()
        producer.begin()
        publish(producer, member, b"of a zombie")
        with pytest.raises(TransactionFailedError):
            producer.commit({ours[0]: 1}, outlived)
        producer.abort()

        assert member.visible() == []


class _Unsure:
    """A client whose next commit comes to no known end."""

    def __init__(self, producer: Producer, before: Callable[[], None]) -> None:
        self._producer = producer
        self._before = before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def commit_transaction(self, timeout_s: float) -> None:
        self._before()
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer"))


def unsure(producer: KafkaTransactionalProducer, *, commits: bool) -> None:
    """Has the next commit end without an answer, after it was done or before."""
    client = producer._producer
    stand_in: Any = _Unsure(client, lambda: client.commit_transaction(10) if commits else None)
    producer._producer = stand_in


def test_a_commit_without_an_answer_that_was_done_is_not_done_again(member: Member) -> None:
    with new_producer(member) as producer:
        producer.start()
        producer.begin()
        publish(producer, member, b"once")
        unsure(producer, commits=True)
        producer.commit({member.first: 1, member.second: 5}, member.membership)
        producer.begin()
        publish(producer, member, b"the next")
        producer.commit({member.first: 2}, member.membership)

    assert member.visible() == [b"once", b"the next"]
    assert member.committed() == {0: 2, 1: 5}


@pytest.mark.parametrize("elsewhere", [4, 5, 6])
def test_a_commit_without_an_answer_that_was_not_done_is_a_failed_one(member: Member, elsewhere: int) -> None:
    """Whatever stands there of a partition that went to another consumer, which committed it in its turn."""
    with new_producer(member) as producer:
        producer.start()
        producer.begin()
        publish(producer, member, b"again")
        unsure(producer, commits=False)
        member._consumer.commit({member.second: elsewhere})
        wait_until(lambda: member._consumer.committed([member.second]) != {})
        with pytest.raises(TransactionFailedError):
            producer.commit({member.first: 1, member.second: 5}, member.membership)
        producer.abort()
        producer.begin()
        publish(producer, member, b"again")
        producer.commit({member.first: 1}, member.membership)

    assert member.visible() == [b"again"]
    assert member.committed() == {0: 1, 1: elsewhere}
