"""Every switch changes what it names, for all models at once."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

PIXELS = """(m) => { const c = document.querySelector(`.map[data-model="${m}"] canvas`);
  return c.toDataURL().length + c.toDataURL().slice(-4000); }"""


@pytest.fixture
def page(visit: Callable, folder: Path) -> object:
    """The page of two surveys with both maps drawn."""
    page = visit(folder / "two.html").page
    page.locator('.map[data-model="0"]').scroll_into_view_if_needed()
    for m in (0, 1):
        page.wait_for_selector(f'.map[data-model="{m}"] .edge', state="attached")
    return page


def choose(page: object, key: str, value: object) -> None:
    chosen = f'input[data-set="{key}"][value="{value}"]'
    page.locator(f"label:has({chosen})").click()  # type: ignore[attr-defined]
    assert page.locator(chosen).is_checked()  # type: ignore[attr-defined]
    page.wait_for_timeout(60)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("key", "value"), [("scale", "linear"), ("split", "test"), ("plane", 1), ("metric", "accuracy")]
)
def test_a_switch_redraws_every_map_and_back(page: object, key: str, value: object) -> None:
    # Kills: a switch wired to one model, or to nothing.
    before = [page.evaluate(PIXELS, m) for m in (0, 1)]  # type: ignore[attr-defined]
    first = page.locator("#surface").get_attribute(f"data-{key}")  # type: ignore[attr-defined]
    choose(page, key, value)
    assert page.locator("#surface").get_attribute(f"data-{key}") == str(value)  # type: ignore[attr-defined]
    after = [page.evaluate(PIXELS, m) for m in (0, 1)]  # type: ignore[attr-defined]
    assert all(a != b for a, b in zip(before, after, strict=True))
    choose(page, key, first)
    assert [page.evaluate(PIXELS, m) for m in (0, 1)] == before  # type: ignore[attr-defined]


def test_log_is_chosen_by_default_and_impossible_for_accuracy(page: object) -> None:
    assert page.locator("#surface").get_attribute("data-scale") == "log"  # type: ignore[attr-defined]
    choose(page, "metric", "accuracy")
    assert page.locator('input[data-set=scale][value="log"]').is_disabled()  # type: ignore[attr-defined]
    assert page.locator("#surface").get_attribute("data-scale") == "linear"  # type: ignore[attr-defined]


def test_the_clip_is_told_on_the_linear_scale(page: object) -> None:
    choose(page, "scale", "linear")
    note = page.locator("[data-scale-note]").inner_text()  # type: ignore[attr-defined]
    assert "heights and colors stop at" in note
    assert "the highest point reaches 1,400" in note


def test_the_error_overlay_comes_and_goes(page: object) -> None:
    choose(page, "overlay", "error")
    assert page.locator("[data-overlay=error] circle").count() > 100  # type: ignore[attr-defined]
    choose(page, "overlay", "none")
    assert page.locator("[data-overlay=error]").count() == 0  # type: ignore[attr-defined]


def test_the_color_range_narrows_and_reset_restores_everything(page: object) -> None:
    section = page.locator("#surface")  # type: ignore[attr-defined]
    high = section.get_attribute("data-high")
    page.locator("[data-range=high]").focus()  # type: ignore[attr-defined]
    for _ in range(20):
        page.keyboard.press("ArrowLeft")  # type: ignore[attr-defined]
    assert float(section.get_attribute("data-high")) < float(high)
    choose(page, "plane", 1)
    page.locator("[data-do=reset]").click()  # type: ignore[attr-defined]
    assert section.get_attribute("data-high") == high
    assert section.get_attribute("data-plane") == "0"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_until_it_is_switched(
    visit: Callable, folder: Path, scheme: str
) -> None:
    page = visit(folder / "one.html", color_scheme=scheme).page
    paper = "getComputedStyle(document.body).backgroundColor"
    first = page.evaluate(paper)
    assert page.locator(f'input[name=theme][value="{scheme}"]').is_checked()
    other = "light" if scheme == "dark" else "dark"
    page.locator(f'input[name=theme][value="{other}"]').check(force=True)
    assert page.evaluate(paper) != first


def test_the_spectrum_has_two_axes(page: object) -> None:
    page.locator('[data-spectrum="0"]').scroll_into_view_if_needed()  # type: ignore[attr-defined]
    page.wait_for_selector('[data-spectrum="0"] .curve', state="attached")  # type: ignore[attr-defined]
    read = "document.querySelector('[data-spectrum=\"0\"] .curve').getAttribute('d')"
    wide = page.evaluate(read)  # type: ignore[attr-defined]
    choose(page, "spectrum", "linear")
    assert page.evaluate(read) != wide  # type: ignore[attr-defined]


def test_saved_data_are_the_plane(page: object, surveys: list[xr.DataTree]) -> None:
    # Kills: a file of one model, of another plane, or with gaps filled in.
    choose(page, "plane", 1)
    with page.expect_download() as waiting:  # type: ignore[attr-defined]
        page.locator("[data-do=save-data]").click()  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))
    assert {r["model"] for r in rows} == {"ResNet-20", "ResNet-20, no skips"}
    for tree in surveys:
        plane = tree["plane_1"].to_dataset()
        mine = [r for r in rows if r["model"] == tree.attrs["model"]]
        got = [float(r["loss"]) if r["loss"] else np.nan for r in mine]
        np.testing.assert_allclose(got, plane["loss"].values.ravel(), rtol=1e-6)
        assert [r["status"] == "ok" for r in mine] == (plane["status"].values == 1).ravel().tolist()


def test_the_saved_picture_is_a_picture(page: object) -> None:
    with page.expect_download() as waiting:  # type: ignore[attr-defined]
        page.locator("[data-do=save-picture]").click()  # type: ignore[attr-defined]
    assert waiting.value.suggested_filename.endswith("plane-1.png")
    raw = Path(waiting.value.path()).read_bytes()
    assert raw.startswith(b"\x89PNG")
    assert len(raw) > 50_000
