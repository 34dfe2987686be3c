"""The demo as its onlookers see it: real video, a real model, a real broker and a real browser."""

import statistics
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page

from tests.apache_node import ApacheNode
from tests.browser.conftest import NewPage
from tests.browser.demo import MODEL, Demo

_TIMEOUT_MS = 60_000
# Where the demo's street is.
_CAMERAS = ("plaza", "street")


def canvas(page: Page, camera: str) -> Locator:
    return page.locator(f'canvas[data-camera="{camera}"]')


def until(page: Page, condition: str, what: Any = None) -> None:
    """Waits until a function of the page returns something true."""
    page.wait_for_function(condition, arg=what, timeout=_TIMEOUT_MS)


def until_boxed(page: Page, camera: str) -> None:
    """Waits until a picture of a camera is shown with at least one box."""
    until(
        page,
        """camera => {
            const canvas = document.querySelector(`canvas[data-camera="${camera}"]`);
            return canvas?.dataset.picture === "shown" && Number(canvas.dataset.boxes) > 0;
        }""",
        camera,
    )


@pytest.fixture
def wall(demo: Demo, new_page: NewPage) -> Page:
    page = new_page(demo.dashboard)
    until_boxed(page, "plaza")
    return page


def test_people_are_boxed_in_moving_pictures(wall: Page, tmp_path: Path) -> None:
    plaza = canvas(wall, "plaza")
    seen: dict[str | None, bytes] = {}
    deadline_s = time.monotonic() + 60
    while len(seen) < 5:
        assert time.monotonic() < deadline_s, f"only {len(seen)} different frames were shown"
        seen[plaza.get_attribute("data-place")] = plaza.screenshot()
        wall.wait_for_timeout(200)

    assert len(set(seen.values())) > 2, "the picture does not move"
    summary = wall.locator('[data-role="wall"] [data-camera="plaza"] [data-role="summary"]')
    until(wall, "element => element.textContent.includes('person')", summary.element_handle())
    wall.screenshot(path=tmp_path / "wall.png")


def test_each_camera_has_a_tile_with_its_rate(wall: Page) -> None:
    for camera in _CAMERAS:
        figures = wall.locator(f'[data-role="wall"] [data-camera="{camera}"] [data-role="figures"]')
        figures.wait_for(timeout=_TIMEOUT_MS)
        assert "/s" in figures.inner_text()


def test_the_large_view_lists_the_objects_of_its_very_frame(wall: Page) -> None:
    wall.locator('[data-role="wall"] [data-camera="plaza"] [data-role="open"]').press("Enter")
    large = wall.locator('[data-role="enlarged-canvas"]')
    until(wall, "canvas => Number(canvas.dataset.boxes) > 0", large.element_handle())

    listed, boxes = wall.evaluate(
        """() => [
            document.querySelectorAll('[data-role="enlarged"] [data-role="objects"] > li').length,
            Number(document.querySelector('[data-role="enlarged-canvas"]').dataset.boxes),
        ]"""
    )

    assert listed == boxes
    wall.keyboard.press("Escape")
    large.wait_for(state="hidden")


def test_a_slider_changes_what_is_drawn_within_two_seconds(demo: Demo, wall: Page, new_page: NewPage) -> None:
    models = new_page(f"{demo.dashboard}#models")
    slider = models.locator(f'[data-model="{MODEL}"] [data-role="slider"][data-threshold="predictions"]')
    slider.wait_for(timeout=_TIMEOUT_MS)
    took_s = []
    for key, is_so in (("Home", "<= 1"), ("End", "> 1")) * 3:
        began_s = time.monotonic()
        slider.press(key)
        until(
            wall,
            f"canvas => canvas.dataset.picture === 'shown' && Number(canvas.dataset.boxes) {is_so}",
            canvas(wall, "plaza").element_handle(),
        )
        took_s.append(time.monotonic() - began_s)

    models.locator(f'[data-model="{MODEL}"] [data-threshold="predictions"] [data-role="back"]').click(
        timeout=_TIMEOUT_MS
    )
    assert statistics.median(took_s) < 2, took_s


def test_a_broken_model_shows_its_reason(demo: Demo, new_page: NewPage) -> None:
    page = new_page(f"{demo.dashboard}#models")
    broken = page.locator('[data-model="broken"]')

    broken.locator('[data-role="load"]').click(timeout=_TIMEOUT_MS)

    complaint = broken.locator('[data-role="actions-complaint"]')
    until(page, "element => element.textContent !== ''", complaint.element_handle())
    assert "not a frozen graph" in complaint.inner_text()
    problems = broken.locator('[data-role="problems"]')
    until(page, "element => element.textContent.includes('not a frozen graph')", problems.element_handle())


def test_a_picture_can_be_tried(demo: Demo, new_page: NewPage, people: Path) -> None:
    page = new_page(f"{demo.dashboard}#try")
    page.locator('[data-role="trial-model"]').select_option(MODEL, timeout=_TIMEOUT_MS)

    page.locator('[data-role="file"]').set_input_files(people)

    drawn = page.locator('[data-role="trial-canvas"]')
    until(page, "canvas => Number(canvas.dataset.boxes) > 0", drawn.element_handle())
    assert "person" in page.locator('[data-role="trial-objects"]').inner_text()


def test_the_page_tells_of_a_broker_that_is_gone_and_goes_on_when_it_is_back(
    wall: Page, node: ApacheNode | None, tmp_path: Path
) -> None:
    if node is None:
        pytest.skip("without Apache Kafka, whose data outlive it, no broker comes back")
    banner = wall.locator('[data-role="banner"]')
    node.stop()
    try:
        banner.wait_for(state="visible", timeout=_TIMEOUT_MS)
        until(wall, "() => document.querySelector('[data-role=banner]').textContent.includes('broker')")
        wall.screenshot(path=tmp_path / "broker-gone.png")
    finally:
        node.start()
    shown = canvas(wall, "plaza").get_attribute("data-place")

    until(
        wall,
        """place => {
            const canvas = document.querySelector('canvas[data-camera="plaza"]');
            return canvas?.dataset.picture === "shown" && canvas.dataset.place !== place;
        }""",
        shown,
    )
    banner.wait_for(state="hidden", timeout=_TIMEOUT_MS)
