import hashlib
import io
import json
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from framebus.errors import SampleError
from framebus.package_files import Apt, Npm, Pip

needs_apt = pytest.mark.skipif(Apt().missing() is not None, reason="apt is not here")
needs_npm = pytest.mark.skipif(Npm().missing() is not None, reason="npm is not here")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        "Package: tiny\nVersion: 1.0\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: tiny\n"
    )
    (tree / "usr" / "share").mkdir(parents=True)
    (tree / "usr" / "share" / "a.avi").write_bytes(b"a video")
    (tree / "usr" / "share" / "b.txt").write_bytes(b"a text")
    path = tmp_path / "tiny_1.0_all.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, path], check=True, capture_output=True)
    return path


@needs_apt
def test_takes_files_out_of_a_debian_package(package: Path, tmp_path: Path) -> None:
    Apt().extract(package, {"usr/share/a.avi": tmp_path / "a", "usr/share/b.txt": tmp_path / "b"})
    assert (tmp_path / "a").read_bytes() == b"a video"
    assert (tmp_path / "b").read_bytes() == b"a text"


@needs_apt
@pytest.mark.parametrize("member", ["usr/share/gone.avi", "usr/share"])
def test_names_what_a_debian_package_lacks(package: Path, tmp_path: Path, member: str) -> None:
    with pytest.raises(
        SampleError, match=rf"tiny_1\.0_all\.deb is not the package that was expected: no {member}"
    ):
        Apt().extract(package, {"usr/share/a.avi": tmp_path / "a", member: tmp_path / "b"})


@needs_apt
def test_refuses_what_is_no_debian_package(tmp_path: Path) -> None:
    broken = tmp_path / "broken.deb"
    broken.write_bytes(b"not a package")
    with pytest.raises(SampleError, match=r"broken\.deb is not the package that was expected"):
        Apt().extract(broken, {"usr/share/a.avi": tmp_path / "a"})


def test_refuses_what_is_no_wheel(tmp_path: Path) -> None:
    broken = tmp_path / "broken.whl"
    broken.write_bytes(b"not a wheel")
    with pytest.raises(
        SampleError, match=r"broken\.whl is not the wheel that was expected: File is not a zip file"
    ):
        Pip().extract(broken, {"a": tmp_path / "a"})


def test_says_that_the_index_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))  # bound, but nobody listens
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{refusing.getsockname()[1]}/simple")
        monkeypatch.setenv("PIP_RETRIES", "0")
        with pytest.raises(SampleError, match=r"pip cannot get tiny-model==1\.0: .*check the network"):
            Pip().download("tiny-model==1.0", tmp_path, lambda _: None)


@pytest.fixture
def apt_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is apt's only source; of its lists apt has none yet."""
    source, lists = tmp_path / "source", tmp_path / "lists"
    source.mkdir()
    lists.mkdir()
    (source / "Packages").touch()
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] copy:{source} ./\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::SourceList "{tmp_path}/sources.list"; Dir::Etc::SourceParts "/dev/null";\n'
        f'Dir::State::Lists "{lists}";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return source


@needs_apt
def test_brings_lists_of_its_own_where_those_of_the_system_do_not_do(
    apt_source: Path, package: Path, tmp_path: Path
) -> None:
    data = package.read_bytes()
    (apt_source / package.name).write_bytes(data)
    (apt_source / "Packages").write_text(
        "Package: tiny\nVersion: 1.0\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: tiny\n"
        f"Filename: ./{package.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
    )
    folder = tmp_path / "download"
    folder.mkdir()
    assert Apt().download("tiny", folder, lambda _: None).read_bytes() == data
    assert list((tmp_path / "lists").iterdir()) == []


@needs_apt
@pytest.mark.usefixtures("apt_source")
def test_says_that_apt_has_no_such_package(tmp_path: Path) -> None:
    folder = tmp_path / "download"
    folder.mkdir()
    with pytest.raises(
        SampleError, match=r"apt-get cannot get tiny: .*Unable to locate package tiny.*apt-get update"
    ):
        Apt().download("tiny", folder, lambda _: None)


