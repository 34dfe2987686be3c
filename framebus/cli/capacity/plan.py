"""How much of everything an installation needs; each formula stands in docs/scaling.md, with its reasons."""

from dataclasses import dataclass
from itertools import count
from math import ceil, inf

from framebus.cli.capacity.records import record_bytes, typical_records
from framebus.cli.capacity.spread import most_cameras
from framebus.errors import SettingsError
from framebus.settings import ConsumerSettings, TopicSettings
from framebus.topics import topic_specs

PARTITIONS_PER_CONSUMER = 4
LEAST_PARTITIONS = 8
NETWORK_SHARE = 0.5
"""Of a broker's network that is used; the rest is for catching up, and for a broker that comes back."""

# What librdkafka fetches ahead of the pipeline (framebus/bus/kafka/consumer.py).
_READ_AHEAD_BYTES = 16 * 2**20
# Kafka looks so often for segments that are too old, and removes their files so much later (its defaults).
_DELETED_AFTER_S = 300 + 60


@dataclass(frozen=True, slots=True)
class Demand:
    """What is wanted, and what was measured.

    Attributes:
        cameras: How many; each publishes alike.
        fps: Frames per second of each.
        frame_bytes: Of an encoded picture.
        consumer_fps: Frames per second that one consumer does at most.
        models: That every frame goes through, each with consumers of its own.
        subscribers: That read all detections of a model.
        objects: In a frame, on average.
        is_even: No partition has two cameras more than another; else the hash of their names decides.
        spare_consumers: Of each model, that may be away while the others keep up.
        outage_s: So long all consumers may be away...
        catch_up_s: ...and so long they may take to be up to date again.
        replication: Copies of each partition.
        broker_network: Of a broker, in bytes per second, in each direction.
        consumer_ms: CPU time of a consumer per frame, without its engine, in milliseconds.
        broker_ms: CPU time of a broker per frame, with one copy and one model, in milliseconds.
    """

    cameras: int
    fps: float
    frame_bytes: float
    consumer_fps: float
    models: int
    subscribers: int
    objects: int
    is_even: bool
    spare_consumers: int
    outage_s: float
    catch_up_s: float
    replication: int
    broker_network: float
    consumer_ms: float
    broker_ms: float

    @property
    def frames_per_s(self) -> float:
        """Of all cameras."""
        return self.cameras * self.fps


@dataclass(frozen=True, slots=True)
class Plan:
    """What that takes. Bytes per second are peaks of what is planned for, not of a disaster.

    Attributes:
        frames_per_s: Of all cameras.
        consumers: Of each model.
        busiest_consumer_fps: What the busiest of them has to do.
        partitions: Of the topics of frames and detections.
        consumer_in, consumer_out: Bytes per second of the busiest consumer.
        consumer_cores: CPU of the busiest consumer, without its engine.
        consumer_memory_bytes: What frames take in a consumer at most, beside its program and its model.
        brokers: Of which one may be away, if there are copies.
        broker_in, broker_out: Bytes per second of each broker, while all are there.
        broker_cores: CPU of each broker, while all are there.
        broker_disk_bytes: On each broker.
        frames_disk_bytes, detections_disk_bytes: On all brokers together, with their copies.
        frame_bytes, detections_bytes: Of a record, with headers.
        retention_bytes: What FRAMEBUS_TOPICS__FRAMES_RETENTION_BYTES must be for the busiest partition.
        kept_s: How long the busiest partition keeps frames with what that setting is.
        is_cut_short: That is less than was wanted.
    """

    frames_per_s: float
    consumers: int
    busiest_consumer_fps: float
    partitions: int
    consumer_in: float
    consumer_out: float
    consumer_cores: float
    consumer_memory_bytes: float
    brokers: int
    broker_in: float
    broker_out: float
    broker_cores: float
    broker_disk_bytes: float
    frames_disk_bytes: float
    detections_disk_bytes: float
    frame_bytes: float
    detections_bytes: float
    retention_bytes: int
    kept_s: float
    is_cut_short: bool


