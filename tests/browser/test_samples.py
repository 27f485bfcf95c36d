"""Where an adaptive plane was measured: its overlay, its caption, and a telephone's width."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests.browser.conftest import tiny
from tests.browser.test_switches import choose

from theodolite.reporting import report

MEASURED, HELD = 20, 5


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tiny("few evaluations")
    plane = tree["plane_0"]
    codes = np.zeros(plane["loss"].shape, dtype=np.int8)
    codes.reshape(-1)[:MEASURED] = 1
    codes.reshape(-1)[-HELD:] = 2
    plane["sampled"] = xr.DataArray(codes, dims=plane["loss"].dims)
    facts = {"evaluations": MEASURED + HELD, "held_out_error": 0.0123, "held_out_points": HELD}
    plane.attrs.update(method="adaptive", fit_scale="log", **facts)
    return report(tree, tmp_path_factory.mktemp("samples") / "one.html")


def test_dots_and_crosses_are_the_points_measured_and_held_out(visit: Callable, path: Path) -> None:
    # Kills: fitted points drawn as measured; an overlay that reads the codes transposed.
    page = visit(path).page
    page.locator('.map[data-model="0"]').scroll_into_view_if_needed()
    page.wait_for_selector('.map[data-model="0"] .edge', state="attached")
    choose(page, "overlay", "samples")
    overlay = page.locator('g[data-overlay="samples"]')
    assert overlay.locator(".sample-dot").count() == MEASURED
    assert overlay.locator(".sample-cross").count() == HELD
    assert f"{MEASURED} measured; crosses: {HELD} held out" in overlay.locator("text").inner_html()
    across = overlay.locator(".sample-dot").evaluate_all("a => a.map((d) => d.getAttribute('cx'))")
    assert len(set(across)) == -(-MEASURED // 7)  # the first rows of alpha, seven points each


def test_the_caption_says_how_many_were_measured(visit: Callable, path: Path) -> None:
    # Kills: every point of the grid called measured, points held out among them.
    caption = visit(path).page.locator("#surface").inner_text()
    assert f"{MEASURED} of 63 points measured" in caption
    assert f"off by at most 1.2 % of the range of the loss's log at {HELD} points" in caption


def test_five_overlays_fit_a_telephone(visit: Callable, path: Path) -> None:
    # Kills: a row of choices that does not wrap.
    page = visit(path, viewport={"width": 375, "height": 800}).page
    page.locator(".segments").last.scroll_into_view_if_needed()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
