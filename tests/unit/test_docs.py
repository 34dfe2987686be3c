"""The pages against the code: links, what is generated, and the names of commands, options and settings."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel
from typer.core import TyperGroup
from typer.main import get_command

from framebus.cli import app
from framebus.settings import DELIMITER, PREFIX, Settings
from tests.documented_commands import PAGES, ROOT, commands_of
from tests.tools import cli_page, messages_page, metrics_page, scaling_page, settings_page

ALL_PAGES = {**PAGES, **{name: ROOT / name for name in ("CHANGELOG.md", "infra/kafka/README.md")}}


@pytest.mark.parametrize("page", [settings_page, metrics_page, cli_page, messages_page, scaling_page])
def test_a_written_page_says_what_is(page: ModuleType) -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.render(), (
        f"write it again: python -m {page.__name__}"
    )


@pytest.mark.parametrize("page", ALL_PAGES.values(), ids=ALL_PAGES)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", target],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}

    assert len(pages) > len(PAGES)  # with those outside docs/
    for page, text in pages.items():
        assert re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"?(?:https?:)?//[^>]*>", text) == [], page


def test_the_site_has_what_pages_link_to_outside_of_docs(site: Path) -> None:
    engines = (site / "engines.html").read_text(encoding="utf-8")

    assert 'href="repository/models/index.html"' in engines
    assert 'href="../../engines.html"' in (site / "repository/models/index.html").read_text(encoding="utf-8")


def spans(page: str) -> Iterator[str]:
    """What a page calls by name: its commands, and what stands between backticks in its text."""
    yield from (command.text for command in commands_of(page))
    text = re.sub(r"^```.*?^```", "", PAGES[page].read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`([^`\n]+)`", text)


@pytest.mark.parametrize("page", PAGES)
def test_every_framebus_command_that_is_named_is_one(page: str) -> None:
    for span in spans(page):
        for words in re.findall(r"(?:^|[|;&(] *|\w=\S+ )framebus((?: [^\s|&>;)]+(?:\|\w+)*)+)", span):
            assert unknown(words.split()) is None, f"{span}: {unknown(words.split())}"


def unknown(words: list[str]) -> str | None:
    """The first word that is no command or option, or None."""
    command: Any = get_command(app)
    for word in words:
        if word.startswith("-") and word != "-":  # which is standard output
            options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
            if word.partition("=")[0].rstrip(",") not in options | {"--help"}:
                return word
        elif isinstance(command, TyperGroup) and not word.isupper():
            children = [command.commands.get(name) for name in word.split("|")]
            if None in children:
                return word
            command = children[0]
    return None


def setting_names(group: type[BaseModel] = Settings, prefix: str = PREFIX) -> Iterator[str]:
    """The variable of every setting, and of every group of them."""
    for name, field in group.model_fields.items():
        variable = f"{prefix}{name}".upper()
        yield variable
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from setting_names(field.annotation, variable + DELIMITER)


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_that_is_named_is_one(page: str) -> None:
    known = {*setting_names(), "FRAMEBUS_TEST_BROKER"}  # of the tests, not of the programs
    text = PAGES[page].read_text(encoding="utf-8")

    for name in re.findall(r"FRAMEBUS_[A-Z_]+[A-Z](?![A-Z_])", text):
        is_client_option = re.match(r"FRAMEBUS_KAFKA__(CONSUMER_|PRODUCER_)?OPTIONS__", name)
        assert name in known or is_client_option, f"{page} names {name}"
