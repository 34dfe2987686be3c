"""The page on a control API in this process, with workers and cameras that do what a test says."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from framebus.control import CameraStatus
from framebus.local_broker.ports import free_ports
from framebus.settings import Settings
from tests.browser.conftest import NewPage
from tests.pictures import jpeg
from tests.unit.control_api.conftest import Api, Installation, settings_for, write_models
from tests.unit.control_api.streams import MODEL, Stream

PAGES = ("cameras", "models", "workers", "try")
READ, ADMIN = "r" * 16, "a" * 16

_TIMEOUT_MS = 30_000
_FPS = 5


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with closing_installation(Installation(write_models(tmp_path / "models"))) as installation:
        yield installation


@contextmanager
def closing_installation(installation: Installation) -> Iterator[Installation]:
    try:
        yield installation
    finally:
        installation.stop()


@contextmanager
def cameras(installation: Installation, count: int, settings: Settings | None = None) -> Iterator[Api]:
    """So many cameras, each with five frames per second that one worker answers at once."""
    worker = installation.start_worker(routed=(MODEL,))
    streams = [Stream(installation.bus, f"cam-{number:02}") for number in range(count)]
    pictures = [jpeg(640, 360, seed) for seed in range(8)]
    api = installation.start_api(settings)
    stop = threading.Event()

    def publish() -> None:
        number = 0
        while not stop.wait(1 / _FPS):
            for stream in streams:
                stream.next(pictures[number % len(pictures)])
            number += 1
            worker.cameras = tuple(
                CameraStatus(
                    camera=stream.camera,
                    model=MODEL,
                    frames_per_s=_FPS,
                    latency_ms=42,
                    last_frame_at=datetime.now(UTC),
                )
                for stream in streams
            )

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield api
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def live(installation: Installation) -> Iterator[Api]:
    with cameras(installation, 3) as api:
        yield api


def shown(page: Page) -> int:
    """How many tiles show a picture."""
    return page.locator('[data-role="wall"] canvas[data-picture="shown"]').count()


def until(page: Page, condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, page.locator("body").inner_text()
        page.wait_for_timeout(100)


def test_what_is_missing_is_said_step_by_step(installation: Installation, new_page: NewPage) -> None:
    api = installation.start_api()
    page = new_page(f"{api.url}/")

    steps = page.locator('[data-role="wall-empty"] [data-role="next-steps"]')
    steps.wait_for(timeout=_TIMEOUT_MS)
    assert "framebus consume" in steps.inner_text()

    installation.start_worker(routed=(MODEL,))
    until(page, lambda: steps.get_attribute("data-missing") == "cameras")
    assert "framebus produce" in steps.inner_text()


def test_without_kafka_there_are_no_cameras_and_the_page_says_so(
    installation: Installation, new_page: NewPage
) -> None:
    installation.start_worker()
    api = installation.start_api(has_streams=False)

    page = new_page(f"{api.url}/")

    page.locator('[data-page="try"]').wait_for(timeout=_TIMEOUT_MS)
    page.locator('[data-page-link="cameras"]').click()
    steps = page.locator('[data-role="next-steps"][data-missing="streams"]')
    steps.first.wait_for(timeout=_TIMEOUT_MS)
    assert "framebus api" in steps.first.inner_text()


def test_a_token_is_asked_for_once_and_decides_what_can_be_done(
    installation: Installation, new_page: NewPage
) -> None:
    installation.start_worker(routed=(MODEL,))
    api = installation.start_api(settings_for(installation.models, read_token=READ, admin_token=ADMIN))
    page = new_page(f"{api.url}/#models")

    form = page.locator('[data-page="login"] [data-role="login-form"]')
    form.locator('[data-role="token"]').fill("x" * 16, timeout=_TIMEOUT_MS)
    form.locator('[data-role="login"]').click()
    until(page, lambda: "token" in form.locator('[data-role="login-error"]').inner_text())

    form.locator('[data-role="token"]').fill(READ)
    form.locator('[data-role="login"]').click()
    reload = page.locator(f'[data-model="{MODEL}"] [data-role="reload"]')
    reload.wait_for(timeout=_TIMEOUT_MS)
    assert reload.get_attribute("aria-disabled") == "true"
    assert page.locator('[data-role="scope-note"]').is_visible()

    page.reload()
    reload.wait_for(timeout=_TIMEOUT_MS)
    page.locator('[data-role="logout"]').click()
    form.locator('[data-role="token"]').fill(ADMIN, timeout=_TIMEOUT_MS)
    form.locator('[data-role="login"]').click()
    until(page, lambda: reload.get_attribute("aria-disabled") == "false")


def test_cameras_are_hidden_from_those_without_a_token(installation: Installation, new_page: NewPage) -> None:
    api = installation.start_api(settings_for(installation.models, read_token=READ, admin_token=ADMIN))

    page = new_page(f"{api.url}/")

    page.locator('[data-page="login"]').wait_for(timeout=_TIMEOUT_MS)
    assert page.locator('[data-role="wall"]').is_hidden()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_nothing_keeps_anybody_from_using_the_page(live: Api, new_page: NewPage, colours: str) -> None:
    page = new_page(f"{live.url}/", colours=colours)
    until(page, lambda: shown(page) == 3)
    for name in PAGES:
        page.locator(f'[data-page-link="{name}"]').click()
        page.locator(f'[data-page="{name}"]').wait_for(timeout=_TIMEOUT_MS)
        page.wait_for_timeout(500)
        assert_accessible(page, name)
    page.locator('[data-page-link="cameras"]').click()
    page.locator('[data-role="wall"] [data-role="open"]').first.click()
    page.locator('[data-role="enlarged-canvas"][data-picture="shown"]').wait_for(timeout=_TIMEOUT_MS)
    assert_accessible(page, "large view")


def assert_accessible(page: Page, where: str) -> None:
    violations = Axe().run(page).response["violations"]
    grave = [one for one in violations if one["impact"] in ("serious", "critical")]
    assert grave == [], f"{where}: {[(one['id'], one['nodes'][0]['html']) for one in grave]}"


@pytest.mark.parametrize("width", [390, 1280, 2560])
def test_pages_fit_from_a_phone_to_a_wall_screen(live: Api, new_page: NewPage, width: int) -> None:
    page = new_page(f"{live.url}/", width=width, height=900)
    until(page, lambda: shown(page) == 3)
    for name in PAGES:
        page.locator(f'[data-page-link="{name}"]').click()
        page.locator(f'[data-page="{name}"]').wait_for(timeout=_TIMEOUT_MS)
        needed = page.evaluate("() => document.scrollingElement.scrollWidth")
        assert needed <= width, f"{name} is {needed} pixels wide"


def test_all_can_be_done_with_the_keyboard(live: Api, new_page: NewPage) -> None:
    page = new_page(f"{live.url}/")
    until(page, lambda: shown(page) == 3)

    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.dataset.role") == "skip"
    opener = page.locator('[data-role="wall"] [data-camera="cam-01"] [data-role="open"]')
    opener.focus()
    page.keyboard.press("Enter")
    large = page.locator('[data-role="enlarged"]')
    large.wait_for(state="visible")
    assert "cam-01" in large.inner_text()
    page.keyboard.press("ArrowRight")
    until(page, lambda: "cam-02" in large.inner_text())
    page.keyboard.press("Escape")
    large.wait_for(state="hidden")
    assert page.evaluate("() => document.activeElement.dataset.role") == "open"


def test_a_page_that_was_left_open_goes_on_with_another_bus(tmp_path: Path, new_page: NewPage) -> None:
    models, [port] = write_models(tmp_path / "models"), free_ports(1)
    first, second = Installation(models), Installation(models)
    for _ in range(500):
        Stream(first.bus, "cam-00").frame(b"was there before")
    with closing_installation(first), cameras(first, 1, settings_for(models, port=port)) as api:
        page = new_page(f"{api.url}/")
        until(page, lambda: offset_shown(page) >= 500)
    until(page, lambda: page.locator('[data-role="banner"]').is_visible())

    with closing_installation(second), cameras(second, 1, settings_for(models, port=port)):
        until(page, lambda: offset_shown(page) < 500)


def offset_shown(page: Page) -> int:
    """The offset of the frame that the first tile shows; -1 without any."""
    place = page.locator('[data-role="wall"] canvas').first.get_attribute("data-place") or "/-1"
    return int(place.rpartition("/")[2])


def test_the_wall_stays_smooth_with_32_cameras(installation: Installation, new_page: NewPage) -> None:
    with cameras(installation, 32) as api:
        page = new_page(f"{api.url}/", width=2560, height=1440)
        until(page, lambda: shown(page) == 32)
        page.evaluate(
            """() => {
                window.longTasks = [];
                const note = list => window.longTasks.push(...list.getEntries().map(one => one.duration));
                new PerformanceObserver(note).observe({ type: "longtask" });
            }"""
        )
        page.wait_for_timeout(5_000)

        busy_ms = page.evaluate("() => window.longTasks.reduce((sum, one) => sum + one, 0)")
        newest_ms, now_ms = page.evaluate(
            """() => {
                const canvases = [...document.querySelectorAll('[data-role="wall"] canvas')];
                return [Math.min(...canvases.map(one => one.dataset.paintedAt)), Date.now()];
            }"""
        )
        assert busy_ms < 1_000, "the page could not answer its user for a fifth of the time"
        assert now_ms - newest_ms < 5_000, "a camera was left behind"
