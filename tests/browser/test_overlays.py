"""Overlays of curvature and slope: drawn from the packed fit, keyed, and gone again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def page(visit: Callable, folder: Path) -> object:
    page = visit(folder / "two.html").page
    page.locator('.map[data-model="0"]').scroll_into_view_if_needed()
    for m in (0, 1):
        page.wait_for_selector(f'.map[data-model="{m}"] .edge', state="attached")
    return page


def choose(page: object, value: str) -> None:
    switch = page.locator(f'input[data-set="overlay"][value="{value}"]')  # type: ignore[attr-defined]
    switch.check(force=True)
    page.wait_for_timeout(60)  # type: ignore[attr-defined]


def test_signs_have_glyphs_tints_and_a_key_with_shares(page: object) -> None:
    # Kills: an overlay without its data, kinds told apart by color alone, shares not of 100 %.
    choose(page, "curvature")
    for m in (0, 1):
        overlay = page.locator(f'.map[data-model="{m}"] [data-overlay=curvature]')  # type: ignore[attr-defined]
        assert overlay.count() == 1
        key = overlay.locator("text").all_text_contents()
        shares = [float(line.rsplit(":", 1)[1].rstrip("% ")) for line in key]
        assert 97 < sum(shares) < 103
        assert overlay.locator(".tint").count() == overlay.locator(".glyph.under").count() >= 1
    chaos = page.locator('.map[data-model="1"] [data-overlay=curvature]')  # type: ignore[attr-defined]
    glyphs = {chaos.locator(f".glyph.{kind}").get_attribute("d") for kind in ("up", "saddle")}
    assert len(glyphs) == 2
    choose(page, "none")
    assert page.locator("g[data-overlay]").count() == 0  # type: ignore[attr-defined]


def test_arrows_point_to_the_bottom_of_the_bowl(page: object) -> None:
    # Kills: arrows uphill, a vertical axis not turned over, one arrow for all.
    choose(page, "gradient")
    path = page.locator('.map[data-model="0"] [data-overlay=gradient] .arrow').nth(1)  # type: ignore[attr-defined]
    strokes = path.get_attribute("d").split("M")[1::2]
    assert len(strokes) > 200
    numbers = [[float(v) for v in s.replace("L", " ").split()[:4]] for s in strokes]
    box = page.locator('.map[data-model="0"] .edge').evaluate(  # type: ignore[attr-defined]
        "e => ['x', 'y', 'width', 'height'].map((k) => Number(e.getAttribute(k)))"
    )
    middle = box[0] + 0.53 * box[2], box[1] + 0.52 * box[3]
    inward = [
        (x1 - x0) * (middle[0] - x0) + (y1 - y0) * (middle[1] - y0) > 0
        for x0, y0, x1, y1 in numbers
    ]
    assert sum(inward) > 0.95 * len(inward)
    key = page.locator('.map[data-model="0"] [data-overlay=gradient] text')  # type: ignore[attr-defined]
    assert "downhill; longest: slope" in key.text_content()
