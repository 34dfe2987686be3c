"""Pictures made to harm, and kinds of pictures that hardly anybody writes."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from framebus import images
from framebus.errors import UndecodableFrameError
from tests.mutation.parts import Part, join, split
from tests.mutation.targets import Input, target
from tests.mutation.targets.harmful_pictures import (
    HARMFUL,
    jpeg_of_many_scans,
    padded_jpeg_of_many_scans,
)
from tests.mutation.targets.rare_pictures import RARE
from tests.mutation.trial import try_out
from tests.picture_files import FILES, MAX_PIXELS
from tests.pictures import picture


@pytest.mark.parametrize("make", HARMFUL, ids=lambda make: make.__name__)
def test_a_picture_made_to_harm_takes_little_time_and_memory(
    make: Callable[[], bytes], tmp_path: Path
) -> None:
    assert try_out(target("pictures"), Input(make.__name__, make()), tmp_path).fault == ""


@pytest.mark.parametrize("make", [jpeg_of_many_scans, padded_jpeg_of_many_scans])
def test_a_jpeg_of_more_scans_than_any_encoder_writes_is_refused_before_it_is_decoded(
    make: Callable[[], bytes],
) -> None:
    with pytest.raises(
        UndecodableFrameError, match=r"the JPEG has 10\d\d scans, 100 is the most; write it as"
    ):
        images.decode(make(), MAX_PIXELS)


def test_what_looks_like_scans_beside_the_picture_counts_for_nothing() -> None:
    like_scans = b"\xff\xda\x00\x02" * 200
    thumbnail = Part(b"\xff\xe1", like_scans)
    data = join("jpeg", [thumbnail, *split(FILES["progressive jpeg"])]) + like_scans

    decoded = images.decode(data, MAX_PIXELS)

    np.testing.assert_array_equal(decoded, images.decode(FILES["progressive jpeg"], MAX_PIXELS))


@pytest.mark.parametrize("name", ["interlaced png", "png in many chunks"])
def test_a_png_of_a_rare_kind_decodes_to_its_exact_picture(name: str) -> None:
    np.testing.assert_array_equal(images.decode(RARE[name], MAX_PIXELS), picture(16, 12))


@pytest.mark.parametrize("name", sorted(RARE))
def test_a_rare_kind_is_decoded_to_its_size_or_refused(name: str) -> None:
    assert images.checked_size(RARE[name], MAX_PIXELS) == (16, 12)
    with contextlib.suppress(UndecodableFrameError):
        assert images.decode(RARE[name], MAX_PIXELS).shape == (12, 16, 3)
