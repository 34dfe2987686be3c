import pytest

from framebus import images
from tests.mutation.parts import join, kind_of, split
from tests.picture_files import FILES, MAX_PIXELS


@pytest.mark.parametrize("name", [name for name in FILES if name != "multi-picture jpeg"])
def test_the_parts_of_a_file_make_that_file(name: str) -> None:
    data = FILES[name]

    assert join(kind_of(data), split(data)) == data


@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
def test_a_part_that_was_changed_has_the_length_and_checksum_of_its_new_content(name: str) -> None:
    kind, parts = kind_of(FILES[name]), split(FILES[name])
    more = {"jpeg": b"\xff\xe5", "png": b"teXt", "webp": b"TEXT"}[kind]
    changed = join(kind, [*parts[:1], type(parts[0])(more, b"a new part"), *parts[1:]])

    assert [part.name for part in split(changed)].count(more) == 1
    assert images.decode(changed, MAX_PIXELS).tobytes() == images.decode(FILES[name], MAX_PIXELS).tobytes()
