"""A real browser without a window, and pages that gather what goes wrong in them."""

import contextlib
import shutil

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")


@contextlib.contextmanager
def launched():
    """Chromium."""
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@contextlib.contextmanager
def opener(browser):
    """Open files as pages; ``page.console`` and ``page.asked_for`` gather console messages and requests."""
    pages = []

    def open_file(file, width=1280, height=900, **options):
        page = browser.new_page(viewport={"width": width, "height": height}, **options)
        pages.append(page)
        page.set_default_timeout(10_000)
        page.console, page.asked_for = [], []
        page.on("console", lambda message: page.console.append(message.text))
        page.on("pageerror", lambda error: page.console.append(str(error)))
        page.on("request", lambda request: page.asked_for.append(request.url))
        page.goto(file.as_uri())
        return page

    yield open_file
    for page in pages:
        page.close()
