"""Where tracing is off, nothing of OpenTelemetry is loaded."""

import subprocess
import sys

_PROGRAMS = "import framebus.cli, consumer.app, producer.app"
_A_FRAME = """
from tests.pictures import jpeg
from tests.pipelines import memory_bus, publish, read, running

bus = memory_bus()
publish(bus, jpeg())
with running(bus):
    [record] = read(bus, "detections.test-model", 1)
assert dict(record.headers).get("traceparent") is None
"""


def loaded(code: str) -> list[str]:
    """The modules of OpenTelemetry that a process has that ran this."""
    tell = "import sys; print(*(name for name in sys.modules if name.split('.')[0] == 'opentelemetry'))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{tell}"], stdout=subprocess.PIPE, check=True, timeout=120
    )
    return done.stdout.decode().split("\n")[-2].split()


def test_programs_do_not_load_it() -> None:
    assert loaded(_PROGRAMS) == []


def test_a_frame_that_is_processed_does_not_load_it() -> None:
    assert loaded(_A_FRAME) == []


def test_the_api_loads_no_more_of_it_than_fastapi_does() -> None:
    app = "from control_api.app import create_app; from framebus.bus.memory import MemoryBus\n"
    app += "from framebus.environment import load_settings\ncreate_app(load_settings(), MemoryBus())"

    assert set(loaded(app)) == set(loaded("import fastapi"))
