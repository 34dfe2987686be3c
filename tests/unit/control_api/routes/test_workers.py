from datetime import UTC, datetime

from framebus.control import CameraStatus
from tests.unit.control_api.clients import data
from tests.unit.control_api.conftest import Api, StartApi, StartWorker
from tests.unit.control_api.fake_worker import FakeWorker
from tests.workers import wait_until

MOMENT = datetime(2026, 1, 31, 12, 0, 0, 250_000, UTC)


def test_workers_are_listed_with_what_runs_on_them(
    api: Api, worker: FakeWorker, start_worker: StartWorker
) -> None:
    other = start_worker("worker-2")
    other.waiting_predictions = 3
    api.knows(worker, other)
    api.knows_waiting(other, 3)

    first, second = data(api.http.get("/workers"))

    assert 0 <= first.pop("heard_s_ago") < 3
    assert datetime.fromisoformat(first.pop("started_at")).tzinfo is not None
    assert first == {
        "worker": "worker-1",
        "address": f"http://127.0.0.1:{worker.port}",
        "is_ready": True,
        "waiting_predictions": 0,
        "models": [
            {
                "name": "people",
                "state": "loaded",
                "version": "people-0",
                "generation": 0,
                "error": None,
                "config_error": None,
                "device": "CPU",
                "engine": "tensorflow_detection",
                "precision": "f32",
                "fallback": None,
                "is_routed": True,
                "batch_fill": None,
                "lag_frames": None,
            }
        ],
    }
    assert (second["worker"], second["waiting_predictions"], second["models"]) == ("worker-2", 3, [])


def test_a_worker_that_leaves_is_gone_at_once(api: Api, worker: FakeWorker) -> None:
    worker.leave()

    wait_until(lambda: data(api.http.get("/workers")) == [], 2)


def test_cameras_are_listed_whichever_worker_has_them(
    api: Api, worker: FakeWorker, start_worker: StartWorker
) -> None:
    def camera(name: str) -> CameraStatus:
        return CameraStatus(
            camera=name,
            model="people",
            frames_per_s=25,
            dropped_per_s=1,
            latency_ms=41.5,
            last_frame_at=MOMENT,
        )

    worker.cameras = (camera("yard"),)
    other = start_worker("worker-2")
    other.cameras = (camera("gate"),)
    api.knows(worker, other)
    wait_until(lambda: len(data(api.http.get("/cameras"))) == 2)

    assert data(api.http.get("/cameras")) == [
        {
            "camera": name,
            "model": "people",
            "worker": on,
            "frames_per_s": 25,
            "dropped_per_s": 1,
            "latency_ms": 41.5,
            "last_frame_at": "2026-01-31T12:00:00.250000Z",
        }
        for name, on in (("gate", "worker-2"), ("yard", "worker-1"))
    ]


def test_without_workers_the_lists_are_empty(start_api: StartApi) -> None:
    api = start_api()

    assert data(api.http.get("/workers")) == []
    assert data(api.http.get("/cameras")) == []
