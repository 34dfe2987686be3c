"""How many frames a second a consumer works off a backlog, as a user's consumer would."""

from framebus.cli.bench.backlog import Backlog
from framebus.cli.bench.consumer_process import ConsumerProcess
from framebus.cli.bench.own_broker import OwnBroker

WARM_UP_FRAMES = 128
"""Acknowledged before the window begins: twice as many as are in flight by default."""


def throughput(broker: OwnBroker, model: str, backlog: Backlog, seconds: float) -> dict[str, float]:
    """Starts a consumer, lets it warm up, and counts for so long what the broker acknowledged.

    A backlog that turns out to be too small grows, and the measurement is taken again.

    Returns:
        fps; cpu_ms_per_frame of the consumer; broker_cpu_ms_per_frame.

    Raises:
        FramebusError: The consumer failed.
    """
    topic = broker.settings.topics.frames
    in_flight = broker.settings.consumer.max_in_flight_frames
    while True:
        with ConsumerProcess(broker, model, topic) as consumer:
            window = consumer.window(min(WARM_UP_FRAMES, backlog.frames), seconds, backlog.frames)
        if window.last.frames + in_flight <= backlog.frames:
            return window.figures()
        backlog.grow_to(2 * backlog.frames)
