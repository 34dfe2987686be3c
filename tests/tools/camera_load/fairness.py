"""One camera publishes ten times what each of the others does: do those wait for it?"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from tests.tools.camera_load.bench import Bench, Seen
from tests.tools.camera_load.cameras import FAST_CAMERA
from tests.tools.camera_load.installation import Installation
from tests.tools.camera_load.reading import Answer
from tests.tools.camera_load.report import Report, Row, percentile

_TIMES_MS: Mapping[str, Callable[[Answer], float]] = {
    "wait": lambda answer: answer.wait_ms,
    "total": lambda answer: answer.total_ms,
    "age": lambda answer: answer.age_ms,
}
"""From poll to engine, without decoding; from capture to publishing; from capture until the broker had it."""


def fairness(bench: Bench) -> Report:
    """Publishes at part load; compares the quiet cameras' times with the median camera's."""
    installation = Installation(bench.settings, [bench.model], bench.logs)
    with installation.consumer() as consumer:
        load = bench.publish(installation)
        installation.wait_until_committed(bench.model)
        consumer.stop()
    seen = Seen(installation, bench.model)
    partitions = {frame.camera_id: frame.position[1] for frame in seen.frames}
    answers = {camera.camera_id: seen.of_camera(camera.camera_id).answers for camera in bench.cameras}
    places: dict[str, Row] = {
        camera.camera_id: {
            "pictures": camera.kind,
            "partition": partitions[camera.camera_id],
            "beside the fast": partitions[camera.camera_id] == partitions[FAST_CAMERA],
        }
        for camera in bench.cameras
    }
    return {
        "load": [load],
        "frames": [asdict(seen.account())],
        "cameras": [
            {"camera": camera_id, **place, **_times(answers[camera_id])}
            for camera_id, place in places.items()
        ],
        "quiet cameras against the median camera": [_verdict(name, answers, places) for name in _TIMES_MS],
    }


def _times(answers: Sequence[Answer]) -> Row:
    times: dict[str, float] = {
        f"{name} p{percent} ms": percentile(map(time_ms, answers), percent)
        for name, time_ms in _TIMES_MS.items()
        for percent in (50, 99)
    }
    return {
        "answers": len(answers),
        "decode p50 ms": percentile((answer.decode_ms for answer in answers), 50),
        "infer p50 ms": percentile((answer.infer_ms for answer in answers), 50),
        "batch p50": percentile((answer.batch_size for answer in answers), 50),
        **times,
    }


def _verdict(name: str, answers: Mapping[str, Sequence[Answer]], places: Mapping[str, Row]) -> Row:
    p99_ms = {
        camera: percentile(map(_TIMES_MS[name], of_camera), 99) for camera, of_camera in answers.items()
    }
    median_ms = statistics.median(p99_ms.values())
    worst = max(p99_ms.keys() - {FAST_CAMERA}, key=lambda camera: p99_ms[camera])
    return {
        "time": name,
        "median camera's p99 ms": median_ms,
        "worst quiet camera": worst,
        "its p99 ms": p99_ms[worst],
        "ratio": round(p99_ms[worst] / median_ms, 2),
        **places[worst],
        "quiet cameras beyond twice": sum(
            time_ms > 2 * median_ms for camera, time_ms in p99_ms.items() if camera != FAST_CAMERA
        ),
    }
