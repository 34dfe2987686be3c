"""`infra/swarm/check-host` on hosts that lack one thing each, whose programs are fakes."""

import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "infra/swarm/check-host"
TOOLS = ("awk", "bash", "find", "grep", "head", "id", "sort", "timeout", "wc", "xargs")
GPU = "NVIDIA A2"
GB = 1024 * 1024  # in the blocks of `df -k`
PERMISSION = "Got permission denied while trying to connect to the Docker daemon socket"

Answers = Mapping[str, Mapping[str, str | None]]
"""What each program prints for its arguments; for None, and for arguments that are not here, it fails."""

HOST: Answers = {
    "docker": {
        "version --format {{.Server.Version}}": "28.2.2",
        "info --format {{.DockerRootDir}}": "/",
        "info --format {{.Swarm.LocalNodeState}}": "active",
        "info --format {{.Swarm.ControlAvailable}}": "true",
        "info --format {{.Swarm.NodeID}}": "me",
        "info --format {{.DefaultRuntime}}": "nvidia",
        "info --format {{len .GenericResources}}": "2",
        "node ls --quiet": "me",
        "node ls --quiet --filter node.label=framebus.data=true": "me",
        "secret inspect framebus-worker-token": "[]",
        "secret inspect framebus-read-token": "[]",
        "secret inspect framebus-admin-token": "[]",
        "secret inspect framebus-grafana-password": "[]",
    },
    "df": {"-Pk /": f"Filesystem blocks Used Available\n/dev/sda 0 0 {200 * GB}"},
    "modprobe": {"--dry-run --quiet ip_vs": ""},
    "nvidia-smi": {
        "--query-gpu=driver_version,name --format=csv,noheader": f"580.95.05, {GPU}\n580.95.05, {GPU}"
    },
    "nvidia-ctk": {
        "--version": "NVIDIA Container Toolkit CLI version 1.18.0\ncommit: 0",
        "config": '#root = "/"\nswarm-resource = "DOCKER_RESOURCE_GPU"',
    },
}


