"""`framebus replay`: frames and detections that the bus keeps, to another topic and to files."""

import json
import signal
import subprocess
import time
from datetime import UTC, datetime

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from framebus.local_broker import LocalBroker
from framebus.settings import KafkaSettings
from tests.integration.replays import (
    CAMERAS,
    MINUTE_MS,
    by_camera,
    command,
    create_topic,
    environment,
    now_ms,
    numbered,
    publish,
    read_all,
    replay,
    summary,
    values,
)
from tests.kafka import kafka_settings


@pytest.fixture
def kafka(broker: LocalBroker) -> KafkaSettings:
    return kafka_settings(broker)


def test_frames_come_to_another_topic_byte_for_byte_and_in_order(kafka: KafkaSettings) -> None:
    source, target = create_topic(kafka, "frames"), create_topic(kafka, "copy", partitions=5)
    publish(kafka, source, numbered(1_000, now_ms() - MINUTE_MS))

    done = replay(kafka, "--topic", source, "--to-topic", target, "--json")

    said, copied = summary(done), read_all(kafka, target)
    assert (said["replayed"], said["refused"], said["left_out"], said["stopped"]) == (1_000, 0, 0, False)
    assert said["bytes"] == sum(len(one.value) for one in copied)
    assert f"1,000 frames replayed to {target}" in done.stderr
    assert by_camera(copied) == by_camera(read_all(kafka, source))
    for camera in CAMERAS:
        assert len({one.partition for one in copied if one.key == camera}) == 1
    # By the partitioner of all our producers.
    again = create_topic(kafka, "again", partitions=5)
    publish(kafka, again, numbered(len(CAMERAS), now_ms()))
    assert {(one.key, one.partition.number) for one in copied} == {
        (one.key, one.partition.number) for one in read_all(kafka, again)
    }


def test_what_is_published_meanwhile_is_not_replayed(kafka: KafkaSettings) -> None:
    """A topic replayed into itself, if somebody wants that, comes to an end."""
    topic = create_topic(kafka, "frames")
    publish(kafka, topic, numbered(200, now_ms()))

    assert "--same-topic" in replay(kafka, "--topic", topic, "--to-topic", topic, code=2).stderr
    assert len(read_all(kafka, topic)) == 200
    replay(kafka, "--topic", topic, "--to-topic", topic, "--same-topic")
    assert values(read_all(kafka, topic)) == sorted([*range(200), *range(200)])


def test_a_stretch_of_time_of_one_camera_is_replayed(kafka: KafkaSettings) -> None:
    source, target = create_topic(kafka, "frames"), create_topic(kafka, "copy")
    began_ms = now_ms() - 40 * MINUTE_MS
    publish(kafka, source, numbered(400, began_ms, step_ms=6_000))
    # Cut off then, and back late.
    publish(kafka, source, [(b"gate", b"1000", began_ms + 100 * 6_000)])
    since, until = (
        datetime.fromtimestamp((began_ms + number * 6_000) / 1_000, UTC).isoformat() for number in (96, 204)
    )

    done = replay(
        *(kafka, "--topic", source, "--to-topic", target, "--json"),
        *("--since", since, "--until", until, "--camera", "gate", "--camera", "roof"),
    )

    wanted = [number for number in range(96, 204) if number % len(CAMERAS) in (0, 2)]
    assert values(read_all(kafka, target)) == [*wanted, 1_000]
    assert summary(done)["replayed"] == len(wanted) + 1


def test_only_the_last_minutes_are_read(apache: LocalBroker) -> None:
    """The broker finds where they begin."""
    kafka = kafka_settings(apache)
    source, target = create_topic(kafka, "frames", partitions=1), create_topic(kafka, "copy")
    publish(kafka, source, numbered(400, now_ms() - 400 * 6_000, step_ms=6_000))

    done = replay(kafka, "--topic", source, "--to-topic", target, "--since", "5m", "--json")

    assert 45 <= summary(done)["replayed"] <= 50
    assert summary(done)["left_out"] == 0


