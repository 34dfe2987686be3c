"""What `framebus bench` puts around a consumer: backlogs, cameras, bare clients, and what it reads of it."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from framebus.bus import OutgoingRecord
from framebus.bus.kafka import KafkaAdmin, KafkaProducer, KafkaReader
from framebus.cli.bench.acknowledged import Acknowledged
from framebus.cli.bench.backlog import CAMERAS, Backlog, create_topics
from framebus.cli.bench.camera_load import CameraLoad
from framebus.cli.bench.clients import BareClients, mean_bytes
from framebus.cli.bench.consumer_group import account
from framebus.cli.bench.consumer_process import ConsumerProcess
from framebus.cli.bench.footage import read_footage
from framebus.cli.bench.own_broker import OwnBroker, own_broker
from framebus.cli.bench.throughput import throughput
from framebus.environment import load_settings
from framebus.errors import FramebusError, SettingsError, TransportError
from framebus.frames import EncodedFrame
from framebus.local_broker import BrokerKind, LocalBroker
from framebus.local_broker.process import ProcessBroker
from framebus.settings import Settings
from framebus.topics import detections_topic, topic_specs
from framebus.wire import decode_frame
from tests.kafka import unique
from tests.quick_model import install_quick_model

CALL_S = 0.02


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(5):
        writer.write(np.full((48, 64, 3), 40 * number, np.uint8))
    writer.release()
    return path


@pytest.fixture
def own(best_broker: LocalBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnBroker:
    """A broker with topics of its own, and a model `quick` for it in the environment of programs."""
    model = unique("quick")
    for name, value in install_quick_model(tmp_path, model, call_s=CALL_S).items():
        monkeypatch.setenv(name, value)
    if not isinstance(best_broker, ProcessBroker):
        pytest.skip("the CPU time of a broker in a container is not measured")
    settings = load_settings(
        kafka={"bootstrap_servers": best_broker.bootstrap_servers},
        topics={"frames": unique("frames"), "dead": unique("dead"), "partitions": 2},
        consumer={"model": model},
    )
    create_topics(settings)
    return OwnBroker(best_broker.kind, best_broker.pid, settings)


def model_of(own: OwnBroker) -> str:
    assert own.settings.consumer.model is not None
    return own.settings.consumer.model


def frames_of(settings: Settings, count: int) -> Iterator[tuple[str, datetime, str]]:
    """Camera, capture time and id of the frames on the topic, in the order of their ids."""
    reader = KafkaReader(settings.kafka)
    reader.follow([settings.topics.frames], from_start=True)
    frames: list[EncodedFrame] = []
    while len(frames) < count or not reader.is_at_end:
        frames += [decode_frame(record) for record in reader.poll(100, 1)]
    reader.close()
    assert len(frames) == count
    for frame in sorted(frames, key=lambda frame: int(frame.frame_id.rpartition("-")[2])):
        yield frame.camera_id, frame.captured_at, frame.frame_id


def test_a_backlog_grows_to_what_is_wanted_and_no_further(own: OwnBroker, video: Path) -> None:
    backlog = Backlog(own.settings, read_footage(video, frames=5).jpegs)
    for wanted in (10, 25, 20):
        backlog.grow_to(wanted)
    assert backlog.frames == 25
    ids = [frame_id for _, _, frame_id in frames_of(own.settings, 25)]
    assert ids == [str(number) for number in range(25)]


def test_a_throughput_is_measured_within_the_backlog_which_grows_if_need_be(
    own: OwnBroker, video: Path
) -> None:
    backlog = Backlog(own.settings, read_footage(video, frames=5).jpegs)
    backlog.grow_to(150)  # one call of 8 pictures takes 20 ms: it lasts for less than half a second

    figures = throughput(own, model_of(own), backlog, seconds=1)

    assert backlog.frames > 150
    assert 0 < figures["fps"] <= 1.1 * 8 / CALL_S
    assert figures["cpu_ms_per_frame"] > 0
    assert figures["broker_cpu_ms_per_frame"] > 0


def test_a_consumer_that_does_not_start_says_why(own: OwnBroker) -> None:
    with pytest.raises(FramebusError, match="the consumer of no-model ended with exit code") as raised:
        ConsumerProcess(own, "no-model", own.settings.topics.frames).__enter__()
    assert "Model not found: no-model" in str(raised.value)


def test_cameras_take_turns_at_a_constant_rate_and_frames_were_captured_when_they_were_due(
    own: OwnBroker, video: Path
) -> None:
    first_s = CameraLoad(own.settings, video).publish("run", 50, 2 * CAMERAS)

    cameras, captured_at, ids = zip(*frames_of(own.settings, 2 * CAMERAS), strict=True)
    assert ids == tuple(f"run-{number}" for number in range(2 * CAMERAS))
    assert len(set(cameras[:CAMERAS])) == CAMERAS
    assert cameras[CAMERAS:] == cameras[:CAMERAS]
    # On the wire they are cut to milliseconds.
    assert [moment.timestamp() for moment in captured_at] == pytest.approx(
        [first_s + number / 50 for number in range(2 * CAMERAS)], abs=0.0011
    )


def test_answers_are_read_run_by_run(own: OwnBroker, video: Path) -> None:
    acknowledged = Acknowledged(own, model_of(own))
    cameras = CameraLoad(own.settings, video)
    with ConsumerProcess(own, model_of(own), own.settings.topics.frames) as consumer:
        for done, run in enumerate(("one", "two"), start=1):
            first_s = cameras.publish(run, 40, 20)
            reading = consumer.wait_for(20 * done)
            answers = acknowledged.read(run, 20)
            assert reading.frames == 20 * done
            assert [answer.frame for answer in answers] == list(range(20))
            latencies_ms = [answer.at_ms - 1000 * (first_s + answer.frame / 40) for answer in answers]
            assert min(latencies_ms) > 1000 * CALL_S
            assert min(answer.infer_ms for answer in answers) >= 1000 * CALL_S


def test_a_frame_without_detections_is_told_of(own: OwnBroker, video: Path) -> None:
    acknowledged = Acknowledged(own, model_of(own))
    with pytest.raises(TransportError, match="of 3 frames, 0 have detections"):
        acknowledged.read("run", 3)


def test_a_frame_without_an_answer_is_lost_and_a_second_answer_is_a_duplicate(own: OwnBroker) -> None:
    model = model_of(own)
    KafkaAdmin(own.settings.kafka).create_topics(topic_specs(own.settings.topics, model, frames=[]))
    producer = KafkaProducer(own.settings.kafka)
    for frame in ("0", "2", "3", "2", "2"):
        answer = b'{"id": "%s"}' % frame.encode()
        assert producer.publish(OutgoingRecord(detections_topic(model), frame.encode(), answer))
    assert producer.flush(30) == 0
    producer.close()

    assert account(own.settings, model, 5) == {"frames": 5, "lost": 2, "duplicates": 2}


def test_bare_clients_publish_as_much_as_detections_and_tell_what_it_costs(
    own: OwnBroker, video: Path
) -> None:
    Backlog(own.settings, read_footage(video, frames=5).jpegs).grow_to(400)
    figures = BareClients(own.settings, own.pid).measure(100.0, 2.0, 777)
    assert figures["clients_ms"] > 0
    assert figures["broker_ms"] >= 0  # a few milliseconds in all, which the kernel may not see
    assert mean_bytes(own.settings, ["detections.bare-clients"]) == 777


def test_a_broker_whose_cpu_time_cannot_be_told_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(SettingsError, match="--broker docker: the CPU time"),
        own_broker(load_settings(), BrokerKind.DOCKER, tmp_path),
    ):
        pass
