"""The README's picture from a report: ``python scripts/readme_picture.py runs/demo/report.html``.

Needs Playwright and a Chromium (`make test` installs both); writes docs/images/report.png.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH, HEIGHT, SETTLED = 1440, 1700, 6000
"""Size of the window, and milliseconds until the live surface stands still."""

MARGIN, GAP = 24, 16
"""Pixels kept around what is shown."""

OPENGL = ("--no-sandbox", "--use-gl=swiftshader", "--enable-unsafe-swiftshader")


def main(report: str) -> None:
    browser_path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=list(OPENGL))
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(Path(report).resolve().as_uri())
        page.evaluate("document.querySelector('#surface').scrollIntoView()")
        page.wait_for_timeout(SETTLED)
        bounds = page.evaluate(
            """() => {
              const bar = document.querySelector('#surface .toolbar').getBoundingClientRect();
              const last = [...document.querySelectorAll('#surface .views')].at(-1);
              const end = last.getBoundingClientRect();
              return [bar.left, bar.top, bar.right, end.bottom];
            }"""
        )
        picture = page.screenshot()
        browser.close()
    left, top, right, bottom = (round(v) for v in bounds)
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    target = Path(__file__).parents[1] / "docs" / "images" / "report.png"
    target.parent.mkdir(exist_ok=True)
    box = (left - MARGIN, top - GAP, right + MARGIN, min(bottom, HEIGHT))
    image.crop(box).save(target, optimize=True)
    print(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
