"""Takes single files out of packages of PyPI, Debian and npm, by the ordinary clients; installs nothing.

So framebus holds no address: indexes, mirrors, proxies and certificates are what the clients are set to.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from framebus.errors import SampleError

BytesCallback = Callable[[int], None]
"""Is told, several times a second, how many bytes have been written so far."""

_POLL_S = 0.1
_COMPLAINTS = ("ERROR:", "E:", "W:")


class PackageClient(Protocol):
    """Gets one kind of package and takes files out of it."""

    def missing(self) -> str | None:
        """What this machine lacks to run the client, with the remedy; None if it can run."""
        ...

    def download(self, package: str, folder: Path, on_bytes: BytesCallback) -> Path:
        """Brings a package into an empty folder and returns its file.

        Raises:
            SampleError: The client failed; says why and what to do.
        """
        ...

    def extract(self, archive: Path, members: Mapping[str, Path]) -> None:
        """Writes members of a package, named by their path in it, to the files given for them.

        Raises:
            SampleError: A member is not in there, or the package cannot be read.
        """
        ...


class Pip:
    """Wheels, by the pip of this Python. A package is written `name==version`."""

    def missing(self) -> str | None:
        """See `PackageClient`."""
        if importlib.util.find_spec("pip"):
            return None
        return f"this Python has no pip; add it with `{sys.executable} -m ensurepip`"

    def download(self, package: str, folder: Path, on_bytes: BytesCallback) -> Path:
        """See `PackageClient`."""
        # -P: a module of the user's in the working directory must not pass for one of pip's.
        pip = [sys.executable, "-P", "-m", "pip", "download", "--disable-pip-version-check", "--no-input"]
        options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
        failed, said = _run([*pip, *options, package], folder, on_bytes)
        if failed:
            raise SampleError(
                f"pip cannot get {package}: {_complaints(said)}; "
                "check the network, and the package index and proxy in `pip config list`"
            )
        return _only_file(folder, "*.whl")

    def extract(self, archive: Path, members: Mapping[str, Path]) -> None:
        """See `PackageClient`."""
        try:
            with zipfile.ZipFile(archive) as wheel:
                for member, path in members.items():
                    with wheel.open(member) as source:
                        _write(source, path)
        except (KeyError, zipfile.BadZipFile) as error:
            raise SampleError(f"{archive.name} is not the wheel that was expected: {error}") from error


class Apt:
    """Debian packages, by apt-get and dpkg-deb, as any user; the system's own lists are left alone."""

    def missing(self) -> str | None:
        """See `PackageClient`."""
        if shutil.which("apt-get") and shutil.which("dpkg-deb"):
            return None
        return "there is no apt here; it comes with Debian and Ubuntu"

    def download(self, package: str, folder: Path, on_bytes: BytesCallback) -> Path:
        """See `PackageClient`. Where the system's package lists do not do, it brings lists of its own."""
        with tempfile.TemporaryDirectory(prefix="framebus-apt-") as state:
            # Sandbox: as root, apt would fetch as the user _apt, who may not enter a private folder.
            apt_get = ["apt-get", "-o", f"Dir::Cache={state}", "-o", "APT::Sandbox::User=root"]
            failed, said = _run([*apt_get, "download", package], folder, on_bytes, cwd=folder)
            if failed:
                apt_get += ["-o", f"Dir::State::Lists={state}"]
                _, said = _run([*apt_get, "update"], folder, on_bytes)
                failed, answer = _run([*apt_get, "download", package], folder, on_bytes, cwd=folder)
                said += answer
        if failed:
            raise SampleError(
                f"apt-get cannot get {package}: {_complaints(said)}; "
                "check the network and apt's sources (`apt-get update` shows them)"
            )
        return _only_file(folder, "*.deb")

    def extract(self, archive: Path, members: Mapping[str, Path]) -> None:
        """See `PackageClient`."""
        command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            try:
                _extract_tar(process.stdout, members, archive)
            finally:
                process.kill()


class Npm:
    """Packages of npm. One is written `name@version`; its files lie in the folder `package`."""

    def missing(self) -> str | None:
        """See `PackageClient`."""
        if shutil.which("npm"):
            return None
        return "there is no npm here; install Node.js with npm (Debian: apt install npm)"

    def download(self, package: str, folder: Path, on_bytes: BytesCallback) -> Path:
        """See `PackageClient`."""
        # A cache of its own: it grows as the package comes, which npm writes to the folder at the end only.
        with tempfile.TemporaryDirectory(prefix="framebus-npm-") as cache:
            npm = ["npm", "pack", "--ignore-scripts", "--loglevel", "error", "--cache", cache]
            failed, said = _run(
                [*npm, "--pack-destination", str(folder), package], Path(cache), on_bytes, cwd=folder
            )
        if failed:
            complaints = " ".join(re.findall(r"^npm (?:error|ERR!) (.+)", said, re.MULTILINE)[:4])
            raise SampleError(
                f"npm cannot get {package}: {complaints or said.strip()[-300:]}; "
                "check the network, and the registry and proxy in `npm config list`"
            )
        return _only_file(folder, "*.tgz")

    def extract(self, archive: Path, members: Mapping[str, Path]) -> None:
        """See `PackageClient`."""
        with archive.open("rb") as file:
            _extract_tar(file, members, archive)


CLIENTS: Mapping[str, PackageClient] = {"pip": Pip(), "apt": Apt(), "npm": Npm()}


def _run(
    command: Sequence[str], folder: Path, on_bytes: BytesCallback, *, cwd: Path | None = None
) -> tuple[int, str]:
    """Runs a client that writes into a folder, watching it grow; returns its exit status and what it said."""
    environment = os.environ | {"LC_ALL": "C.UTF-8", "TMPDIR": str(folder)}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_S)
                on_bytes(_size_bytes(folder))
            on_bytes(_size_bytes(folder))
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        return process.returncode, output.read().decode(errors="replace")


def _size_bytes(folder: Path) -> int:
    total = 0
    # The client renames and deletes meanwhile; rglob would end at a folder that is gone.
    for directory, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                total += Path(directory, name).stat().st_size
    return total


def _complaints(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.startswith(_COMPLAINTS)]
    return " ".join(lines[-3:]) or said.strip()[-300:]


def _only_file(folder: Path, pattern: str) -> Path:
    files = list(folder.glob(pattern))
    if len(files) != 1:
        raise SampleError(f"wanted one {pattern} from the package client, got {len(files)}; try again")
    return files[0]


def _extract_tar(stream: IO[bytes], members: Mapping[str, Path], archive: Path) -> None:
    """Reads a tar file, packed or not, until it has all the members."""
    missing = dict(members)
    try:
        with tarfile.open(fileobj=stream, mode="r|*") as tar:
            for entry in tar:
                name = entry.name.removeprefix("./")
                if name in missing and (source := tar.extractfile(entry)):
                    _write(source, missing.pop(name))
                if not missing:
                    break
    except tarfile.TarError as error:
        raise SampleError(f"{archive.name} is not the package that was expected: {error}") from error
    if missing:
        raise SampleError(f"{archive.name} is not the package that was expected: no {', '.join(missing)}")


def _write(source: IO[bytes], path: Path) -> None:
    with path.open("wb") as target:
        shutil.copyfileobj(source, target)
