"""What `framebus capacity` says of records, against the files of a broker."""

from dataclasses import replace
from pathlib import Path

import pytest

from framebus.bus.kafka import KafkaAdmin, KafkaProducer
from framebus.cli.capacity.records import record_bytes, typical_records
from framebus.local_broker import ApacheBroker, LocalBroker
from framebus.settings import TopicSettings
from framebus.topics import topic_specs
from tests.kafka import kafka_settings, unique

RECORDS = 20


@pytest.mark.parametrize("objects", [0, 5, 40])
def test_records_are_as_large_as_they_are_on_disk(apache: LocalBroker, objects: int) -> None:
    if not isinstance(apache, ApacheBroker):
        pytest.skip("the files of a broker in a container are not at hand")
    topic, kafka = unique("frames"), kafka_settings(apache)
    KafkaAdmin(kafka).create_topics(topic_specs(TopicSettings(frames=topic, partitions=1)))
    records = [
        replace(record, topic=topic, value=record.value or bytes(1)) for record in typical_records(objects)
    ]

    producer = KafkaProducer(kafka)
    for _ in range(RECORDS):
        for record in records:
            assert producer.publish(record)
            assert producer.flush(30) == 0  # each in a batch of its own
    producer.close()

    [log] = Path(f"/proc/{apache.pid}/cwd").resolve().glob(f"**/{topic}-0/*.log")
    expected = RECORDS * sum(map(record_bytes, records))
    assert log.stat().st_size == pytest.approx(expected, rel=0.02)
