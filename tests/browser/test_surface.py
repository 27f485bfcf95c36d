"""The live 3-D views, in a browser that draws them in software."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright import sync_api as playwright
from tests.browser.conftest import SOFTWARE, Watched

WAIT = 120_000
EYES = """[...document.querySelectorAll('.gl .js-plotly-plot')].map((p) => {
  const { x, y, z } = p.layout.scene.camera.eye;
  return [x, y, z].map((v) => Number(v.toFixed(6))); })"""


STATES = """[document.visibilityState, typeof window.Plotly, window.scrollY,
  document.getElementById('plotly-code').textContent.length,
  ...[...document.querySelectorAll('.gl')].map((gl) =>
    [gl.dataset.state, gl.querySelector('.note').textContent])]"""


def opened(visit: Callable, path: Path):  # type: ignore[no-untyped-def]
    seen = visit(path, flags=SOFTWARE, viewport={"width": 900, "height": 800})
    seen.page.locator("details.each > summary").click()
    seen.page.wait_for_selector("details.each[open]", timeout=WAIT)
    seen.page.locator(".gl").first.scroll_into_view_if_needed()
    for m in (0, 1):
        wait(seen, f'.gl[data-model="{m}"][data-state="live"]')
    return seen


def wait(seen: Watched, selector: str) -> None:
    """Waits for a selector; where it does not come, the page's own words go into the error."""
    try:
        seen.page.wait_for_selector(selector, state="attached", timeout=WAIT)  # type: ignore[attr-defined]
    except playwright.TimeoutError as error:
        states = seen.page.evaluate(STATES)  # type: ignore[attr-defined]
        raise AssertionError(f"no {selector}: {states}, console: {seen.problems}") from error


def test_surfaces_live_share_one_camera_and_never_exceed_two(visit: Callable, three: Path) -> None:
    # Kills: a policy that stops the library, a third WebGL context, cameras that drift apart,
    # the library's "share" button, requests of the library.
    seen = opened(visit, three)
    page = seen.page
    assert page.locator('.gl[data-state="live"]').count() == 2
    assert page.locator(".modebar-btn").count() == 0
    assert "hare chart" not in page.locator("body").inner_text()

    first = page.evaluate(EYES)
    assert first[0] == first[1]
    page.locator('.gl[data-model="0"]').focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("+")
    page.wait_for_timeout(1500)
    turned = page.evaluate(EYES)
    assert turned[0] == turned[1]
    assert turned != first
    page.keyboard.press("r")
    page.wait_for_timeout(1500)
    assert page.evaluate(EYES) == first

    page.locator('.gl[data-model="2"] button').click()
    wait(seen, '.gl[data-model="2"][data-state="live"]')
    assert page.locator('.gl[data-state="live"]').count() == 2
    assert page.locator(".gl button").count() == 1
    assert page.locator(".gl button").is_visible()
    assert seen.problems == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in seen.requests)


def test_the_surface_is_the_plane_and_the_pin_follows_the_cursor(
    visit: Callable, three: Path
) -> None:
    # Kills: heights transposed against the axes; a marker that stays behind.
    page = opened(visit, three).page
    z, packed = page.evaluate(
        """() => { const p = document.querySelector('.gl[data-model="0"] .js-plotly-plot');
          const data = JSON.parse(document.getElementById('page-data').textContent);
          return [p.data[0].z, data.planes[0][0].fields.loss]; }"""
    )
    loss = np.frombuffer(base64.b64decode(packed["f32"]), "<f4").reshape(packed["shape"])
    drawn = np.array([[np.nan if v is None else v for v in row] for row in z], dtype=float)
    assert drawn.shape == (7, 9)
    known = np.isfinite(drawn)
    assert known.sum() > 40
    np.testing.assert_allclose(drawn[known], np.log10(loss.T[known]), rtol=1e-5, atol=1e-6)

    page.locator('.map[data-model="0"]').focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    page.wait_for_timeout(2500)
    pins = page.evaluate(
        """[...document.querySelectorAll('.gl[data-state=live] .js-plotly-plot')].map((p) => {
          const pin = p.data[p.data.length - 1]; return [pin.x[0], pin.y[0]]; })"""
    )
    assert pins == [[0.25, pytest.approx(1 / 3)], [0.25, pytest.approx(1 / 3)]]


def test_a_surface_whose_context_is_lost_says_so_and_can_be_started_again(
    visit: Callable, three: Path
) -> None:
    # Kills: a frozen or black 3-D view after the browser took its context away.
    seen = opened(visit, three)
    page = seen.page
    page.evaluate(
        """() => { const canvas = document.querySelector('.gl[data-model="0"] canvas');
          const gl = canvas.getContext('webgl2') ?? canvas.getContext('webgl');
          gl.getExtension('WEBGL_lose_context').loseContext(); }"""
    )
    wait(seen, '.gl[data-model="0"][data-state="still"]')
    assert "gave up" in page.locator('.gl[data-model="0"] .note').inner_text()
    assert page.locator('.gl[data-state="live"]').count() == 1
    page.locator('.gl[data-model="0"] button').click()
    wait(seen, '.gl[data-model="0"][data-state="live"]')
    assert page.locator('.gl[data-model="0"] .note').inner_text() == ""
    assert page.locator('.gl[data-state="live"]').count() == 2
