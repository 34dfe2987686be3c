import threading

from tests.model_workers import PLENTY, ModelWorker, at_work, stage_of
from tests.obedient_models import ObedientEngine, ObedientModels
from tests.pipelines import wait_until


def test_a_command_that_says_the_same_again_loads_nothing_anew(worker: ModelWorker) -> None:
    worker.load("ssd", 3)
    changes = worker.models.changes

    for generation in (3, 2, 0):
        worker.want("ssd", generation=generation)
    worker.want("missing")  # behind those, so that they were looked at
    worker.until("missing", lambda status: status.state == "failed")

    assert len(worker.obedient.made["ssd"]) == 1
    assert worker.status("ssd") is not None
    assert worker.models.changes > changes


def test_a_higher_generation_loads_the_model_anew_beside_the_one_in_force(worker: ModelWorker) -> None:
    before = worker.load("ssd")
    [old] = worker.obedient.made["ssd"]
    gate = threading.Event()
    worker.obedient.make = lambda _: ObedientEngine(on_load=gate.wait)  # type: ignore[arg-type]
    worker.obedient.write_graph("ssd", b"2")

    worker.want("ssd", generation=1)
    wait_until(lambda: len(worker.obedient.made["ssd"]) == 2)
    during = worker.status("ssd")
    assert during is not None
    assert (during.state, during.version, during.generation) == ("loaded", before.version, 0)
    assert worker.detect("ssd")[1].model.version == before.version
    gate.set()
    after = worker.until("ssd", lambda status: status.generation == 1)

    assert after.state == "loaded"
    assert after.error is None
    assert after.version not in (None, before.version)
    assert worker.detect("ssd")[1].model.version == after.version
    assert old.closed == 1


def test_a_reload_that_fails_keeps_the_old_version_and_says_why(worker: ModelWorker) -> None:
    before = worker.load("ssd")
    (worker.obedient.directory / "ssd" / "object-detection.pbtxt").unlink()

    status = worker.load("ssd", 1)

    assert (status.state, status.version) == ("loaded", before.version)
    assert "object-detection.pbtxt" in str(status.error)
    assert worker.objects("ssd") == 1
    assert worker.obedient.made["ssd"][0].closed == 0
    assert worker.metric("framebus_model_loaded", "ssd") == 1
    assert worker.metric("framebus_model_failed", "ssd") == 1


def test_a_reload_that_goes_well_clears_the_error_of_the_one_before(worker: ModelWorker) -> None:
    worker.load("ssd")
    graph = worker.obedient.directory / "ssd" / "frozen_inference_graph.pb"
    graph.unlink()
    assert worker.load("ssd", 1).error is not None

    graph.write_bytes(b"2")
    status = worker.load("ssd", 2)

    assert (status.state, status.error) == ("loaded", None)
    assert worker.metric("framebus_model_failed", "ssd") == 0


def test_a_model_that_failed_is_tried_again_with_the_next_generation_only(worker: ModelWorker) -> None:
    worker.load("late")
    worker.obedient.add("late")
    worker.load("ssd")  # behind it in the order of commands
    status = worker.status("late")
    assert status is not None
    assert status.state == "failed"

    assert worker.load("late", 1).state == "loaded"


def test_a_generation_that_comes_while_one_loads_is_loaded_after_it(worker: ModelWorker) -> None:
    gate = threading.Event()
    worker.obedient.make = lambda _: ObedientEngine(on_load=gate.wait)  # type: ignore[arg-type]
    worker.want("ssd", generation=1)
    wait_until(lambda: "ssd" in worker.obedient.made)
    worker.obedient.write_graph("ssd", b"2")
    worker.want("ssd", generation=5)
    gate.set()

    status = worker.until("ssd", lambda status: status.generation == 5)
    assert status.version == worker.detect("ssd")[1].model.version
    assert [engine.closed for engine in worker.obedient.made["ssd"]] == [1, 0]


def test_too_little_memory_is_a_clean_refusal(obedient: ObedientModels) -> None:
    obedient.add("large")
    obedient.write_graph("large", bytes(2**20))
    with at_work(obedient, available_bytes=lambda: 2 * 2**20) as worker:
        status = worker.load("large")

        assert status.state == "failed"
        assert str(status.error).startswith(
            "too little memory to load model large: it takes some 3 MiB, and 2"
        )
        assert all(
            not engine.loaded
            for engine in obedient.made.get("large", [])
            if isinstance(engine, ObedientEngine)
        )


def test_too_little_memory_for_two_versions_keeps_the_one_in_force(obedient: ObedientModels) -> None:
    obedient.add("large")
    obedient.write_graph("large", bytes(2**20))
    free_bytes = PLENTY
    with at_work(obedient, available_bytes=lambda: free_bytes) as worker:
        before = worker.load("large")
        free_bytes = 2**20
        status = worker.load("large", 1)

        assert (status.state, status.version) == ("loaded", before.version)
        assert "too little memory to load model large beside the one in force" in str(status.error)
        assert worker.objects("large") == 1

        free_bytes = PLENTY
        assert worker.load("large", 2).error is None


def test_what_a_load_took_before_counts_for_the_next(obedient: ObedientModels) -> None:
    obedient.add("greedy")
    taken: list[bytearray] = []

    def take() -> None:
        taken.append(bytearray(b"x") * (64 * 2**20))

    free_bytes = PLENTY
    obedient.make = lambda _: ObedientEngine(on_load=take)
    with at_work(obedient, available_bytes=lambda: free_bytes) as worker:
        assert worker.load("greedy").state == "loaded"
        free_bytes = 32 * 2**20

        assert "too little memory" in str(worker.load("greedy", 1).error)
    assert len(taken) == 1


def test_a_routed_model_is_reloaded_by_generation_in_the_host_that_its_pipeline_has(
    obedient: ObedientModels,
) -> None:
    obedient.add("street")
    worker = ModelWorker(obedient)
    host = worker.models.load_routed("street")
    worker.models.attach("street", stage_of(host))
    before = host.in_force.version
    worker.start()
    obedient.write_graph("street", b"2")

    worker.want("street", generation=1)
    after = worker.until("street", lambda status: status.generation == 1)

    assert after.version == host.in_force.version != before
    worker.close()


def test_a_status_never_says_that_a_load_is_over_before_its_version_is_told(
    obedient: ObedientModels, often_interrupted: None
) -> None:
    obedient.add("ssd")
    stop = threading.Event()
    told: set[tuple[int, str | None]] = set()
    with at_work(obedient) as worker:
        versions = [worker.load("ssd").version]

        def look() -> None:
            while not stop.is_set():
                told.update((status.generation, status.version) for status in worker.models.statuses())

        thread = threading.Thread(target=look)
        thread.start()
        for generation in range(1, 40):
            obedient.write_graph("ssd", b"version %d" % generation)
            versions.append(worker.load("ssd", generation).version)
        stop.set()
        thread.join(timeout=20)

    assert len(set(versions)) == 40
    assert [one for one in told if versions.index(one[1]) < one[0]] == []
