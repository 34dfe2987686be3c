"""Every command on the pages is run, or is named as one that cannot be, with the reason."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from framebus.environment import load_settings
from framebus.local_broker import BrokerKind, LocalBroker, local_broker, why_no_apache
from framebus.local_broker.ports import free_ports
from tests.documented_commands import PAGES, Command, commands_of, read_page
from tests.e2e.documented_stage import Stage
from tests.e2e.documented_tables import BEFORE, NOT_RUN, REAL_MODEL, SUBSTITUTES, NotRun

COMMANDS = [command for page in PAGES for command in commands_of(page)]
TOOLS = ("curl", "jq", "kcat", "openssl")


def is_named(one: NotRun, command: Command) -> bool:
    return (not one.pages or command.page in one.pages) and any(
        f"{command.text} ".startswith(f"{begin} ") for begin in one.commands
    )


def is_run(command: Command) -> bool:
    return not any(is_named(one, command) for one in NOT_RUN)


@pytest.fixture(scope="module")
def kafka() -> Iterator[LocalBroker]:
    """One for all pages, and for nothing else: they use the names of topics that users have."""
    if reason := why_no_apache(load_settings()):
        pytest.skip(f"without Apache Kafka: {reason}")
    with local_broker(load_settings(), BrokerKind.APACHE) as broker:
        yield broker


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(map(is_run, commands_of(page)))], ids=lambda page: page
)
def test_the_commands_of_a_page_do_what_it_says(
    page: str, kafka: LocalBroker, models_directory: Path, street: Path, tmp_path: Path
) -> None:
    commands = [*BEFORE.get(page, ()), *(command.text for command in commands_of(page) if is_run(command))]
    for tool in TOOLS:
        if shutil.which(tool) is None and any(tool in command for command in commands):
            pytest.skip(f"{tool} is not installed")
    starts_its_own = "framebus broker" in commands
    servers = f"127.0.0.1:{free_ports(1)[0]}" if starts_its_own else kafka.bootstrap_servers
    real = {"model": models_directory / "pedestrian", "video": street} if page in REAL_MODEL else {}
    with Stage(tmp_path, servers, **real) as stage:
        for command in BEFORE.get(page, ()):
            stage.run(command)
        for one in read_page(page):
            if not isinstance(one, Command):
                stage.write(one)
            elif is_run(one):
                stage.run(one)


@pytest.mark.parametrize("one", NOT_RUN, ids=lambda one: one.commands[0])
def test_what_is_not_run_stands_on_a_page(one: NotRun) -> None:
    for begin in one.commands:
        alone = NotRun(one.reason, [begin], one.pages)
        assert any(is_named(alone, command) for command in COMMANDS), f"no page has {begin!r} any more"
    assert set(one.pages) <= set(PAGES)


def test_the_tables_speak_of_what_is_there() -> None:
    everything = "\n".join(page.read_text(encoding="utf-8") for page in PAGES.values())

    assert [documented for documented in SUBSTITUTES if documented not in everything] == []
    assert {*BEFORE, *REAL_MODEL} <= set(PAGES)
