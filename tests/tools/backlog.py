"""Measures a consumer against the bare session: python -m tests.tools.backlog VIDEO [--rounds N].

Publishes a backlog of frames to a real broker, times the pipeline from the first frame it reads to the last
detection the broker acknowledged, and beside it, in the same process, `session.run` at batch 8 on the same
frames, already decoded. Prints frames/s of both and their ratio, round by round, and the medians.
"""

import statistics
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import tensorflow.compat.v1 as tf
import typer
from prometheus_client import CollectorRegistry

from consumer.engines.engine import DetectionEngine, create_engine
from consumer.engines.frozen_graph import INPUT, OUTPUTS, read_frozen_graph
from consumer.metrics import ConsumerMetrics
from consumer.model_host import ModelHost
from consumer.pipeline import Pipeline
from framebus.bus import OutgoingRecord
from framebus.bus.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from framebus.frames import Image
from framebus.images import encode_jpeg
from framebus.local_broker import BrokerKind, local_broker
from framebus.model_repository import ModelRepository, StoredModel
from framebus.routes import load_routes
from framebus.settings import Settings, load_settings
from framebus.topics import topic_specs

BATCH = 8
DIFFERENT_FRAMES = 160
CAMERAS = 8


def main(
    video: Path,
    frames: Annotated[int, typer.Option(help="Frames in the backlog.")] = 600,
    rounds: Annotated[int, typer.Option(help="Times that each is measured, in turn.")] = 5,
    model: Annotated[str, typer.Option(help="Model in FRAMEBUS_MODELS_DIR.")] = "pedestrian",
    broker: Annotated[BrokerKind, typer.Option()] = BrokerKind.APACHE,
) -> None:
    """See above."""
    images = read_images(video)
    settings = load_settings()
    stored = ModelRepository(settings.models_dir).open(model)
    with local_broker(settings, broker) as running:
        engine = create_engine(stored, settings)
        engine.load()
        session = Session(stored)
        session.frames_per_s(images, frames)  # warm
        ratios = []
        for number in range(rounds):
            raw = session.frames_per_s(images, frames)
            piped = pipeline_frames_per_s(running.bootstrap_servers, stored, engine, images, frames)
            ratios.append(piped / raw)
            typer.echo(
                f"round {number + 1}: session.run {raw:.1f} frames/s, "
                f"pipeline {piped:.1f} frames/s, ratio {ratios[-1]:.3f}"
            )
    typer.echo(f"median ratio {statistics.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}")


def read_images(video: Path) -> list[Image]:
    """The first frames of a video, RGB."""
    capture = cv2.VideoCapture(str(video))
    images = []
    for _ in range(DIFFERENT_FRAMES):
        decoded, frame = capture.read()
        if not decoded:
            break
        images.append(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8))
    capture.release()
    return images


class Session:
    """Nothing but TensorFlow: a session of its own with default options."""

    def __init__(self, model: StoredModel) -> None:
        self._session = tf.Session(graph=read_frozen_graph(model.graph).graph)

    def frames_per_s(self, images: list[Image], frames: int) -> float:
        """Runs decoded frames at batch 8."""
        batches = [np.stack(images[i : i + BATCH]) for i in range(0, len(images) - BATCH + 1, BATCH)]
        outputs = [f"{name}:0" for name in OUTPUTS]
        calls = frames // BATCH
        started_s = time.perf_counter()
        for call in range(calls):
            self._session.run(outputs, {f"{INPUT}:0": batches[call % len(batches)]})
        return calls * BATCH / (time.perf_counter() - started_s)


def pipeline_frames_per_s(
    servers: str, model: StoredModel, engine: DetectionEngine, images: list[Image], frames: int
) -> float:
    """Publishes the backlog, then runs a consumer's pipeline over it."""
    topic = f"frames-{uuid.uuid4().hex[:8]}"
    settings = load_settings(
        kafka={"bootstrap_servers": servers, "group_id": topic},
        topics={"frames": topic, "dead": f"{topic}.dead", "partitions": 4},
        consumer={"model": model.name},
    )
    KafkaAdmin(settings.kafka).create_topics(topic_specs(settings.topics, model.name))
    publish(settings, topic, images, frames)
    registry = CollectorRegistry()
    metrics = ConsumerMetrics(registry, max_cameras=CAMERAS)
    pipeline = Pipeline(
        settings=settings,
        routes=load_routes(settings),
        host=ModelHost(model, engine),
        consumer=KafkaConsumer(settings.kafka),
        producer=KafkaProducer(settings.kafka),
        metrics=metrics,
    )
    stop = threading.Event()
    running = threading.Thread(target=pipeline.run, args=(stop,))
    running.start()

    def finished() -> float:
        return sum(
            sample.value
            for metric in metrics.frames.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
        )

    wait_until(
        lambda: (registry.get_sample_value("framebus_in_flight_frames", {"model": model.name}) or 0) > 0
    )
    started_s = time.perf_counter()
    wait_until(lambda: finished() >= frames)
    seconds = time.perf_counter() - started_s
    stop.set()
    running.join()
    return frames / seconds


def wait_until(condition: Callable[[], bool]) -> None:
    """Looks every twentieth of a second, so as not to take the time that it measures."""
    while not condition():
        time.sleep(0.05)


def publish(settings: Settings, topic: str, images: list[Image], frames: int) -> None:
    """Publishes the frames as JPEG, from several cameras."""
    pictures = [encode_jpeg(image) for image in images]
    producer = KafkaProducer(settings.kafka)
    for number in range(frames):
        record = OutgoingRecord(topic, f"cam-{number % CAMERAS}".encode(), pictures[number % len(pictures)])
        while not producer.publish(record):
            producer.poll(0.01)
    undelivered = producer.flush(60)
    producer.close()
    if undelivered:
        raise SystemExit(f"{undelivered} frames could not be published")


if __name__ == "__main__":
    typer.run(main)
