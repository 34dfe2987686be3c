"""What the pages tell their readers to type.

An indented block is for the shell, and so is one that is fenced as `sh` or `console`; all other blocks are
fenced with their own language. A block with prompts (`$ `) shows a session: commands with what they print. A
fenced block whose first line is `# name.yaml` is a file of that name, which the commands below it use.
"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = {
    page.relative_to(ROOT).as_posix(): page
    for page in sorted(
        [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "models/README.md", *ROOT.glob("docs/**/*.md")]
    )
}

_INDENT, _PROMPT, _FENCE = "    ", "$ ", "```"
_SHELLS = ("sh", "console")
_FILE = re.compile(r"# (?P<name>[\w.-]+\.\w+)$")
_COMMENT = re.compile(r"(^|\s+)#\s.*$")


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a page.

    Attributes:
        page: The page, from the root of the repository.
        line: The number of its first line there.
        text: Itself, without comments; several lines where it goes over several.
    """

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class File:
    """A file that a page shows."""

    line: int
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class _Block:
    line: int
    language: str
    lines: Sequence[str]


def read_page(page: str) -> list[Command | File]:
    """The commands and files of a page, in order."""
    found: list[Command | File] = []
    for block in _blocks(PAGES[page].read_text(encoding="utf-8").splitlines()):
        name = _FILE.match(block.lines[0]) if block.lines else None
        if block.language in _SHELLS:
            found += [Command(page, line, text) for line, text in _commands(block)]
        elif name:
            found.append(File(block.line, name["name"], "\n".join(block.lines) + "\n"))
    return found


def commands_of(page: str) -> list[Command]:
    """The commands of a page, in order."""
    return [one for one in read_page(page) if isinstance(one, Command)]


def _blocks(lines: Sequence[str]) -> Iterator[_Block]:
    number = 0
    while number < len(lines):
        begin = number
        if lines[number].startswith(_FENCE):
            body = list(takewhile(lambda line: not line.startswith(_FENCE), lines[number + 1 :]))
            yield _Block(begin + 2, lines[number].removeprefix(_FENCE), body)
            number += len(body) + 2
        elif lines[number].startswith(_INDENT) and (number == 0 or not lines[number - 1].strip()):
            body = list(takewhile(lambda line: line.startswith(_INDENT) or not line, lines[number:]))
            yield _Block(begin + 1, "sh", [line.removeprefix(_INDENT) for line in body])
            number += len(body)
        else:
            number += 1


def _commands(block: _Block) -> Iterator[tuple[int, str]]:
    """Puts lines together until the shell has a whole command."""
    is_session = any(line.startswith(_PROMPT) for line in block.lines)
    begun: list[str] = []
    for number, line in enumerate(block.lines, block.line):
        if is_session and not line.startswith(_PROMPT) and not begun:
            continue  # what a command printed
        text = _COMMENT.sub("", line.removeprefix(_PROMPT) if is_session else line).rstrip()
        if not text:
            continue
        begun.append(text)
        if not text.endswith("\\") and _is_whole("\n".join(begun)):
            yield number - len(begun) + 1, "\n".join(begun)
            begun = []
    assert not begun, (
        f"line {block.line} ff.: no command that is whole: {begun}; fence what is not for the shell"
    )


def _is_whole(text: str) -> bool:
    return subprocess.run(["bash", "-n", "-c", text], capture_output=True, check=False).returncode == 0