@dataclass
class Host:
    """A host of fake programs."""

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)

    def check(self, *options: str, but: Answers | None = None, without: str = "") -> tuple[int, str]:
        """Runs the script.

        Args:
            options: Of the script.
            but: Answers that differ from those of a host where all is well.
            without: A program that is not installed.
        """
        for program, answers in HOST.items():
            if program != without:
                self._install(program, {**answers, **(but or {}).get(program, {})})
        done = subprocess.run(
            [SCRIPT, *options],
            env={"PATH": str(self.directory / "bin"), **self.environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout

    def _install(self, program: str, answers: Mapping[str, str | None]) -> None:
        cases = [
            f"{shlex.quote(arguments)}) echo {shlex.quote(answer)} ;;"
            if answer is not None and not answer.startswith("Got")
            else f"{shlex.quote(arguments)}) echo {shlex.quote(answer or '')} >&2; exit 1 ;;"
            for arguments, answer in answers.items()
        ]
        target = self.directory / "bin" / program
        target.write_text("\n".join(["#!/bin/bash", 'case "$*" in', *cases, "*) exit 1 ;;", "esac"]))
        target.chmod(0o755)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    model = tmp_path / "models" / "pedestrian"
    model.mkdir(parents=True)
    for place in (tmp_path / "models", model):
        place.chmod(0o755)
    (model / "config.json").touch(0o644)
    return Host(tmp_path, {"MODELS": str(tmp_path / "models")})


def test_a_host_that_has_all(host: Host) -> None:
    code, output = host.check("--gpu")

    assert output.splitlines() == [
        "ok       docker: 28.2.2",
        "ok       disk: 200 GB free in /",
        "ok       swarm: this host is in one",
        "ok       kernel: has ip_vs",
        "ok       ports: 0 other hosts answer; 7946/udp and 4789/udp must be open between all, too",
        "ok       label: a node is labelled framebus.data",
        "ok       secrets: all are there",
        f"ok       models: {host.directory}/models/pedestrian",
        "ok       driver: 580.95.05, 2 GPUs",
        "ok       toolkit: NVIDIA Container Toolkit CLI version 1.18.0",
        "ok       runtime: nvidia",
        "ok       resources: swarm knows of 2 GPUs",
    ]
    assert code == 0


def test_without_gpus_nothing_is_said_of_them(host: Host) -> None:
    code, output = host.check(but={"nvidia-smi": {}, "docker": {"info --format {{.DefaultRuntime}}": "runc"}})

    assert code == 0
    assert output.splitlines()[-1].startswith("ok       models")


def test_nothing_is_asked_of_a_docker_that_is_not_there(host: Host) -> None:
    code, output = host.check("--gpu", without="docker")

    assert code == 1
    assert [line.split(":")[0] for line in output.splitlines()] == [
        "missing  docker",
        "ok       models",
        "ok       driver",
        "ok       toolkit",
    ]
    assert output.startswith("missing  docker: not installed: https://docs.docker.com/engine/install/\n")


SERVER = "version --format {{.Server.Version}}"
STATE = "info --format {{.Swarm.LocalNodeState}}"
LABELLED = "node ls --quiet --filter node.label=framebus.data=true"
DRIVERS = "--query-gpu=driver_version,name --format=csv,noheader"


@pytest.mark.parametrize(
    ("but", "line"),
    [
        (
            {"docker": {SERVER: PERMISSION}},
            "missing  docker: this user may not use it: sudo usermod -aG docker {user}, and log in again",
        ),
        (
            {"docker": {SERVER: None}},
            "missing  docker: no daemon answers: sudo systemctl enable --now docker",
        ),
        (
            {"docker": {SERVER: "19.03.15"}},
            "missing  docker: version 19.03.15: update it to 20.10 or later, "
            "https://docs.docker.com/engine/install/",
        ),
        (
            {"df": {"-Pk /": f"Filesystem blocks Used Available\n/dev/sda 0 0 {9 * GB}"}},
            "missing  disk: 9 GB free in /, images need 10 GB: docker image prune, "
            'or put "data-root" of /etc/docker/daemon.json on a larger disk',
        ),
        (
            {"docker": {STATE: "inactive"}},
            "missing  swarm: this host is in none: docker swarm init --advertise-addr ITS-ADDRESS on the "
            "first host, then on each other one what docker swarm join-token worker prints there",
        ),
        ({"docker": {STATE: "locked"}}, "missing  swarm: locked: docker swarm unlock"),
        (
            {"docker": {LABELLED: ""}},
            "missing  label: no node has framebus.data, where Kafka and Prometheus keep their data: "
            "docker node update --label-add framebus.data=true NODE",
        ),
        (
            {"docker": {"secret inspect framebus-read-token": None}},
            "missing  secrets: there is no framebus-read-token: "
            "openssl rand -hex 24 | docker secret create NAME - (docs/swarm.md)",
        ),
        (
            {"nvidia-smi": {DRIVERS: "470.256.02, NVIDIA A2"}},
            "missing  driver: version 470.256.02: update it to 525.60.13 or later, and restart",
        ),
        (
            {"nvidia-smi": {DRIVERS: None}},
            "missing  driver: nvidia-smi says: nothing: restart the host; if that is no help, "
            "install the driver anew",
        ),
        (
            {"docker": {"info --format {{.DefaultRuntime}}": "runc"}},
            "missing  runtime: docker's default one is runc, and swarm cannot choose another: "
            "sudo nvidia-ctk runtime configure --runtime=docker --set-as-default "
            "&& sudo systemctl restart docker",
        ),
        (
            {"nvidia-ctk": {"config": '#swarm-resource = "DOCKER_RESOURCE_GPU"'}},
            "missing  resources: swarm knows of 2 GPUs, but NVIDIA's runtime does not ask it: "
            "sudo nvidia-ctk config --in-place --set swarm-resource=DOCKER_RESOURCE_GPU",
        ),
    ],
)
def test_what_is_missing_comes_with_what_to_do(host: Host, but: Answers, line: str) -> None:
    user = subprocess.check_output(["id", "-un"], text=True).strip()

    code, output = host.check("--gpu", but=but)

    assert [found for found in output.splitlines() if not found.startswith("ok ")] == [line.format(user=user)]
    assert code == 1


@pytest.mark.parametrize(
    ("program", "line"),
    [
        (
            "nvidia-smi",
            "missing  driver: no nvidia-smi: install NVIDIA's driver 525.60.13 or later and restart "
            "(Debian: apt install nvidia-driver; Ubuntu: ubuntu-drivers install)",
        ),
        (
            "nvidia-ctk",
            "missing  toolkit: no nvidia-ctk: install nvidia-container-toolkit, https://docs.nvidia.com/datacenter/"
            "cloud-native/container-toolkit/latest/install-guide.html",
        ),
    ],
)
def test_what_is_not_installed(host: Host, program: str, line: str) -> None:
    code, output = host.check("--gpu", without=program)

    assert line in output.splitlines()
    assert code == 1


@pytest.mark.skipif(Path("/proc/net/ip_vs").exists(), reason="this machine's kernel has ip_vs loaded")
def test_a_kernel_without_virtual_servers(host: Host) -> None:
    code, output = host.check(but={"modprobe": {"--dry-run --quiet ip_vs": None}})

    assert "no ip_vs, so published ports do not answer: take the distribution's standard kernel" in output
    assert code == 1


@pytest.mark.parametrize(
    ("but", "line"),
    [
        (
            {"df": {"-Pk /": f"Filesystem blocks Used Available\n/dev/sda 0 0 {30 * GB}"}},
            "warn     disk: 30 GB free in /: Kafka may keep 40 GB there; label another node framebus.data, "
            "or lower FRAMEBUS_TOPICS__FRAMES_RETENTION_BYTES",
        ),
        (
            {"docker": {"info --format {{len .GenericResources}}": "0"}},
            "warn     resources: swarm knows of no GPU, as stack.gpu-each.yml needs: "
            'add "node-generic-resources" to /etc/docker/daemon.json (docs/swarm.md)',
        ),
    ],
)
def test_what_only_some_need_is_a_warning(host: Host, but: Answers, line: str) -> None:
    code, output = host.check("--gpu", but=but)

    assert [found for found in output.splitlines() if not found.startswith("ok ")] == [line]
    assert code == 0


def test_hosts_that_do_not_answer(host: Host) -> None:
    listing = {
        "node ls --quiet": "me\nother",
        "node inspect --format {{.Status.Addr}}:7946 other": "127.0.0.99:1",
    }

    code, output = host.check(but={"docker": listing})

    assert (
        "missing  ports: no answer from 127.0.0.99:1: "
        "open 2377/tcp, 7946/tcp, 7946/udp and 4789/udp between all hosts" in output.splitlines()
    )
    assert code == 1


def test_a_worker_asks_managers_and_looks_after_its_own(host: Host) -> None:
    worker = {
        "info --format {{.Swarm.ControlAvailable}}": "false",
        "info --format {{range .Swarm.RemoteManagers}}{{println .Addr}}{{end}}": "127.0.0.99:1",
    }

    code, output = host.check(but={"docker": worker})

    assert "no answer from 127.0.0.99:1" in output
    assert "label" not in output
    assert code == 1


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        (
            {"MODELS": ""},
            "MODELS is not set: export MODELS=/srv/models, a folder that every host has under this path",
        ),
        ({"MODELS": "models"}, "MODELS=models is no absolute path: export MODELS={here}/models"),
        (
            {"MODEL": "plates"},
            "there is no folder {there}/plates: copy it here, or mount the file system that has it",
        ),
    ],
)
def test_models_that_are_not_there(host: Host, environment: dict[str, str], line: str) -> None:
    host.environment |= environment

    code, output = host.check()

    here, there = Path.cwd(), host.directory / "models"
    assert output.splitlines()[-1] == f"missing  models: {line.format(here=here, there=there)}"
    assert code == 1


@pytest.mark.parametrize(("place", "mode"), [("pedestrian", 0o750), ("pedestrian/config.json", 0o600)])
def test_models_that_containers_cannot_read(host: Host, place: str, mode: int) -> None:
    models = host.directory / "models"
    (models / place).chmod(mode)

    code, output = host.check()

    line = f"missing  models: user 10001 cannot read {models / place}: chmod -R o+rX {models}"
    assert output.splitlines()[-1] == line
    assert code == 1


def test_an_option_that_there_is_not(host: Host) -> None:
    done = subprocess.run([SCRIPT, "--gpus"], capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: check-host [--gpu]\n"


@pytest.mark.parametrize("script", ["check-host", "has-started"])
def test_shellcheck_finds_nothing(script: str) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed (Debian: apt install shellcheck)")
    done = subprocess.run(
        ["shellcheck", SCRIPT.with_name(script)], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout == ""
