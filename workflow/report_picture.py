"""The picture of the README: the top of the report that `make rank` writes, as Chromium shows it.

Reads `build/rank/out/report.html`; writes `book/_static/report.png`.
"""

import shutil
import sys

from playwright.sync_api import sync_playwright

from companion.paths import project_root

SIZE = {"width": 1100, "height": 1000}


def draw():
    """Write the picture, or say what is missing."""
    report = project_root() / "build" / "rank" / "out" / "report.html"
    chromium = shutil.which("chromium")
    if chromium is None or not report.is_file():
        sys.exit(f"{report} or Chromium is missing: run `make rank` and install Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(report.as_uri())
        page.screenshot(path=project_root() / "book" / "_static" / "report.png")
        browser.close()


if __name__ == "__main__":
    draw()
