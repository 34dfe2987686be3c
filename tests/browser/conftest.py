"""A headless Chromium, pages that may not complain, and what they look at."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urljoin

import cv2
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from framebus.environment import load_settings
from framebus.local_broker import why_no_apache
from framebus.samples import fetch, read_samples
from tests.apache_node import ApacheNode, single_node
from tests.browser.demo import Demo
from tests.e2e.slow_models import install_broken_model

NewPage = Callable[..., Page]

_FLAGS = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("without a browser: install Debian's chromium, or name one with CHROMIUM=/path/to/chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser: Browser) -> Iterator[NewPage]:
    """Opens pages that fail the test if a script of theirs fails, or anything is asked of another host."""
    complaints: list[str] = []
    with ExitStack() as contexts:

        def new_page(url: str, *, width: int = 1280, height: int = 800, colours: str = "light") -> Page:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if colours == "dark" else "light",
                reduced_motion="reduce",
            )
            contexts.callback(context.close)
            page = context.new_page()

            def hear(message: ConsoleMessage) -> None:
                # What the server refuses, the browser notes by itself.
                if message.type == "error" and "Failed to load resource" not in message.text:
                    complaints.append(message.text)

            page.on("console", hear)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            ours = (urljoin(url, "/"), "blob:", "data:")

            def follow(request: Request) -> None:
                if not request.url.startswith(ours):
                    complaints.append(f"{request.url} was asked for")

            page.on("request", follow)
            page.goto(url)
            return page

        yield new_page
    assert complaints == []


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheNode | None]:
    """A broker of these tests alone, which they may stop; None where Apache Kafka cannot be had."""
    if why_no_apache(load_settings()):
        yield None
        return
    with ApacheNode(tmp_path_factory.mktemp("node"), single_node()) as node:
        yield node


@pytest.fixture(scope="session")
def demo(
    node: ApacheNode | None, models_directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Demo]:
    """`framebus demo` with real video and a real model, and a broken one beside it."""
    directory = tmp_path_factory.mktemp("demo")
    install_broken_model(directory, "broken")
    (directory / "models" / "pedestrian").symlink_to(models_directory / "pedestrian")
    demo = Demo(directory, None if node is None else node.bootstrap_servers)
    try:
        demo.until_ready()
        yield demo
    finally:
        demo.end()


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture with three people, a frame of the sample video."""
    video = fetch(read_samples()["plaza"], load_settings())
    frames = cv2.VideoCapture(str(video))
    frames.set(cv2.CAP_PROP_POS_FRAMES, 397)
    _, picture = frames.read()
    frames.release()
    path = tmp_path_factory.mktemp("people") / "people.jpg"
    cv2.imwrite(str(path), picture)
    return path
