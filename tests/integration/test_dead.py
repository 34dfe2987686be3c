"""`framebus dead`: dead letters are listed, shown, and sent round again."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from framebus.bus import Delivery, Headers, OutgoingRecord, Partition, Record, TopicSpec
from framebus.bus.kafka import KafkaAdmin, KafkaProducer, KafkaReader
from framebus.dead_letters import encode_dead_letter
from framebus.environment import load_settings
from framebus.errors import DetectionError, FrameError, UndecodableFrameError
from framebus.local_broker import BrokerKind, LocalBroker, local_broker
from framebus.local_broker.ports import free_ports
from tests.kafka import kafka_settings, unique
from tests.pictures import jpeg

SMALL = 2_000
"""More bytes than this, and the picture is left out of a dead letter."""


class Topics:
    """A topic of frames and its dead letters.

    Args:
        broker: Where they are.
        max_frame_bytes: Largest record of the topic of frames.
    """

    def __init__(self, broker: LocalBroker, max_frame_bytes: int = 10**6) -> None:
        self.kafka = kafka_settings(broker)
        self.frames = unique("frames")
        self.dead = f"{self.frames}.dead"
        KafkaAdmin(self.kafka).create_topics(
            [
                TopicSpec(self.frames, 2, 1, {"max.message.bytes": str(max_frame_bytes)}),
                TopicSpec(self.dead, 2, 1, {}),
            ]
        )
        self._producer = KafkaProducer(self.kafka)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.close()

    def publish(self, *records: OutgoingRecord) -> list[tuple[Partition, int]]:
        """Publishes, and returns where the records stand."""
        deliveries: list[Delivery] = []
        for record in records:
            assert self._producer.publish(record, deliveries.append)
        assert self._producer.flush(30) == 0
        return [(one.partition, one.offset) for one in deliveries if one.partition and one.offset is not None]

    def frame(self, camera: bytes | None, value: bytes, headers: Headers = ()) -> Record:
        """Publishes a frame and returns it as it is read."""
        [(partition, offset)] = self.publish(OutgoingRecord(self.frames, camera, value, headers))
        with closing(KafkaReader(self.kafka)) as reader:
            return reader.read_first({partition: offset}, 30)[partition]

    def letter(
        self, frame: Record, error: FrameError | None = None, model: str = "ssd", max_bytes: int = SMALL
    ) -> OutgoingRecord:
        """What a consumer writes of a frame that it could not process."""
        error = error or UndecodableFrameError("no picture")
        return encode_dead_letter(frame, error, topic=self.dead, model_name=model, max_bytes=max_bytes)

    def dies(self, frame: Record, error: FrameError | None = None, model: str = "ssd") -> str:
        """Publishes the dead letter of a frame, and returns its place."""
        [(partition, offset)] = self.publish(self.letter(frame, error, model))
        return f"{partition.number}/{offset}"

    @property
    def environment(self) -> dict[str, str]:
        """That of the command."""
        return {
            **os.environ,
            "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "FRAMEBUS_TOPICS__FRAMES": self.frames,
            "FRAMEBUS_TOPICS__DEAD": self.dead,
        }

    def run(self, *arguments: str, code: int = 0, **settings: str) -> subprocess.CompletedProcess[str]:
        """Runs `framebus dead`."""
        done = subprocess.run(
            command(*arguments),
            env={**self.environment, **settings},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    def listed(self, *options: str) -> list[dict[str, Any]]:
        """What `list --json` tells."""
        return [json.loads(line) for line in self.run("list", "--json", *options).stdout.splitlines()]

    def read_frames(self) -> list[Record]:
        """All frames there are."""
        with closing(KafkaReader(self.kafka)) as reader:
            return reader.read_newest([self.frames], 1_000, 30)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "framebus.cli", "dead", *arguments]


@pytest.fixture
def topics(broker: LocalBroker) -> Iterator[Topics]:
    with Topics(broker) as topics:
        yield topics


@pytest.fixture
def apache_topics(apache: LocalBroker) -> Iterator[Topics]:
    with Topics(apache) as topics:
        yield topics


def cameras(listed: Sequence[dict[str, Any]]) -> list[str]:
    return [one["camera"] for one in listed]


def text(record: Record, header: str) -> str:
    return (dict(record.headers).get(header) or b"").decode()


def test_dead_letters_are_listed_and_selected_the_newest_last(topics: Topics) -> None:
    topics.publish(OutgoingRecord(topics.dead, b"gate", b"a picture by mistake"))
    for camera, model in ((b"gate", "ssd"), (b"yard", "ssd"), (b"gate\x1b[2J", "plates"), (None, "plates")):
        frame = topics.frame(camera, b"no picture")
        topics.dies(frame, DetectionError("odd") if model == "plates" else None, model)

    everything = topics.run("list", "--json")
    listed = [json.loads(line) for line in everything.stdout.splitlines()]

    keyless = f"{listed[3]['source']['topic']}/{listed[3]['source']['partition']}"
    assert cameras(listed) == ["gate", "yard", "gate\x1b[2J", keyless]
    assert [one["time"] for one in listed] == sorted(one["time"] for one in listed)
    assert "1 record is left out" in everything.stderr
    assert "the header fb_error is missing" in everything.stderr
    assert "2 plates detection_failed, 2 ssd undecodable" in everything.stderr
    assert cameras(topics.listed("--model", "ssd")) == ["gate", "yard"]
    assert cameras(topics.listed("--reason", "detection_failed", "--camera", r"gate\x1b[2J")) == [
        "gate\x1b[2J"
    ]
    assert cameras(topics.listed("--since", listed[1]["time"], "--count", "2")) == ["gate\x1b[2J", keyless]
    assert cameras(topics.listed("--since", "1h")) == cameras(listed)

    lines = topics.run("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [one["place"] for one in listed]
    assert all(map(str.isprintable, lines))


def test_what_is_rare_is_found_far_back(topics: Topics) -> None:
    """Farther than the first windows that are read from the end."""
    frames = [
        Record(Partition(topics.frames, 0), number, 1, b"rare" if number == 3 else b"gate", b"no", ())
        for number in range(500)
    ]
    topics.publish(*map(topics.letter, frames))

    assert [one["source"]["offset"] for one in topics.listed("--camera", "rare")] == [3]
    assert [one["source"]["offset"] for one in topics.listed("--count", "2")] == [498, 499]
    assert len(topics.listed("--count", "1000")) == 500


def test_a_dead_letter_is_shown_and_its_picture_saved(topics: Topics, tmp_path: Path) -> None:
    headers: Headers = (("ce_id", b"42"), ("binary", b"\xff\x1b"))
    place = topics.dies(topics.frame(b"gate", jpeg(32, 24), headers), DetectionError("odd\nthing"))
    [(partition, offset)] = topics.publish(OutgoingRecord(topics.dead, b"x", b"no letter"))
    saved = tmp_path / "picture"

    shown = topics.run("show", place, "--save", str(saved)).stdout

    assert all(map(str.isprintable, shown.splitlines()))
    for part in (
        *("gate", "ssd", "detection_failed", r"odd\nthing", "ce_id: 42", r"binary: \xff\x1b"),
        *(f"{len(jpeg(32, 24)):,} bytes, image/jpeg, 32x24 pixels", f"source    {topics.frames}/"),
    ):
        assert part in shown
    assert saved.read_bytes() == jpeg(32, 24)
    told = json.loads(topics.run("show", place, "--json").stdout)
    assert (told["place"], told["camera"], told["key"], told["missing"]) == (place, "gate", "gate", None)
    assert told["headers"] == [["ce_id", "42"], ["binary", "\\xff\x1b"]]
    assert told["picture"] == {"content_type": "image/jpeg", "width": 32, "height": 24}
    foreign = f"{partition.number}/{offset}"
    assert "is no dead letter" in topics.run("show", foreign, code=1).stderr
    assert "there is no record 1/999" in topics.run("show", "1/999", code=1).stderr
    assert "there is no record 7/0" in topics.run("show", "7/0", code=1).stderr
    unwritable = topics.run("show", place, "--save", str(tmp_path), code=1)
    assert "cannot be written: Is a directory" in unwritable.stderr


def replayed(topics: Topics) -> list[Record]:
    """Frames that name the model that failed."""
    return [frame for frame in topics.read_frames() if text(frame, "ce_model") == "ssd"]


def test_a_replay_publishes_frames_in_order_for_the_model_that_failed(topics: Topics) -> None:
    frames = [topics.frame(b"cam-%d" % (number % 3), b"frame %d" % number) for number in range(12)]
    # Several engine threads, partitions and consumers, and a crash: in any order, and one of them twice.
    for frame in (*reversed(frames), frames[5]):
        topics.dies(frame)
    topics.dies(frames[0], model="plates")

    told = topics.run("replay", "--model", "ssd", "--dry-run")
    assert f"to publish on {topics.frames}: 12 ssd undecodable" in told.stderr
    assert len(told.stdout.splitlines()) == 12
    assert replayed(topics) == []

    done = topics.run("replay", "--model", "ssd", "--yes")

    again = replayed(topics)
    assert "12 of 12 frames published" in done.stderr
    for frame in again:
        where = f"{frame.partition.topic}/{frame.partition.number}/{frame.offset}"
        assert f" is {where} now: camera {text_of(frame.key)}, " in done.stdout
    for camera in (b"cam-0", b"cam-1", b"cam-2"):
        first = [frame for frame in frames if frame.key == camera]
        assert [frame.value for frame in again if frame.key == camera] == [frame.value for frame in first]
        assert [text(frame, "ce_id") for frame in again if frame.key == camera] == [
            f"{frame.partition.topic}/{frame.partition.number}/{frame.offset}" for frame in first
        ]
    # They stay, and can be told from those that come later.
    assert len(topics.listed()) == 14
    topics.dies(topics.frame(b"late", b"late"))
    since = done.stderr.partition("--since ")[2].split()[0]
    assert "late" in cameras(topics.listed("--model", "ssd", "--since", since))
    assert "cam-1" not in cameras(topics.listed("--model", "ssd", "--since", since))


def test_a_replay_of_places_publishes_these_and_says_which_it_cannot(topics: Topics) -> None:
    wanted = topics.dies(topics.frame(b"gate", b"wanted", (("ce_model", b"ssd"), ("ce_id", b"42"))))
    topics.dies(topics.frame(b"gate", b"not wanted"))
    [(partition, offset)] = topics.publish(OutgoingRecord(topics.dead, b"x", b"no letter"))

    done = topics.run("replay", wanted, f"{partition.number}/{offset}", "1/999", "--yes", code=1)

    assert [frame.value for frame in replayed(topics)] == [b"wanted", b"wanted"]
    told = json.loads(topics.run("replay", wanted, "--dry-run", "--json").stdout)
    assert told == {
        **{"place": wanted, "topic": topics.frames, "partition": None, "offset": None},
        **{"camera": "gate", "frame": "42", "model": "ssd", "bytes": len(b"wanted"), "error": None},
    }
    assert replayed(topics)[1].headers[:2] == (("ce_model", b"ssd"), ("ce_id", b"42"))
    assert "1 of 3 frames published" in done.stderr
    assert "is no dead letter" in done.stderr
    assert "there is no record 1/999" in done.stderr


def test_only_topics_of_frames_are_published_to(topics: Topics) -> None:
    """Whoever can write dead letters could otherwise have anything published anywhere."""
    gone = unique("gone")
    forbidden = [topics.dead, unique("framebus.commands"), unique("detections.ssd")]
    for topic in (topics.frames, *forbidden, gone):
        topics.publish(topics.letter(Record(Partition(topic, 0), 0, 1, b"gate", b"picture", ())))
    KafkaAdmin(topics.kafka).create_topics([TopicSpec(name, 1, 1, {}) for name in forbidden[1:]])

    done = topics.run("replay", "--all", "--yes", "--json", code=1)

    assert "1 of 5 frames published" in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["topic"], one["offset"]) for one in lines if one["error"] is None] == [(topics.frames, 0)]
    assert {one["topic"] for one in lines if one["error"]} == {*forbidden, gone}
    for topic in forbidden:
        assert f"{topic} is no topic of frames" in done.stderr
    assert f"its topic {gone} does not exist any more" in done.stderr
    assert len(replayed(topics)) == 1
    assert gone not in KafkaAdmin(topics.kafka).partition_counts()


def test_a_picture_that_was_left_out_is_read_where_its_frame_stands(topics: Topics, tmp_path: Path) -> None:
    picture = jpeg(320, 240)
    place = topics.dies(topics.frame(None, picture, (("ce_id", b"42"),)))
    assert [(one["bytes"], one["left_out"]) for one in topics.listed()] == [(0, "value")]

    shown = topics.run("show", place, "--save", str(tmp_path / "picture")).stdout
    assert "image/jpeg, 320x240 pixels" in shown
    assert (tmp_path / "picture").read_bytes() == picture

    topics.run("replay", place, "--yes")
    [again] = replayed(topics)
    assert (again.value, text(again, "ce_id")) == (picture, "42")


def test_a_picture_that_was_left_out_and_is_not_kept_is_said_to_be_gone(
    apache_topics: Topics, tmp_path: Path
) -> None:
    topics = apache_topics
    gone = topics.frame(b"gate", jpeg(320, 240))
    place, kept = topics.dies(gone), topics.dies(topics.frame(b"yard", b"kept"))
    delete_before(topics, gone.partition, gone.offset + 1)
    where = f"{topics.frames}/{gone.partition.number}/{gone.offset}"

    done = topics.run("replay", "--all", "--yes", code=1)
    assert f"{place} cannot be published: value left out, and the frame is not kept at {where}" in done.stderr
    assert f"{kept} is " in done.stdout
    assert "1 of 2 frames published" in done.stderr
    assert "value left out" in topics.run("replay", place, "--dry-run", code=1).stderr

    saved = tmp_path / "picture"
    shown = topics.run("show", place, "--save", str(saved), code=1)
    assert "picture   cannot be had: value left out" in shown.stdout
    assert not saved.exists()


def test_a_frame_that_its_topic_does_not_take_any_more_holds_up_no_other(apache: LocalBroker) -> None:
    with Topics(apache, max_frame_bytes=1_000) as topics:
        large, small = (
            Record(Partition(topics.frames, 0), number, 1, b"gate", os.urandom(size), ())
            for number, size in enumerate((1_200, 10))
        )
        places = [topics.dies(large), topics.dies(small)]

        done = topics.run("replay", "--all", "--yes", code=1)

        assert (
            f"{places[0]} cannot be published: topic {topics.frames} takes no record as large" in done.stderr
        )
        assert f"{places[1]} is " in done.stdout
        assert [frame.value for frame in replayed(topics)] == [small.value]


def test_a_frame_larger_than_the_settings_allow_is_not_published(topics: Topics) -> None:
    frame = Record(Partition(topics.frames, 0), 0, 1, b"gate", os.urandom(120_000), ())
    topics.publish(topics.letter(frame, max_bytes=10**6))

    done = topics.run("replay", "--all", "--yes", code=1, FRAMEBUS_TOPICS__MAX_MESSAGE_BYTES="100000")

    assert "0/0 cannot be published: a record of 120000 bytes" in done.stderr or "1/0 cannot" in done.stderr
    assert "0 of 1 frames published" in done.stderr


def test_dead_letters_that_expired_or_were_taken_back_are_not_waited_for(apache_topics: Topics) -> None:
    """Offsets that hold no record, at either end: deleted ones, aborted ones, and markers of transactions."""
    topics = apache_topics
    frames = [Record(Partition(topics.frames, 0), number, 1, b"gate", b"no", ()) for number in range(20)]
    places = topics.publish(*map(topics.letter, frames[:10]))
    delete_before(topics, places[4][0], places[4][1])
    producer = Producer(
        {"bootstrap.servers": topics.kafka.bootstrap_servers, "transactional.id": topics.dead}
    )
    producer.init_transactions(30)
    for frame in frames[10:]:
        letter = topics.letter(frame)
        producer.begin_transaction()
        producer.produce(letter.topic, letter.value, letter.key, headers=list(letter.headers))
        producer.flush(30)
        if frame.offset == 10:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)

    assert [one["source"]["offset"] for one in topics.listed()] == [*range(4, 11)]
    assert [one["source"]["offset"] for one in topics.listed("--count", "1")] == [10]
    assert "7 of 7 frames published" in topics.run("replay", "--all", "--yes").stderr


@pytest.mark.parametrize(("answer", "code", "published"), [("n", 1, 0), ("y", 0, 1)])
def test_a_person_is_asked_before_anything_is_published(
    best_broker: LocalBroker, answer: str, code: int, published: int
) -> None:
    with Topics(best_broker) as topics:
        topics.dies(topics.frame(b"gate", b"no picture"))
        keyboard, terminal = pty.openpty()
        os.write(keyboard, f"{answer}\n".encode())
        done = subprocess.run(
            command("replay", "--all"),
            env=topics.environment,
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        os.close(keyboard)
        os.close(terminal)

        assert done.returncode == code, done.stderr
        assert "1 ssd undecodable" in done.stderr
        assert "Publish them? [y/N]" in done.stderr
        assert len(replayed(topics)) == published


@pytest.mark.slow
@pytest.mark.parametrize(
    ("is_by_place", "said"), [(False, "nothing came of "), (True, " was not published on ")]
)
def test_a_broker_that_goes_away_ends_a_replay_with_an_error(is_by_place: bool, said: str) -> None:
    """A letter that is asked for by its place was read before, so that publishing is what fails."""
    keyboard, terminal = pty.openpty()
    with local_broker(load_settings(), BrokerKind.TANSU) as broker, Topics(broker) as topics:
        place = topics.dies(topics.frame(b"gate", b"no picture"))
        asking = subprocess.Popen(
            command("replay", place if is_by_place else "--all"),
            env=topics.environment,
            stdin=terminal,
            stderr=subprocess.PIPE,
            text=True,
        )
        with asking:
            assert asking.stderr is not None
            heard = ""
            while "[y/N]" not in heard:
                heard += asking.stderr.read(1)
            broker.stop()
            os.write(keyboard, b"y\n")
            told = asking.stderr.read()
    os.close(keyboard)
    os.close(terminal)

    assert asking.returncode == 1
    assert "0 of 1 frames published" in told
    assert said in told


def test_no_dead_letters_are_no_error(topics: Topics) -> None:
    assert "no such dead letters" in topics.run("list").stderr
    assert "no such dead letters" in topics.run("replay", "--model", "ssd", "--yes").stderr


def test_a_topic_that_is_not_there_is_an_error(topics: Topics) -> None:
    done = topics.run("list", code=1, FRAMEBUS_TOPICS__DEAD="absent")

    assert "topic absent does not exist" in done.stderr
    assert "absent" not in KafkaAdmin(topics.kafka).partition_counts()


@pytest.mark.slow
def test_no_broker_is_an_error() -> None:
    [port] = free_ports(1)
    environment = {**os.environ, "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}

    done = subprocess.run(
        command("list"), env=environment, capture_output=True, text=True, timeout=90, check=False
    )

    assert done.returncode == 1
    assert f"no broker answered at 127.0.0.1:{port}" in done.stderr


def delete_before(topics: Topics, partition: Partition, offset: int) -> None:
    admin = AdminClient({"bootstrap.servers": topics.kafka.bootstrap_servers})
    wanted = TopicPartition(partition.topic, partition.number, offset)
    for future in admin.delete_records([wanted]).values():
        future.result()


def text_of(key: bytes | None) -> str:
    return (key or b"").decode()
