"""More than can be served, of which the newest is wanted: does every camera get fresh detections?"""

from collections import Counter
from dataclasses import asdict
from itertools import pairwise

from tests.tools.camera_load.bench import Bench, Seen
from tests.tools.camera_load.cameras import Camera
from tests.tools.camera_load.installation import Installation
from tests.tools.camera_load.report import Report, Row, percentile


def latest(bench: Bench) -> Report:
    """Publishes more than can be served on a route that wants the newest frame of each camera."""
    installation = Installation(bench.settings, [bench.model], bench.logs, freshness="latest")
    with installation.consumer() as consumer:
        load = bench.publish(installation)
        installation.wait_until_committed(bench.model)
        dropped = consumer.dropped()
        consumer.stop()
    seen = Seen(installation, bench.model)
    reasons: Counter[str] = Counter()
    of_camera: Counter[str] = Counter()
    for (camera_id, reason), frames in dropped.items():
        reasons[reason] += frames
        of_camera[camera_id] += frames
    cameras = [
        _row(camera, seen.of_camera(camera.camera_id), of_camera[camera.camera_id])
        for camera in bench.cameras
    ]
    worst = max(cameras, key=lambda row: row["age p99 ms"])
    ages_ms = [answer.age_ms for answer in seen.answers]
    return {
        "load": [load],
        "frames": [asdict(seen.account(reasons.total()))],
        "dropped": [{"reason": reason, "frames": frames} for reason, frames in reasons.items()],
        "cameras": cameras,
        "age of detections": [
            {
                "p50 ms": percentile(ages_ms, 50),
                "p99 ms": percentile(ages_ms, 99),
                "worst camera": worst["camera"],
                "its p99 ms": worst["age p99 ms"],
                "longest gap s": max(row["longest gap s"] for row in cameras),
            }
        ],
    }


def _row(camera: Camera, seen: Seen, dropped: int) -> Row:
    account = seen.account(dropped)
    ages_ms = [answer.age_ms for answer in seen.answers]
    # The first gap begins with the camera's first frame.
    moments_ms = [seen.frames[0].captured_ms, *(answer.appended_ms for answer in seen.answers)]
    gaps_ms = [later - earlier for earlier, later in pairwise(moments_ms)]
    return {
        "camera": camera.camera_id,
        "pictures": camera.kind,
        "published": account.published,
        "answers": len(seen.answers),
        "dropped": dropped,
        "missing": account.missing,
        "longest gap s": max(gaps_ms, default=float("inf")) / 1000,
        "age p50 ms": percentile(ages_ms, 50),
        "age p99 ms": percentile(ages_ms, 99),
    }