def test_offsets_say_where_to_begin_and_end(kafka: KafkaSettings) -> None:
    source = create_topic(kafka, "frames", partitions=2)
    publish(kafka, source, numbered(400, now_ms()))
    there = read_all(kafka, source)
    one, other = (
        [int(record.value) for record in there if record.partition.number == number] for number in (0, 1)
    )

    def replayed(*options: str) -> list[int]:
        target = create_topic(kafka, "copy")
        replay(kafka, "--topic", source, "--to-topic", target, *options)
        return values(read_all(kafka, target))

    assert replayed("--offset", "1/20", "--until", "1/23") == other[20:23]
    assert replayed("--offset", "30", "--until", "40") == sorted([*one[30:40], *other[30:40]])
    assert replayed("--offset", "0/5", "--offset", "1/90") == sorted([*one[5:], *other[90:]])
    assert replayed("--offset", "100000") == []
    assert (
        "has no partition 2"
        in replay(kafka, "--topic", source, "--offset", "2/0", "--to", "x", code=2).stderr
    )


def test_what_is_not_kept_and_what_was_taken_back_is_not_waited_for(apache: LocalBroker) -> None:
    kafka = kafka_settings(apache)
    source, target = create_topic(kafka, "frames", partitions=1), create_topic(kafka, "copy")
    publish(kafka, source, numbered(20, now_ms()))
    publish(kafka, source, numbered(20, now_ms()), **{"transactional.id": source})
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for future in admin.delete_records([TopicPartition(source, 0, 5)]).values():
        future.result()

    done = replay(kafka, "--topic", source, "--to-topic", target, "--offset", "2")

    assert values(read_all(kafka, target)) == list(range(5, 20))
    assert f"{source}/0 keeps nothing before offset 5" in done.stderr


def test_at_the_pace_of_the_recording_cameras_come_as_they_did(kafka: KafkaSettings) -> None:
    source, target = create_topic(kafka, "frames"), create_topic(kafka, "copy", partitions=1)
    publish(kafka, source, numbered(40, now_ms() - MINUTE_MS, step_ms=100))
    began_s = time.monotonic()

    replay(kafka, "--topic", source, "--to-topic", target, "--pace", "2x")

    assert time.monotonic() - began_s >= 3.9 / 2
    copied = read_all(kafka, target)
    assert [int(one.value) for one in copied] == list(range(40))
    assert copied[-1].timestamp_ms - copied[0].timestamp_ms >= 3_900 / 2 - 100


def test_partitions_wait_for_each_other_when_much_is_there(kafka: KafkaSettings) -> None:
    """More than is read ahead of the pace, and most of it of one partition."""
    source, target = create_topic(kafka, "frames", partitions=4), create_topic(kafka, "copy", partitions=1)
    began_ms = now_ms() - 20 * MINUTE_MS
    frames = [
        (
            CAMERAS[number % len(CAMERAS)] if number % 10 == 0 else b"busy",
            b"%d" % number,
            began_ms + number * 500,
        )
        for number in range(1_500)
    ]
    publish(kafka, source, frames)

    replay(kafka, "--topic", source, "--to-topic", target, "--pace", "300")

    assert [int(one.value) for one in read_all(kafka, target)] == list(range(1_500))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_with_the_counts_and_how_to_go_on(
    kafka: KafkaSettings, number: signal.Signals
) -> None:
    source, target = create_topic(kafka, "frames", partitions=2), create_topic(kafka, "copy")
    publish(kafka, source, numbered(600, now_ms() - MINUTE_MS, step_ms=100))
    with subprocess.Popen(
        command("--topic", source, "--to-topic", target, "--pace", "1", "--json"),
        env=environment(kafka),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        deadline_s = time.monotonic() + 60
        while len(read_all(kafka, target)) < 5:
            assert time.monotonic() < deadline_s
        running.send_signal(number)
        out, err = running.communicate(timeout=60)

    assert running.returncode == 1
    said = json.loads(out)
    assert said["stopped"]
    assert said["replayed"] == len(read_all(kafka, target)) < 600
    rest = err.partition("go on with ")[2].split()
    replay(kafka, "--topic", source, "--to-topic", target, *rest)
    assert by_camera(read_all(kafka, target)) == by_camera(read_all(kafka, source))


def test_frames_that_the_topic_does_not_take_are_told_and_hold_up_no_other(apache: LocalBroker) -> None:
    kafka = kafka_settings(apache)
    source = create_topic(kafka, "frames", partitions=1)
    target = create_topic(kafka, "copy", max_message_bytes="5000")
    publish(kafka, source, [(b"gate", size * b"7", now_ms()) for size in (10, 9_000, 20)])

    done = replay(kafka, "--topic", source, "--to-topic", target, "--json", code=1)

    assert f"{source}/0/1 is not replayed: topic {target} takes none as large" in done.stderr
    assert (summary(done)["replayed"], summary(done)["refused"]) == (2, 1)
    assert [len(one.value) for one in read_all(kafka, target)] == [10, 20]