def plan(demand: Demand, topics: TopicSettings, consumer: ConsumerSettings) -> Plan:
    """Works out what a demand takes.

    Raises:
        SettingsError: No number of consumers can do it, or pictures are kept for ever.
    """
    if min(topics.frames_retention_ms, topics.detections_retention_ms) < 0:
        raise SettingsError(
            "what is kept for ever needs any amount of disk; give --retention for frames, and set "
            "FRAMEBUS_TOPICS__DETECTIONS_RETENTION_MS for detections"
        )
    empty_frame, message = typical_records(demand.objects)
    frame, detections = record_bytes(empty_frame) + demand.frame_bytes, record_bytes(message)
    consumers = consumers_of(demand)
    partitions = partitions_for(consumers)
    busiest_fps = busiest_cameras(demand, consumers, partitions) * demand.fps
    frames_in = demand.frames_per_s * frame
    detections_in = demand.frames_per_s * demand.models * detections
    copies = demand.replication
    cluster_in = (frames_in + detections_in) * copies
    cluster_out = frames_in * (copies - 1 + demand.models) + detections_in * (copies - 1 + demand.subscribers)
    brokers = brokers_for(max(cluster_in, cluster_out), demand)
    kept = kept_s(topics)
    frames_disk = frames_in * kept[0] * copies
    detections_disk = detections_in * kept[1] * copies
    fullest = busiest_cameras(demand, partitions, partitions) * demand.fps * frame
    wanted_s = topics.frames_retention_ms / 1000
    by_bytes_s = min(wanted_s, _kept_by_bytes_s(topics, fullest))
    # Each copy, and each model that reads a frame, is taken to cost half of what one of both was measured to.
    broker_ms = demand.broker_ms * (copies + demand.models) / 2
    return Plan(
        frames_per_s=demand.frames_per_s,
        consumers=consumers,
        busiest_consumer_fps=busiest_fps,
        partitions=partitions,
        consumer_in=busiest_fps * frame,
        consumer_out=busiest_fps * detections,
        consumer_cores=busiest_fps * demand.consumer_ms / 1000,
        consumer_memory_bytes=_READ_AHEAD_BYTES
        + min(consumer.max_in_flight_frames * demand.frame_bytes, consumer.max_in_flight_bytes)
        + consumer.max_decoded_bytes,
        brokers=brokers,
        broker_in=cluster_in / brokers,
        broker_out=cluster_out / brokers,
        broker_cores=demand.frames_per_s * broker_ms / 1000 / brokers,
        broker_disk_bytes=(frames_disk + detections_disk) / brokers,
        frames_disk_bytes=frames_disk,
        detections_disk_bytes=detections_disk,
        frame_bytes=frame,
        detections_bytes=detections,
        retention_bytes=ceil(fullest * wanted_s),
        kept_s=by_bytes_s,
        is_cut_short=by_bytes_s < wanted_s,
    )


def consumers_of(demand: Demand) -> int:
    """The least consumers of a model of which some may be away, and which catch up in time.

    Raises:
        SettingsError: More consumers than cameras would be needed, as each has to have very few of them.
    """
    behind = 1 + demand.outage_s / demand.catch_up_s
    on_average = ceil(demand.frames_per_s * behind / demand.consumer_fps)
    for consumers in count(max(1 + demand.spare_consumers, on_average)):
        partitions, left = partitions_for(consumers), consumers - demand.spare_consumers
        if left > demand.cameras:
            break
        all_there = busiest_cameras(demand, consumers, partitions) * demand.fps * behind
        some_away = busiest_cameras(demand, left, partitions) * demand.fps
        if max(all_there, some_away) <= demand.consumer_fps:
            return consumers
    raise SettingsError(
        f"cameras of {demand.fps:g} fps are too much for consumers that do {demand.consumer_fps:g} frames/s: "
        "one would have more of them than it can do, however many consumers there are; take a faster engine, "
        "or fewer frames per second, or give few cameras a topic of their own (routes)"
    )


def partitions_for(consumers: int) -> int:
    """As many for each consumer; so many that consumers can be added, and those of a dead one be shared."""
    return consumers * max(PARTITIONS_PER_CONSUMER, ceil(LEAST_PARTITIONS / consumers))


def busiest_cameras(demand: Demand, consumers: int, partitions: int) -> int:
    """How many cameras the busiest consumer has: of those with most partitions, the one with most cameras."""
    its_partitions = ceil(partitions / consumers)
    if demand.is_even:
        return min(demand.cameras, its_partitions * ceil(demand.cameras / partitions))
    return most_cameras(demand.cameras, its_partitions / partitions, consumers)


def brokers_for(network: float, demand: Demand) -> int:
    """The least brokers that have room for all copies, and whose network is enough when one is away."""
    spare = 1 if demand.replication > 1 else 0
    return max(demand.replication, ceil(network / (NETWORK_SHARE * demand.broker_network)) + spare)


def kept_s(topics: TopicSettings) -> tuple[float, float]:
    """How long a frame, and a message of detections, stays on disk at most: Kafka deletes whole segments."""
    specs = topic_specs(topics, "model")
    kept = {
        spec.name: (int(spec.config["retention.ms"]) + int(spec.config["segment.ms"])) / 1000
        + _DELETED_AFTER_S
        for spec in specs
    }
    return kept[topics.frames], kept["detections.model"]


def _kept_by_bytes_s(topics: TopicSettings, bytes_per_s: float) -> float:
    return inf if topics.frames_retention_bytes < 0 else topics.frames_retention_bytes / bytes_per_s
