"""Less of a browser, the same content: no scripts, no WebGL, a narrow screen, paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


def test_without_scripts_every_picture_is_there(visit: Callable, folder: Path) -> None:
    # Kills: content that only a script puts on the page.
    page = visit(folder / "two.html", java_script_enabled=False).page
    stills = page.locator("svg.still")
    sections = {"surface": 2 * (1 + 2) + 2, "lines": 1, "curvature": 2 * 2, "training": 2}
    sections |= {"shape": 1, "convexity": 2}
    for name, wanted in sections.items():
        assert page.locator(f"#{name} svg.still").count() == wanted, name
    assert stills.count() == sum(sections.values())
    for k in range(stills.count()):
        box = stills.nth(k).bounding_box()
        assert box is not None
        assert box["width"] > 200
        assert box["height"] > 100
    assert not page.locator(".toolbar").first.is_visible()
    assert page.locator(".words li").count() >= 3


def test_without_webgl_the_map_carries_everything(visit: Callable, folder: Path) -> None:
    seen = visit(folder / "two.html")
    page = seen.page
    page.locator(".gl").first.scroll_into_view_if_needed()
    assert page.locator(".gl .note").first.inner_text().startswith("Still picture: this browser")
    assert page.locator(".gl svg.still").first.is_visible()
    page.wait_for_selector(".map .level", state="attached")
    assert seen.problems == []


@pytest.mark.parametrize("width", [375, 768])
@pytest.mark.parametrize("name", ["one", "two"])
def test_a_narrow_screen_never_scrolls_sideways(
    visit: Callable, folder: Path, width: int, name: str
) -> None:
    # Kills: a fixed width, a table or a formula that does not wrap.
    page = visit(folder / f"{name}.html", viewport={"width": width, "height": 800}).page
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    for y in range(0, page.evaluate("document.documentElement.scrollHeight"), 700):
        page.evaluate(f"window.scrollTo({{top: {y}, behavior: 'instant'}})")
        page.wait_for_timeout(25)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_columns_stack_on_a_telephone(visit: Callable, folder: Path) -> None:
    page = visit(folder / "two.html", viewport={"width": 375, "height": 800}).page
    first, second = (page.locator("#surface .column").nth(k).bounding_box() for k in (0, 1))
    assert second["y"] >= first["y"] + first["height"]


def test_paper_gets_still_pictures_in_light_colors(visit: Callable, folder: Path) -> None:
    # Kills: printing an empty canvas, white text on white paper, folded warnings.
    page = visit(folder / "one.html", color_scheme="dark").page
    page.emulate_media(media="print")
    assert page.locator("svg.still").first.is_visible()
    assert not page.locator(".map").first.is_visible()
    assert not page.locator(".toolbar").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(23, 33, 43)"
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_every_control_and_view_has_a_name(visit: Callable, folder: Path) -> None:
    # Kills: a slider, button or view that a screen reader calls "slider", "button", "group".
    page = visit(folder / "two.html").page
    nameless = page.evaluate(
        """() => [...document.querySelectorAll(
            'button, input, a, [role=application], [role=region], figure')]
          .filter((e) => !(e.getAttribute('aria-label')
            || e.labels?.[0]?.textContent.trim() || e.textContent.trim()))
          .map((e) => e.outerHTML.slice(0, 120))"""
    )
    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(visit: Callable, folder: Path, scheme: str) -> None:
    # Kills: gray on gray; 4.5 : 1 for every color used for text on both backgrounds.
    page = visit(folder / "one.html", color_scheme=scheme).page
    ratios = page.evaluate(
        """() => {
          const css = getComputedStyle(document.documentElement);
          const light = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16) / 255)
            .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
            .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
          const color = (name) => light(css.getPropertyValue(name).trim());
          const out = {};
          for (const ground of ['--paper', '--wash']) {
            for (const text of ['--ink', '--muted', '--accent', '--good', '--warn', '--bad',
                '--series-1', '--series-2', '--series-3', '--series-4']) {
              const [a, b] = [color(ground), color(text)].sort((p, q) => q - p);
              out[text + ' on ' + ground] = (a + 0.05) / (b + 0.05);
            }
          }
          return out;
        }"""
    )
    assert {k: v for k, v in ratios.items() if v < 4.5} == {}
