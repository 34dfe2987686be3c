"""Every program on an Apache Kafka with TLS, passwords and ACLs: what works, and what is said of the rest."""

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka.admin import ResourceType  # type: ignore[attr-defined]  # without __all__
from kafka import KafkaProducer

from tests.integration.framebus_process import FramebusProcess
from tests.integration.secure_programs import SecurePrograms, as_variables, documented_acls, refusal
from tests.kafka import unique
from tests.secure_kafka import ADMIN, Certificates, SecureKafka, read_acls

TOPICS_CREATE, PRODUCE, CONSUME = ["topics", "create"], ["produce", "--frames", "1"], ["consume"]
TAIL, STATUS, DEAD_LIST = ["tail"], ["status", "--seconds", "0.5"], ["dead", "list"]
PROGRAMS = [TOPICS_CREATE, PRODUCE, CONSUME, TAIL, STATUS, DEAD_LIST]
USERS = [
    "framebus-topics",
    "framebus-produce",
    "framebus-consume",
    "framebus-api",
    "framebus-watch",
    "framebus-dead",
]


@pytest.fixture(scope="module")
def kafka(_apache_kafka: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with SecureKafka(tmp_path_factory.mktemp("secure")) as kafka:
        for user in USERS:
            kafka.add_user(user)
            kafka.allow(documented_acls(user))
        with SecurePrograms(kafka, tmp_path_factory.mktemp("first")) as programs:
            created = programs.run("framebus-topics", *TOPICS_CREATE)
        assert len(re.findall("^created ", created.stdout, re.MULTILINE)) == 5, created.stderr
        yield kafka


@pytest.fixture
def programs(kafka: SecureKafka, tmp_path: Path) -> Iterator[SecurePrograms]:
    with SecurePrograms(kafka, tmp_path) as programs:
        yield programs


def told(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What a command says of its end."""
    lines = (done.stdout + done.stderr).splitlines()
    return [line for line in lines if line.startswith(("problem: ", "error: ", '{"program": "framebus"'))]


def complete(programs: SecurePrograms, program: list[str]) -> list[str]:
    return [*program, programs.camera("gate")] if program == PRODUCE else program


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_every_program_works_with_what_the_page_allows_its_user(
    kafka: SecureKafka, programs: SecurePrograms, tmp_path: Path, delivery: str
) -> None:
    camera, drawn = unique("gate"), tmp_path / "drawn"
    consumer = programs.start("framebus-consume", *CONSUME, environment={"FRAMEBUS_DELIVERY": delivery})
    consumer.until_ready()
    produced = programs.run("framebus-produce", *PRODUCE, programs.camera(camera), "--json")
    assert json.loads(produced.stdout)["published"] == 1, produced.stderr
    publish_rubbish(kafka, camera)
    consumer.until(
        lambda: consumer.metric("framebus_dead_letters_total", camera=camera) == 1, "a dead letter"
    )

    of_camera = ("--camera", camera)
    seen = programs.run(
        "framebus-watch", *TAIL, *of_camera, "--from-start", "--count=1", "--json", f"--annotate={drawn}"
    )
    status = programs.run("framebus-watch", *STATUS, "--json")
    dead = programs.run("framebus-dead", *DEAD_LIST, *of_camera, "--json")
    replayed = programs.run("framebus-dead", "dead", "replay", *of_camera, "--yes")

    api = programs.start("framebus-api", "api")
    api.until_ready()
    assert api.get("/models/pedestrian/load")["success"]

    assert json.loads(seen.stdout)["sensorId"] == camera, seen.stderr
    assert len(list(drawn.iterdir())) == 1
    assert (status.returncode, json.loads(status.stdout)["problems"]) == (0, []), status.stderr
    assert json.loads(dead.stdout)["camera"] == camera, dead.stderr
    assert replayed.returncode == 0, replayed.stderr
    consumer.until(lambda: consumer.metric("framebus_dead_letters_total", camera=camera) == 2, "it once more")
    consumer.stop()


def publish_rubbish(kafka: SecureKafka, camera: str) -> None:
    user = "framebus-produce"
    with closing(
        KafkaProducer(
            bootstrap_servers=kafka.bootstrap_servers,
            security_protocol="SASL_SSL",
            ssl_cafile=str(kafka.certificates.authority),
            sasl_mechanism="SCRAM-SHA-512",
            sasl_plain_username=user,
            sasl_plain_password=kafka.password(user),
        )
    ) as producer:
        producer.send("frames", key=camera.encode(), value=b"no picture").get(30)


@pytest.mark.parametrize(
    ("user", "program", "number"),
    [
        pytest.param(user, program, number, id=f"{user}-{number}")
        for user, program in [
            ("framebus-produce", PRODUCE),
            ("framebus-consume", CONSUME),
            ("framebus-watch", STATUS),
        ]
        for number in range(len(documented_acls(user)))
    ],
)
def test_each_permission_of_the_page_is_needed_and_named_when_it_is_missing(
    kafka: SecureKafka, programs: SecurePrograms, user: str, program: list[str], number: int
) -> None:
    name = f"{user}-without-{number}"
    acls = documented_acls(user, name)
    missing = acls.pop(number)
    kafka.add_user(name)
    kafka.allow(acls)

    done = programs.run(name, *complete(programs, program), environment={"FRAMEBUS_DELIVERY": "exactly_once"})

    assert done.returncode in (1, 3)  # 3: status has found a problem
    assert "Traceback" not in done.stderr
    kind = ResourceType(missing.restype).name.replace("_", " ").lower()
    assert any(f"{kind} {missing.name}" in line for line in told(done)), done.stdout + done.stderr


@pytest.mark.parametrize("program", [PRODUCE, CONSUME], ids=" ".join)
def test_a_topic_that_a_user_may_see_and_not_use_is_named(
    kafka: SecureKafka, programs: SecurePrograms, program: list[str]
) -> None:
    name = f"{program[0]}-onlooker"
    kafka.add_user(name)
    kafka.allow(acl for acl in documented_acls("framebus-consume", name) if acl.name != "frames")
    kafka.allow(read_acls(f"--allow-principal User:{name} --operation Describe --topic frames"))

    done = programs.run(name, *complete(programs, program))

    assert re.search("topic frames: .*Topic authorization failed", refusal(done))


def test_a_user_who_may_publish_nowhere_is_told(kafka: SecureKafka, programs: SecurePrograms) -> None:
    done = programs.run("framebus-watch", *complete(programs, PRODUCE))

    assert "needs Write on the topics that it publishes to" in refusal(done)


@pytest.mark.parametrize(
    ("user", "program"),
    [*((ADMIN, program) for program in PROGRAMS), ("nobody", TOPICS_CREATE)],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_who_has_another_password_or_is_not_known_is_refused_at_once(
    kafka: SecureKafka, programs: SecurePrograms, user: str, program: list[str]
) -> None:
    wrong = {"sasl.username": user, "sasl.password.file": str(kafka.password_file("framebus-watch"))}

    done = programs.run(ADMIN, *complete(programs, program), environment=as_variables(wrong))

    line = refusal(done)
    assert "SASL authentication error" in line
    assert "check sasl.username and sasl.password" in line
    assert kafka.bootstrap_servers in line


@pytest.mark.parametrize("program", [TOPICS_CREATE, TAIL], ids=" ".join)
@pytest.mark.parametrize("fault", ["authority", "host name"])
def test_a_broker_that_cannot_prove_who_it_is_is_refused(
    kafka: SecureKafka, programs: SecurePrograms, tmp_path: Path, program: list[str], fault: str
) -> None:
    stranger = Certificates(tmp_path / "stranger").authority
    port = kafka.bootstrap_servers.rsplit(":", 1)[1]
    wrong = {
        "authority": as_variables({"ssl.ca.location": str(stranger)}),
        # The certificate is for 127.0.0.1.
        "host name": {"FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": f"localhost:{port}"},
    }

    done = programs.run(ADMIN, *program, environment=wrong[fault])

    line = refusal(done)
    assert "certificate verify failed" in line
    assert "check ssl.ca.location, and which host name the broker's certificate is for" in line


@pytest.mark.parametrize("program", [PRODUCE, TAIL], ids=" ".join)
def test_who_has_no_certificate_where_one_is_asked_for_is_refused_at_once(
    kafka: SecureKafka, programs: SecurePrograms, program: list[str]
) -> None:
    environment = {
        "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": kafka.certified_servers,
        **as_variables({"security.protocol": "SSL"}),
    }

    done = programs.run(ADMIN, *complete(programs, program), environment=environment)

    assert "check ssl.certificate.location and ssl.key.location" in refusal(done)


def test_a_certificate_with_an_encrypted_key_serves_as_user_and_password(
    kafka: SecureKafka, programs: SecurePrograms, tmp_path: Path
) -> None:
    certificate = str(kafka.certificates.issue("framebus-topics", key_password="of the key"))
    (tmp_path / "key-password").write_text("of the key\n")
    environment = {
        "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": kafka.certified_servers,
        **as_variables(
            {
                "security.protocol": "SSL",
                "ssl.certificate.location": certificate,
                "ssl.key.location": certificate,
                "ssl.key.password.file": str(tmp_path / "key-password"),
            }
        ),
    }

    done = programs.run("framebus-watch", *TOPICS_CREATE, environment=environment)

    assert done.returncode == 0, done.stderr
    assert re.search(r"^exists +frames ", done.stdout, re.MULTILINE)


def test_plain_text_on_a_port_for_tls_ends_with_what_to_check(
    kafka: SecureKafka, programs: SecurePrograms
) -> None:
    environment = {"FRAMEBUS_KAFKA__PATIENCE_S": "5", **as_variables({"security.protocol": "PLAINTEXT"})}

    def run(program: list[str]) -> subprocess.CompletedProcess[str]:
        return programs.run(ADMIN, *program, environment=environment)

    with ThreadPoolExecutor() as pool:  # for each of them waits until nobody has answered
        for done in pool.map(run, (TOPICS_CREATE, CONSUME, TAIL)):
            assert "or mend the security options" in refusal(done)


def test_another_password_leaves_alone_who_is_connected_and_ends_who_connects_again(
    kafka: SecureKafka, programs: SecurePrograms
) -> None:
    kafka.add_user("rotating")
    kafka.allow(documented_acls("framebus-consume", "rotating"))
    camera = unique("gate")
    consumer = programs.start("rotating", *CONSUME)

    def detect(count: int) -> None:
        assert programs.run("framebus-produce", *PRODUCE, programs.camera(camera)).returncode == 0
        consumer.until(
            lambda: consumer.metric("framebus_frames_total", camera=camera) == count, f"frame {count}"
        )

    consumer.until_ready()
    detect(1)  # it is connected to all that it needs
    kafka.add_user("rotating")
    detect(2)

    kafka.node.stop()
    kafka.node.start()

    assert consumer.wait() == 1
    assert "check sasl.username and sasl.password" in consumer.log()[-1]["event"]
    programs.start("rotating", *CONSUME).until_ready()


@pytest.mark.parametrize("is_known", [True, False], ids=["accepted", "refused"])
def test_no_password_shows_in_what_programs_say_however_much_that_is(
    kafka: SecureKafka, programs: SecurePrograms, tmp_path: Path, is_known: bool
) -> None:
    talkative = {"FRAMEBUS_LOG__LEVEL": "debug", **as_variables({"debug": "all"})}
    environment = talkative if is_known else talkative | as_variables({"sasl.username": "nobody"})
    said = []
    users = [user for user in USERS if user != "framebus-api"]  # which says nothing without a client
    for user, program in zip(users, (TOPICS_CREATE, PRODUCE, CONSUME, STATUS, DEAD_LIST), strict=True):
        if program == CONSUME and is_known:
            said.append(said_by_consumer(programs.start(user, *program, environment=environment), tmp_path))
        else:
            done = programs.run(user, *complete(programs, program), environment=environment)
            assert (done.returncode != 1) == is_known, done.stderr
            said.append(done.stdout + done.stderr)

    assert "sasl.password = [redacted]" in "".join(said)
    for user in USERS:
        assert not any(kafka.password(user) in text for text in said)


def said_by_consumer(consumer: FramebusProcess, directory: Path) -> str:
    consumer.until_ready()
    address = "http://{host}:{port}".format_map(consumer.until_logged("http port open"))
    with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:
        metrics: str = answer.read().decode()
    consumer.stop()
    return metrics + "".join(file.read_text() for file in directory.glob("consume-*"))
