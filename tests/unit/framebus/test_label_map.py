from pathlib import Path

import pytest
from google.protobuf import text_encoding
from hypothesis import given
from hypothesis import strategies as st

from framebus.errors import ModelError
from framebus.label_map import FILE_NAME, read_label_map

REMEDY = "write an item per class"


@pytest.fixture
def label_map(tmp_path: Path) -> Path:
    return tmp_path / FILE_NAME


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("label_maps") / FILE_NAME


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("item { id: 1 name: 'person' }", {1: "person"}),
        ("item { id: 1 name: '/m/01g317' display_name: 'Person' }", {1: "Person"}),
        ("item { id: 1 name: 'person' display_name: '' }", {1: "person"}),
        ("item { id: 1 name: 'person' display_name: ' ' }", {1: "person"}),
        ("item { display_name: 'Person' id: 1 }", {1: "Person"}),
        ("item { id: 90 name: 'z' }\nitem { id: 1 name: 'a' } # gaps, any order", {1: "a", 90: "z"}),
        ("item: [{id: 0 name: 'x'}, {id: 2147483647 name: 'y'}]", {0: "x", 2147483647: "y"}),
        (
            "item { id: 1 name: 'a' keypoints { id: 3 label: 'nose' } frequency: RARE ancestor_ids: ['b'] }",
            {1: "a"},
        ),
        ("version: 3 item { id: 1 name: 'café' }", {1: "café"}),
        (
            "\ufeffitem { id: 1 name: 'saved by an editor that marks UTF-8' }",
            {1: "saved by an editor that marks UTF-8"},
        ),
    ],
)
def test_reads_labels_ascending_by_id(label_map: Path, text: str, labels: dict[int, str]) -> None:
    label_map.write_text(text, encoding="utf-8")
    assert list(read_label_map(label_map).items()) == list(labels.items())


@pytest.mark.parametrize(
    ("data", "why", "remedy"),
    [
        (b"", "no items", REMEDY),
        (b"# only a comment", "no items", REMEDY),
        (b"item {\n  id: 1\n  name: person\n}", "line 3, column 9", REMEDY),
        (b"item {\n  id: 'one' name: 'person' }", "line 2, column 7", REMEDY),
        (b"item { id: 1 name: 'person'", "line 1", REMEDY),
        (b"item { id: 1 id: 2 name: 'person' }", 'multiple "id"', REMEDY),
        (b"item { id: 3000000000 name: 'person' }", "out of range", REMEDY),
        (b"item { id: 1 name: 'a' }\nitem { name: 'b' }", "item 2 (b) has no id", REMEDY),
        (b"item { }", "item 1 (no name) has no id", REMEDY),
        (b"item { id: 7 }", "item 1 (id 7) has no name", REMEDY),
        (b"item { id: 7 name: ' ' }", "item 1 (id 7) has no name", REMEDY),
        (b"item { id: -1 name: 'a' }", "item 1 has the id -1", "ids start at 0"),
        (
            b"item { id: 1 name: 'a' } item { id: 1 name: 'b' }",
            "id 1 is both 'a' and 'b'",
            "an id of its own",
        ),
        (b"item { id: 1 name: 'caf\xe9' }", "not UTF-8 at byte 23", "save it as UTF-8"),
        (b"item { id: 1 name: '\\377' }", "line 1", REMEDY),
        (b"a {\n" * 5000, "nested too deeply", REMEDY),
    ],
)
def test_refuses_what_is_no_label_map(label_map: Path, data: bytes, why: str, remedy: str) -> None:
    label_map.write_bytes(data)
    with pytest.raises(ModelError) as raised:
        read_label_map(label_map)
    message = str(raised.value)
    assert message.startswith(f"{label_map}: ")
    assert why in message
    assert remedy in message


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "x: [" + "1," * 300_000 + "1]",
            "line 1 has 600006 characters, 10000 is the most; write each item on",
        ),
        ("item { id: 1 name: '" + "a" * 20_000 + "' }", "line 1 has 20023 characters"),
        ("# labels\n" * 500_000, "4500000 bytes, 4194304 is the most; write an item per class"),
    ],
)
def test_refuses_what_would_take_for_ever_to_read(label_map: Path, text: str, why: str) -> None:
    label_map.write_text(text)
    with pytest.raises(ModelError, match=why):
        read_label_map(label_map)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "item { id: 1 name: '" + "a" * 9_000,
            f"line 1, column 20: String missing ending quote: .'aaa.*; {REMEDY}",
        ),
        (
            f"item {{ id: {'9' * 9_000} name: 'a' }}",
            f"line 1, column 12: Couldn't parse integer: 999.*; {REMEDY}",
        ),
        (f"item {{ name: '{'a' * 9_000}' }}", r"item 1 \(aaa.* has no id"),
        (f"item {{ id: 1 name: '{'a' * 9_000}' }}\n" * 2, "id 1 is both 'aaa.*' and 'aaa.*'; give each"),
        ("x: " + "-" * 9_000, rf"{FILE_NAME}: Invalid field value: ---.*; {REMEDY}"),
    ],
)
def test_says_what_is_wrong_without_quoting_all_of_it(label_map: Path, text: str, why: str) -> None:
    label_map.write_text(text)
    with pytest.raises(ModelError, match=why) as refusal:
        read_label_map(label_map)
    assert len(str(refusal.value)) < 1_000


def test_reads_as_many_classes_as_there_are(label_map: Path) -> None:
    labels = {class_id: f"class {class_id}" for class_id in range(20_000)}
    label_map.write_text("".join(f"item {{ id: {n} name: '{name}' }}\n" for n, name in labels.items()))
    assert read_label_map(label_map) == labels


def test_says_that_the_file_is_missing(label_map: Path) -> None:
    with pytest.raises(ModelError, match=f"{FILE_NAME}: No such file or directory; {REMEDY}"):
        read_label_map(label_map)


labels_by_id = st.dictionaries(
    st.integers(0, 2**31 - 1),
    st.text(st.characters(codec="utf-8")).map(str.strip).filter(bool),
    min_size=1,
    max_size=20,
)


@given(labels=labels_by_id, as_utf8=st.booleans(), field=st.sampled_from(["name", "display_name"]))
def test_reads_back_any_labels(scratch: Path, labels: dict[int, str], as_utf8: bool, field: str) -> None:
    items = [
        f'item {{\n  {field}: "{text_encoding.CEscape(label.encode(), as_utf8)}"\n  id: {class_id}\n}}\n'
        for class_id, label in labels.items()
    ]
    scratch.write_text("".join(items), encoding="utf-8", newline="")
    assert read_label_map(scratch) == labels


fragments = st.sampled_from(
    ["item", "{", "}", "id", ":", "1", "-1", "name", "display_name", "'a'", '"', "[", "]", "#", "\n"]
)


@given(
    data=st.binary()
    | st.text().map(str.encode)
    | st.lists(fragments).map(lambda parts: " ".join(parts).encode())
)
def test_any_bytes_are_a_label_map_or_a_model_error(scratch: Path, data: bytes) -> None:
    scratch.write_bytes(data)
    try:
        labels = read_label_map(scratch)
    except ModelError:
        return
    assert labels
    assert all(class_id >= 0 and label for class_id, label in labels.items())
