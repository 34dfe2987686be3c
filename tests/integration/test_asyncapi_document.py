"""The AsyncAPI initiative's own parser takes docs/asyncapi.yaml; it is fetched with npm."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.contracts import DOCS, DOCUMENT_FILE

PARSER = "@asyncapi/parser@3.6.6"
# Prints all that the parser has to say of the files it is given, as JSON.
PROGRAM = """
import { Parser, fromFile } from '@asyncapi/parser'
const said = []
for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await fromFile(new Parser(), file).parse()
  said.push({ isRead: document !== undefined, diagnostics })
}
console.log(JSON.stringify(said))
"""
# That there is an AsyncAPI 3.1 is no fault of a document of 3.0.
PASSED_OVER = {"asyncapi-latest-version"}


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the parser, and a program that runs it."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("npm is not installed, which brings AsyncAPI's parser (Debian: apt install npm)")
    directory = tmp_path_factory.mktemp("parser")
    install = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", PARSER]
    subprocess.run(install, cwd=directory, check=True, timeout=150)
    (directory / "parse.mjs").write_text(PROGRAM)
    return directory


@pytest.mark.slow
def test_the_document_is_asyncapi_and_what_is_not_is_found_out(parser: Path, tmp_path: Path) -> None:
    shutil.copytree(DOCS / "schemas", tmp_path / "schemas")
    text = DOCUMENT_FILE.read_text(encoding="utf-8")
    broken = {
        "an operation of no kind": text.replace("action: receive", "action: take"),
        "a schema that is not there": text.replace("schemas/detections.schema.json", "schemas/none.json"),
    }
    files = [DOCUMENT_FILE]
    for name, changed in broken.items():
        assert changed != text
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(changed, encoding="utf-8")
    command = ["node", "parse.mjs", *map(str, files)]
    done = subprocess.run(command, cwd=parser, capture_output=True, text=True, check=True, timeout=150)
    ours, *others = json.loads(done.stdout)

    assert ours["isRead"]
    assert problems(ours) == []
    for name, said in zip(broken, others, strict=True):
        assert problems(said), name


def problems(said: dict[str, Any]) -> list[str]:
    """What the parser says of a file that is worth mending."""
    return [
        f"{'.'.join(map(str, one['path']))}: {one['message']}"
        for one in said["diagnostics"]
        if one["code"] not in PASSED_OVER
    ]