@pytest.fixture
def npm_package(tmp_path: Path) -> Path:
    path = tmp_path / "tiny-1.0.0.tgz"
    manifest = json.dumps({"name": "tiny", "version": "1.0.0"}).encode()
    with tarfile.open(path, "w:gz") as archive:
        for name, data in {"package.json": manifest, "models/a.bin": b"weights" * 1000}.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *values: object) -> None:
        """Says nothing."""


@pytest.fixture
def npm_registry(tmp_path: Path, npm_package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A registry on this machine that has one package."""
    site = tmp_path / "registry"
    site.mkdir()
    (site / npm_package.name).write_bytes(npm_package.read_bytes())
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        version = {"name": "tiny", "version": "1.0.0", "dist": {"tarball": f"{address}/{npm_package.name}"}}
        (site / "tiny").write_text(json.dumps({"name": "tiny", "versions": {"1.0.0": version}}))
        monkeypatch.setenv("npm_config_registry", address)
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


@needs_npm
@pytest.mark.usefixtures("npm_registry")
def test_takes_files_out_of_an_npm_package(npm_package: Path, tmp_path: Path) -> None:
    told: list[int] = []
    folder = tmp_path / "download"
    folder.mkdir()
    archive = Npm().download("tiny@1.0.0", folder, told.append)
    assert archive.read_bytes() == npm_package.read_bytes()
    assert list(folder.iterdir()) == [archive]
    assert told[-1] >= npm_package.stat().st_size
    Npm().extract(archive, {"package/models/a.bin": tmp_path / "a"})
    assert (tmp_path / "a").read_bytes() == b"weights" * 1000
    with pytest.raises(SampleError, match=r"tiny-1\.0\.0\.tgz is not the package .*: no package/gone\.bin"):
        Npm().extract(archive, {"package/gone.bin": tmp_path / "b"})


@needs_npm
@pytest.mark.usefixtures("npm_registry")
def test_says_that_the_registry_has_no_such_package(tmp_path: Path) -> None:
    folder = tmp_path / "download"
    folder.mkdir()
    with pytest.raises(SampleError, match=r"npm cannot get gone@1\.0\.0: .*404.*check the network"):
        Npm().download("gone@1.0.0", folder, lambda _: None)


RESTLESS_CLIENT = """#!{python}
import os, pathlib, shutil, sys, time
cache = pathlib.Path(sys.argv[sys.argv.index("--cache") + 1])
folder = pathlib.Path(sys.argv[sys.argv.index("--pack-destination") + 1])
end = time.monotonic() + 1
while time.monotonic() < end:
    for number in range(300):
        (cache / str(number) / "a").mkdir(parents=True)
    for number in range(300):
        shutil.rmtree(cache / str(number))
(folder / "tiny.tgz").touch()
"""


def test_watches_a_client_that_deletes_folders_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = tmp_path / "npm"
    client.write_text(RESTLESS_CLIENT.format(python=sys.executable))
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    told: list[int] = []
    folder = tmp_path / "download"
    folder.mkdir()
    assert Npm().download("tiny@1.0.0", folder, told.append) == folder / "tiny.tgz"
    assert told


def test_refuses_what_is_no_npm_package(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tgz"
    broken.write_bytes(b"not a package")
    with pytest.raises(SampleError, match=r"broken\.tgz is not the package that was expected"):
        Npm().extract(broken, {"package/a": tmp_path / "a"})


def test_says_how_to_get_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Npm().missing() == "there is no npm here; install Node.js with npm (Debian: apt install npm)"


def test_says_that_this_python_has_no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Pip().missing() is None
    monkeypatch.setitem(sys.modules, "pip", None)
    assert Pip().missing() == f"this Python has no pip; add it with `{sys.executable} -m ensurepip`"
