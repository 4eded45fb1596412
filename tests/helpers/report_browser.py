"""A report looked at in Chromium: an image is opened, the theme changed, and nothing asked for or complained about."""

import shutil
from importlib.util import find_spec

import pytest

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or find_spec("playwright") is None, reason="Chromium or Playwright is not installed"
)


def look_at(page, n_models):
    """Open a report and assert that it works; `n_models` outlines stand beside an image that is opened."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="light")
        faults, requests = [], []
        tab.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(page.as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        light = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        tab.click("#theme")
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != light
        tab.focus(".heat thead button")
        tab.keyboard.press("Enter")
        tab.wait_for_selector("dialog[open] figure")
        assert tab.locator("dialog figure").count() == n_models
        tab.wait_for_function("document.querySelector('dialog img.over').naturalWidth > 0")  # decoded a moment later
        tab.keyboard.press("Escape")
        assert tab.locator("dialog[open]").count() == 0
        assert tab.evaluate("window.broken") is None
        assert faults == [] and [url for url in requests if not url.startswith(("file:", "data:"))] == []
        browser.close()
