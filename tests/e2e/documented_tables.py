"""What tests/e2e/test_documented_commands.py has to know of the commands on the pages: three tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NotRun:
    """Commands that a test cannot run.

    Attributes:
        reason: Why, in words.
        commands: They themselves as they stand on the pages, or the words that they begin with.
        pages: Only on these pages; none: on all.
    """

    reason: str
    commands: Sequence[str]
    pages: Sequence[str] = ()


NOT_RUN = (
    NotRun("it would set up the checkout anew; tests/e2e/test_demo.py runs `framebus demo`", ["make demo"]),
    NotRun("it is the checks and tests themselves, and what is around them", ["make test", "make check"]),
    NotRun("the menu, which make shows without a target", ["make"], ["CONTRIBUTING.md"]),
    NotRun(
        "installs from the internet; tests/e2e/test_wheel.py installs the wheel", ["pip install '.[cpu]'"]
    ),
    NotRun(
        "a quick model is in its place; on models/README.md and docs/tutorial.md it is run",
        ["framebus models fetch pedestrian"],
        ["README.md"],
    ),
    NotRun("takes two hours; tests/integration/test_chaos.py runs a short form", ["make chaos"]),
    NotRun("tests/integration/test_chaos.py runs it, from the checkout", ["python -m tests.chaos"]),
    NotRun("takes minutes; tests/e2e/test_bench_stream.py runs a short form", ["framebus bench"]),
    NotRun(
        "runs from the checkout; tests/unit/test_docs.py holds the page against it",
        ["python -m tests.tools.camera_spread"],
    ),
    NotRun(
        "needs two GPUs; tests/e2e/test_devices.py runs several workers", ["framebus consume --devices 0,1"]
    ),
    NotRun("tests/e2e/test_monitoring.py runs Prometheus with these files", ["prometheus"]),
    NotRun("installs from the internet; it is installed here", ["pip install 'framebus[tracing]'"]),
    NotRun(
        "tests/e2e/test_other_clients.py runs these, with the tools that are there",
        ["pip install kafka-python", "pip install confluent-kafka", "java -cp", "npm install"],
        ["docs/how-to/publish-and-subscribe.md"],
    ),
    NotRun(
        "needs Docker; tests/docker builds the images and runs them, and docker-compose.yml",
        ["docker build", "docker compose", "docker run", "NV_GPU=0 docker compose", "make test-docker"],
    ),
    NotRun("asks the host for its GPUs", ["nvidia-smi"], ["docs/docker.md"]),
    NotRun(
        "needs a Kubernetes cluster; tests/unit/infra/test_chart.py renders the chart", ["helm", "kubectl"]
    ),
    NotRun(
        "needs a swarm; tests/unit/infra/test_swarm.py has docker read the stacks",
        ["docker", "mkdir", "for", "sudo", "export", "curl", "NV_GPU=0", "CONSUMERS=4"],
        ["docs/swarm.md"],
    ),
    NotRun(
        "asks the host that it is on; tests/unit/infra/test_check_host.py runs it on fake ones",
        ["infra/swarm/check-host"],
    ),
    NotRun("Kafka's own scripts are not among what framebus fetches", ["kafka-configs", "kafka-topics"]),
    NotRun(
        "needs Kafka's own scripts; tests/integration/test_security.py allows what these lines say",
        ["acls"],
        ["docs/security.md"],
    ),
    NotRun(
        "needs a Kafka with TLS and users; tests/integration/test_security.py runs each program on one",
        ["framebus consume"],
        ["docs/security.md"],
    ),
)

SUBSTITUTES: Mapping[str, str] = {
    # as on the pages: what a test writes instead, with {values} of its stage
    "kafka:9092": "{kafka}",
    "localhost:9092": "{kafka}",
    "127.0.0.1:4343": "127.0.0.1:{api_port}",
    "localhost:9101": "127.0.0.1:{consumer_port}",
    "rtsp://user:password@10.0.0.7/stream1": "{camera}/live",
    "rtsp://gate/live": "{camera}/live",
    "http://10.0.0.8/snapshot.jpg": "{camera}/picture.jpg",
    "/run/secrets/": "{directory}/secrets/",
    "/srv/old-service/models": "{directory}/models",
    "FRAMEBUS_API__HOST=0.0.0.0": "FRAMEBUS_API__HOST=127.0.0.1",  # not open to all while tests run
    "~/.cache/framebus/": "{cache}/",
    ". .venv/bin/activate": ". {environment}/bin/activate",
    '"inference_engine_name": "auto"': '"inference_engine_name": "quick"',  # loads in no time
    "--engine auto": "--engine quick",  # tests of engines run the others
    "framebus broker": "framebus broker --port {kafka_port}",
    "--since 10m --to-topic again --pace 1": "--since 20s --to-topic again --pace 1",  # it takes as long
    "dead show 0/41": "dead show {dead_letter}",
    "dead replay --model plates --since 2h": "dead replay --model plates --since 2h --yes",  # asks nobody
}

BEFORE: Mapping[str, Sequence[str]] = {
    # What a page takes for granted, as commands; see also `Stage`.
    "docs/operating.md": (
        "framebus topics create --model pedestrian",
        "framebus consume --model pedestrian",
        "framebus produce --camera gate=yard.mp4 --camera yard=yard.mp4 --loop",
    ),
    "docs/cameras.md": ("framebus topics create",),
    "docs/dead-letters.md": (
        "framebus topics create --model plates",
        "framebus consume --model plates",
        "head -c 100 picture.jpg > broken.jpg",
        "kcat -P -b kafka:9092 -t frames -k gate broken.jpg",
        "until framebus dead list | grep gate; do sleep 0.2; done",
    ),
    "docs/devices.md": ("framebus topics create --model pedestrian",),
    "docs/how-to/add-a-camera.md": (
        "framebus topics create --model pedestrian",
        "framebus consume --model pedestrian",
    ),
    "docs/how-to/add-a-model.md": (
        "framebus topics create --model pedestrian",
        "framebus consume --model pedestrian",
        "framebus api",
        "mv models/plates exported",
    ),
    "docs/how-to/scale.md": (
        "framebus topics create --model pedestrian",
        "framebus consume --model pedestrian",
    ),
    "docs/how-to/tune.md": ("framebus topics create --model pedestrian",),
    "docs/replay.md": (
        "framebus topics create --model pedestrian",
        "framebus consume --model pedestrian",
        "framebus produce --camera gate=yard.mp4 --loop",
        "timeout 60 framebus tail --model pedestrian --count 1",
    ),
    "docs/rest.md": ("framebus topics create --model pedestrian",),
    "docs/wire-format.md": ("framebus topics create --model pedestrian",),
}

REAL_MODEL = ("models/README.md", "docs/tutorial.md")
"""Pages whose `pedestrian` is the sample model, and `yard.mp4` the sample video; others have quick ones."""
