"""What Apache Kafka needs from Java: a virtual machine, and Kafka's jars, which Maven brings."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from framebus.errors import SettingsError, TransportError
from framebus.local_broker.process import Report, no_report
from framebus.resources import resource

OLDEST_JAVA = 17  # what Kafka 4 brokers are compiled for
_MAVEN_TIMEOUT_S = 900
_TANSU_INSTEAD = "or use --broker tansu, which needs no Java"


def find_java() -> str:
    """Finds the `java` program, `JAVA_HOME` first, then `PATH`, and returns its full path.

    Raises:
        SettingsError: There is none, or it is older than Java 17.
    """
    install = (
        f"install Java {OLDEST_JAVA} or newer (Debian: apt install openjdk-17-jre-headless), "
        f"set JAVA_HOME to it if it is not the default, {_TANSU_INSTEAD}"
    )
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home, "bin").resolve())) if home else shutil.which("java")
    if java is None:
        where = f"in JAVA_HOME={home}" if home else "on the PATH"
        raise SettingsError(f"the apache broker needs Java, and there is no java {where}; {install}")
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', answer)  # 1.8.0_392 is Java 8, 17.0.15 is Java 17
    if version is None:
        raise SettingsError(f"`{java} -version` does not say which Java it is: {answer.strip()!r}; {install}")
    if int(version[1]) < OLDEST_JAVA:
        raise SettingsError(
            f"the apache broker needs Java {OLDEST_JAVA}; {java} is Java {version[1]}; {install}"
        )
    return java


def jars_directory(cache_directory: Path, pom: Path | None = None) -> Path:
    """Full path of where the jars of this version of the pom are cached, whether they are there or not."""
    pom = pom or resource("infra/kafka/pom.xml")
    return cache_directory.resolve() / f"kafka-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"


def resolve_jars(cache_directory: Path, report: Report = no_report, pom: Path | None = None) -> Path:
    """Returns the directory of Kafka's jars, letting Maven bring them unless they are cached.

    Args:
        cache_directory: Where downloads are kept.
        report: Told when Maven starts.
        pom: Names the jars; by default `infra/kafka/pom.xml`.

    Raises:
        SettingsError: Maven is not installed.
        TransportError: Maven could not bring the jars.
    """
    pom = pom or resource("infra/kafka/pom.xml")
    jars = jars_directory(cache_directory, pom)
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise SettingsError(
            "the apache broker's jars are not cached yet, and Maven, which brings them, is not on the PATH; "
            f"install it (Debian: apt install maven), {_TANSU_INSTEAD}"
        )
    report("resolving the jars of Apache Kafka with Maven (about 45 MB, only once)")
    cache_directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kafka-", suffix=".part", dir=cache_directory) as partial:
        _copy_dependencies(maven, pom, Path(partial, "jars"))
        _move_into_place(Path(partial, "jars"), jars)
    return jars


def _copy_dependencies(maven: str, pom: Path, directory: Path) -> None:
    command = [
        maven,
        "--batch-mode",
        "--quiet",
        "--strict-checksums",
        "-Dstyle.color=never",
        "--file",
        str(pom),
    ]
    command += ["dependency:copy-dependencies", f"-DoutputDirectory={directory}", "-DincludeScope=runtime"]
    remedy = f"check the network and Maven's settings (proxy, mirror), {_TANSU_INSTEAD}"
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_MAVEN_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TransportError(f"Maven did not bring Kafka's jars in {_MAVEN_TIMEOUT_S} s; {remedy}") from error
    if done.returncode != 0 or not any(directory.glob("*.jar")):
        why = done.stdout.splitlines()[:5]
        raise TransportError("\n  ".join([f"Maven cannot bring Kafka's jars; {remedy}; it says:", *why]))


def _move_into_place(partial: Path, final: Path) -> None:
    try:
        partial.rename(final)
    except OSError:
        if not final.is_dir():  # otherwise another process has just brought the same jars
            raise
