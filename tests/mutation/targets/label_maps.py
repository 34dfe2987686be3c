"""Label maps: `read_label_map`."""

from collections.abc import Callable
from pathlib import Path
from random import Random

from framebus.errors import ModelError
from framebus.label_map import FILE_NAME, read_label_map
from tests.mutation.changes import change
from tests.mutation.targets import Input

REFUSALS = (ModelError,)
MOST_BYTES = 2**28

_SOUND = (
    "item { id: 1 name: 'person' }",
    'item {\n  name: "/m/01g317"\n  id: 1\n  display_name: "Person"\n}\nitem {\n  name: "b"\n  id: 90\n}\n',
    "# labels\nitem: [{id: 0 name: 'größe'}, {id: 2147483647 name: '\\303\\251\\x41\\101'}]",
    "item < id: 1; name: 'a' 'b', keypoints { id: 3 label: 'nose' } frequency: RARE ancestor_ids: ['x'] >",
)
_TOKENS = (
    *("item", "id", "name", "display_name", "unknown", "{", "}", "<", ">", "[", "]", ":", ";", ","),
    *("#", "-", "--", "0", "1", "-1", "01", "0x7f", "2147483648", "1e999", "nan", "-inf", "1.5f"),
    *("true", "RARE", "[a.b.c]", "[a.b/c.d]", "'a'", '"b"', "''", "'\\", "'\\x", "'\\777'"),
    *("'\\ud800'", "'\\U0010ffff'", "'\\n'", "'\0'", "\n", "\t", "\0", "\x1c", "\u2028", "9" * 5_000),
    *("'" + "x" * 5_000, "[type.googleapis.com/framebus.StringIntLabelMap]"),
)
_ENCODINGS = ("utf-8-sig", "utf-16", "utf-32", "latin-1", "utf-7")


def make(random: Random) -> Input:
    kind = random.choice((*_KINDS, "bytes changed", "bytes changed"))
    if kind == "bytes changed":
        kind, data = change(random.choice(_SOUND).encode(), random)
        return Input(kind, data)
    return Input(kind, _KINDS[kind](random))


def read(content: bytes, folder: Path) -> object:
    file = folder / FILE_NAME
    file.write_bytes(content)
    labels = read_label_map(file)
    assert labels
    assert list(labels) == sorted(labels)
    assert all(0 <= class_id < 2**31 for class_id in labels)
    assert all(label and label == label.strip() and label.encode() for label in labels.values())
    return list(labels.items())


def _words(random: Random) -> list[str]:
    return random.choice(_SOUND).replace("{", " { ").replace("}", " } ").split(" ")


def _token_added(random: Random) -> bytes:
    words = _words(random)
    for _ in range(random.randint(1, 3)):
        words.insert(random.randint(0, len(words)), random.choice(_TOKENS))
    return " ".join(words).encode()


def _token_replaced(random: Random) -> bytes:
    words = _words(random)
    words[random.randrange(len(words))] = random.choice(_TOKENS)
    return " ".join(words).encode()


def _tokens_only(random: Random) -> bytes:
    return " ".join(random.choices(_TOKENS, k=random.randint(1, 12))).encode()


def _another_encoding(random: Random) -> bytes:
    return random.choice(_SOUND).encode(random.choice(_ENCODINGS), "replace")


def _ids(random: Random) -> bytes:
    """Many items, some of one id perhaps."""
    count = random.choice((2, 10, 100))
    return "".join(
        f"item {{ id: {random.randrange(count**2)} name: 'class {n}' }}\n" for n in range(count)
    ).encode()


def _deep(random: Random) -> bytes:
    opened = random.choice(("item {", "unknown {", "unknown: [{ a:", "unknown <"))
    return (opened * random.choice((2, 50, 400))).encode()


_KINDS: dict[str, Callable[[Random], bytes]] = {
    "token added": _token_added,
    "token replaced": _token_replaced,
    "tokens only": _tokens_only,
    "another encoding": _another_encoding,
    "many ids": _ids,
    "deep": _deep,
}
