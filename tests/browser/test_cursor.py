"""The shared cursor: keyboard, pointer, cuts, and numbers written as Python writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib import colormaps

from theodolite.plots import heights
from theodolite.reporting.numbers import Number, text

WALK = """async (keys) => {
  const map = document.querySelector('.map[data-model="0"]');
  const frame = () => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)));
  const out = [];
  for (const key of keys) {
    map.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
    await frame();
    const { alpha, beta, pinned } = document.getElementById('surface').dataset;
    const readings = [...document.querySelectorAll('[data-seen] .reading')].map((r) =>
      [r.querySelector('b').textContent, r.dataset.value, r.dataset.error]);
    out.push({ alpha: Number(alpha), beta: Number(beta), pinned, readings });
  }
  return out;
}"""


def test_numbers_at_the_cursor_are_the_data_and_written_by_the_same_rule(
    visit: Callable, folder: Path, surveys: list[xr.DataTree]
) -> None:
    # Kills: a transposed plane, a cursor off by one, a rule that differs between the languages.
    page = visit(folder / "two.html").page
    keys = ["ArrowRight", "ArrowRight", "ArrowUp"] * 10 + [
        "ArrowLeft",
        "ArrowDown",
        "ArrowDown",
    ] * 14
    for step in page.evaluate(WALK, keys):
        for tree, (written, value, error) in zip(surveys, step["readings"], strict=True):
            plane = tree["plane_0"].to_dataset()
            point = plane.sel(alpha=step["alpha"], beta=step["beta"], method="nearest")
            if value == "NaN":
                assert written in ("diverged", "failed", "not computed")
                continue
            assert float(value) == np.float32(point["loss"])
            assert float(error) == np.float32(point["loss_error"])
            assert written == text(Number(float(value), float(error)))


def test_keys_mean_what_the_label_says(visit: Callable, folder: Path) -> None:
    page = visit(folder / "two.html").page
    right, up, lowest, home, enter, escape = page.evaluate(
        WALK, ["ArrowRight", "ArrowUp", "m", "Home", "Escape", "Enter"]
    )
    assert (right["alpha"], right["beta"]) == (0.04, 0)
    assert (up["alpha"], up["beta"]) == (0.04, 0.04)
    assert (lowest["alpha"], lowest["beta"]) == (0.04, -0.04)
    assert (home["alpha"], home["beta"]) == (0, 0)
    assert (enter["pinned"], escape["pinned"]) == ("false", "true")


def test_the_cursor_stops_at_the_border(visit: Callable, folder: Path) -> None:
    page = visit(folder / "two.html").page
    assert page.evaluate(WALK, ["ArrowLeft"] * 30)[-1]["alpha"] == -1


def test_tab_reaches_every_view_and_the_ring_is_visible(visit: Callable, folder: Path) -> None:
    # Kills: outline: none.
    page = visit(folder / "two.html").page
    page.locator('.map[data-model="1"]').scroll_into_view_if_needed()
    page.locator('.map[data-model="1"]').focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "map live"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("ArrowUp")
    assert page.locator("#surface").get_attribute("data-beta") == "0.04"


def test_the_pointer_moves_the_cursor_and_a_click_pins_it(visit: Callable, folder: Path) -> None:
    page = visit(folder / "two.html").page
    view = page.locator('.map[data-model="0"]')
    view.scroll_into_view_if_needed()
    page.wait_for_selector('.map[data-model="0"] .edge', state="attached")
    edge = page.locator('.map[data-model="0"] .edge').bounding_box()
    at = (edge["x"] + 0.75 * edge["width"], edge["y"] + 0.25 * edge["height"])
    page.mouse.move(*at)
    section = page.locator("#surface")
    assert section.get_attribute("data-alpha") == "0.52"
    assert section.get_attribute("data-beta") == "0.52"
    page.mouse.click(*at)
    page.mouse.move(at[0] - 100, at[1])
    assert section.get_attribute("data-alpha") == "0.52"
    assert section.get_attribute("data-pinned") == "true"


def test_the_colors_of_the_map_are_the_scale_s(
    visit: Callable, folder: Path, surveys: list[xr.DataTree]
) -> None:
    # Kills: a field flipped or transposed against its axes, another range, another map.
    page = visit(folder / "two.html").page
    page.locator('.map[data-model="1"]').scroll_into_view_if_needed()
    page.wait_for_selector('.map[data-model="1"] .edge', state="attached")
    planes = [t["plane_0"].to_dataset() for t in surveys]
    scale = heights(planes)
    nodes = [(5, 30), (30, 5), (44, 12), (12, 44), (25, 25), (40, 40)]
    seen = page.evaluate(
        """(nodes) => { const c = document.querySelector('.map[data-model="1"] canvas');
          const pen = c.getContext('2d');
          const at = (part, pixels) => Math.round(part * (pixels - 1));
          return nodes.map(([i, j]) =>
            [...pen.getImageData(at(i / 50, c.width), at(1 - j / 50, c.height), 1, 1).data]);
        }""",
        nodes,
    )
    low, high = np.log10([scale.low, scale.high])
    for (i, j), color in zip(nodes, seen, strict=True):
        height = (np.log10(float(planes[1]["loss"][i, j])) - low) / (high - low)
        wanted = 255 * np.array(colormaps["cividis"](height))
        np.testing.assert_allclose(color, wanted, atol=9)


@pytest.mark.parametrize("axis", [1, 2])
def test_cuts_run_through_the_cursor(
    visit: Callable, folder: Path, surveys: list[xr.DataTree], axis: int
) -> None:
    # Kills: rows and columns exchanged, a cut through the start instead of the cursor.
    page = visit(folder / "two.html").page
    page.evaluate(WALK, ["ArrowRight"] * 5 + ["ArrowDown"] * 11)
    figure = f'[data-cut="{axis}"]'
    page.locator(figure).scroll_into_view_if_needed()
    page.wait_for_selector(f"{figure} .curve", state="attached")
    page.wait_for_timeout(100)
    ticks, path = page.evaluate(
        """(figure) => { const f = document.querySelector(figure);
          return [[...f.querySelectorAll('text[text-anchor=end]')].map(
                    (t) => [t.textContent, Number(t.getAttribute('y'))]),
                  f.querySelectorAll('.curve')[0].getAttribute('d')]; }""",
        figure,
    )
    (first, y1), *_, (last, y2) = ((float(t.replace(",", "")), y) for t, y in ticks)
    ys = np.array([float(p.split(" ")[1]) for p in path[1:].split("L")])
    slope = (np.log10(last) - np.log10(first)) / (y2 - y1)
    values = 10 ** (np.log10(first) + slope * (ys - y1))
    plane = surveys[0]["plane_0"].to_dataset()
    row = plane.isel(beta=14) if axis == 1 else plane.isel(alpha=30)
    np.testing.assert_allclose(values, row["loss"].values, rtol=0.02)
