from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers

from framebus.cli.capacity.plan import Demand, Plan, consumers_of, kept_s, partitions_for, plan
from framebus.cli.capacity.records import record_bytes, typical_records
from framebus.errors import SettingsError
from framebus.settings import ConsumerSettings, TopicSettings

DEMAND = Demand(
    cameras=100,
    fps=10,
    frame_bytes=100_000,
    consumer_fps=400,
    models=2,
    subscribers=3,
    objects=5,
    is_even=True,
    spare_consumers=1,
    outage_s=600,
    catch_up_s=1800,
    replication=3,
    broker_network=1.25e9,
    consumer_ms=2,
    broker_ms=1,
)


def plan_of(topics: Mapping[str, Any] | None = None, **changes: Any) -> Plan:
    return plan(replace(DEMAND, **changes), TopicSettings(**(topics or {})), ConsumerSettings())


def test_an_example_worked_out_by_hand() -> None:
    found = plan_of()
    empty, message = map(record_bytes, typical_records(DEMAND.objects))
    frame = empty + 100_000

    # 1000 frames/s. Of four consumers one is away, and one of the others has 6 of 16 partitions with up to 7
    # cameras: 420 frames/s, of 400. Five have 4 of 20 partitions with 5 cameras: 200 frames/s, 267 while
    # they catch up; or 250, when there are four of them.
    assert (found.frames_per_s, found.consumers, found.partitions) == (1000, 5, 20)
    assert found.busiest_consumer_fps == 200
    assert found.consumer_in == 200 * frame
    assert found.consumer_out == 200 * message
    assert found.consumer_cores == 0.4
    assert found.consumer_memory_bytes == 16 * 2**20 + 64 * 100_000 + 160 * 2**20
    # In: three copies of everything. Out: two copies to other brokers, and once to each model and subscriber.
    assert found.brokers == 3
    assert found.broker_in == pytest.approx((1000 * frame + 2000 * message) * 3 / 3)
    assert found.broker_out == pytest.approx((1000 * frame * (2 + 2) + 2000 * message * (2 + 3)) / 3)
    assert found.broker_cores == pytest.approx(1000 * 0.001 * (3 + 2) / 2 / 3)
    # An hour, a segment of ten minutes, and six until Kafka looks and deletes; a day, 4 h, 6 min.
    frames_s, detections_s = 3600 + 600 + 360, 86_400 + 14_400 + 360
    assert found.frames_disk_bytes == pytest.approx(1000 * frame * 3 * frames_s)
    assert found.detections_disk_bytes == pytest.approx(2000 * message * 3 * detections_s)
    assert 3 * found.broker_disk_bytes == pytest.approx(found.frames_disk_bytes + found.detections_disk_bytes)
    # 4 GiB are not enough for the hour of the 5 cameras on a partition.
    assert found.retention_bytes == pytest.approx(5 * 10 * frame * 3600, abs=1)
    assert found.kept_s == pytest.approx(4 * 2**30 / (5 * 10 * frame))
    assert found.is_cut_short


def test_the_hash_needs_more_consumers_than_an_even_spread() -> None:
    few = replace(DEMAND, cameras=16, consumer_fps=90)

    assert (consumers_of(few), consumers_of(replace(few, is_even=False))) == (4, 7)


@given(cameras=integers(1, 600), fps=floats(0.1, 12), is_more_cameras=integers(0, 1))
def test_more_frames_never_take_less(cameras: int, fps: float, is_more_cameras: int) -> None:
    less = plan_of(cameras=cameras, fps=fps, is_even=False)
    more = plan_of(cameras=cameras + is_more_cameras, fps=fps * (1.5 - 0.5 * is_more_cameras), is_even=False)

    for name in ("frames_per_s", "consumers", "partitions", "brokers", "frames_disk_bytes"):
        assert getattr(more, name) >= getattr(less, name)


@given(cameras=integers(1, 600), fps=floats(0.1, 12), spare=integers(0, 3))
def test_the_consumers_that_are_left_keep_up_and_all_of_them_catch_up(
    cameras: int, fps: float, spare: int
) -> None:
    found = plan_of(cameras=cameras, fps=fps, spare_consumers=spare, is_even=False)

    assert found.busiest_consumer_fps * (1 + 600 / 1800) <= DEMAND.consumer_fps
    assert found.frames_per_s <= (found.consumers - spare) * DEMAND.consumer_fps
    assert found.consumers >= 1 + spare
    assert found.partitions % found.consumers == 0
    assert found.partitions >= max(8, 4 * found.consumers)


def test_partitions_leave_room_for_consumers_to_come() -> None:
    assert [partitions_for(consumers) for consumers in (1, 2, 3, 4, 10)] == [8, 8, 12, 16, 40]


def test_another_broker_comes_when_the_network_of_those_left_is_not_enough() -> None:
    out_of_all = plan_of().broker_out * 3
    # Half of the network of all but one broker.
    assert plan_of(broker_network=out_of_all / 2 * 2).brokers == 3
    assert plan_of(broker_network=out_of_all / 2.1 * 2).brokers == 4
    assert plan_of(broker_network=out_of_all * 2, replication=1).brokers == 1


def test_cameras_of_which_a_consumer_can_have_none_are_refused() -> None:
    with pytest.raises(
        SettingsError, match="cameras of 10 fps are too much for consumers that do 12 frames/s"
    ):
        plan_of(consumer_fps=12)


def test_pictures_that_are_kept_for_ever_are_refused() -> None:
    with pytest.raises(SettingsError, match="--retention"):
        plan_of(topics={"frames_retention_ms": -1})


def test_without_a_limit_in_bytes_nothing_is_cut_short() -> None:
    found = plan_of(topics={"frames_retention_bytes": -1})

    assert not found.is_cut_short
    assert found.kept_s == 3600


def test_kafka_keeps_a_picture_a_segment_and_a_look_longer() -> None:
    assert kept_s(TopicSettings(frames_retention_ms=600_000))[0] == 600 + 100 + 360
