"""What a consumer holds while its engine is far too slow for its cameras."""

import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from consumer.metrics import ConsumerMetrics
from consumer.model_host import ModelHost
from consumer.pipeline import Pipeline
from framebus.bus import OutgoingRecord
from framebus.bus.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from framebus.local_broker import LocalBroker
from framebus.routes import load_routes
from framebus.settings import Settings
from framebus.topics import topic_specs
from tests.engines import ScriptedEngine, stored_model
from tests.kafka import kafka_settings, unique
from tests.pictures import jpeg

CAMERA_FPS = 60
SECONDS = 12
ALLOWED_BYTES = 300 * 2**20


class OneFrameASecond(ScriptedEngine):
    """An engine that needs a second for each picture."""

    def detect(self, images, least_score=0.0):  # type: ignore[no-untyped-def]
        self.delay_s = len(images)
        return super().detect(images, least_score)


def consume(settings: Settings, joined: Event) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    pipeline = Pipeline(
        settings=settings,
        routes=load_routes(settings),
        host=ModelHost(stored_model(), OneFrameASecond(concurrency=2)),
        consumer=KafkaConsumer(settings.kafka),
        producer=KafkaProducer(settings.kafka),
        metrics=ConsumerMetrics(CollectorRegistry(), max_cameras=10),
    )

    def watch() -> None:
        while pipeline.not_ready:
            time.sleep(0.05)
        joined.set()

    threading.Thread(target=watch, daemon=True).start()
    pipeline.run(stop)


def resident_bytes(process: BaseProcess) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


@contextmanager
def slow_consumer(settings: Settings) -> Iterator[BaseProcess]:
    spawn = multiprocessing.get_context("spawn")
    joined = spawn.Event()
    process = spawn.Process(target=consume, args=(settings, joined))
    process.start()
    try:
        assert joined.wait(60)
        yield process
    finally:
        process.kill()
        process.join()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(768, 576), (1920, 1080)])
def test_memory_is_bounded_however_far_the_engine_falls_behind(
    best_broker: LocalBroker, width: int, height: int
) -> None:
    kafka = kafka_settings(best_broker)
    topic = unique("frames")
    settings = Settings(
        kafka=kafka,
        topics={"frames": topic, "dead": f"{topic}.dead", "replication_factor": 1},
        consumer={"model": "test-model"},
    )
    KafkaAdmin(kafka).create_topics(topic_specs(settings.topics, "test-model"))
    # As large as a real camera's: what a JPEG decoder does not read may follow its end.
    picture = jpeg(width, height) + bytes(150_000)
    with slow_consumer(settings) as process, closing(KafkaProducer(kafka)) as producer:
        idle_bytes = most_bytes = resident_bytes(process)
        started_s = time.monotonic()
        for number in range(CAMERA_FPS * SECONDS):
            assert producer.publish(OutgoingRecord(topic, f"cam-{number % 6}".encode(), picture))
            while (early_s := started_s + number / CAMERA_FPS - time.monotonic()) > 0:
                producer.poll(early_s)
            most_bytes = max(most_bytes, resident_bytes(process))
        assert producer.flush(30) == 0
        assert process.is_alive()

    print(f"{width}x{height}: {(most_bytes - idle_bytes) / 2**20:.0f} MiB over idle")  # noqa: T201
    assert 0 < most_bytes - idle_bytes < ALLOWED_BYTES
