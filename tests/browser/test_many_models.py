"""Small panels of many models. Oracle: the surveys' own numbers, and geometry in the browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.browser.conftest import tiny

from theodolite.reporting import report

MODELS = 5


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five surveys, the last on half the span of the others."""
    trees = {f"net {k}": tiny(f"net {k}") for k in range(MODELS)}
    for name in ("plane_0", "plane_1"):
        last = trees["net 4"][name].to_dataset()
        trees["net 4"][name].dataset = last.assign_coords(
            alpha=0.5 * last["alpha"], beta=0.5 * last["beta"]
        )
    return report(trees, tmp_path_factory.mktemp("many") / "many.html")


def drawn(page: object) -> None:
    """Scroll through the panels until each has been drawn."""
    for k in range(MODELS):
        page.locator(f'[data-panel="{k}"]').scroll_into_view_if_needed()  # type: ignore[attr-defined]
        page.wait_for_selector(f'[data-panel="{k}"] .edge', state="attached")  # type: ignore[attr-defined]


@pytest.mark.parametrize(("width", "across"), [(1440, 4), (768, 3), (375, 1)])
def test_panels_stand_in_rows_that_fit(visit: Callable, many: Path, width: int, across: int):
    # Kills: a grid of one width for all screens; a page wider than its window.
    seen = visit(many, viewport={"width": width, "height": 900})
    drawn(seen.page)
    tops = [p["y"] for p in (seen.page.locator(".panel").nth(k).bounding_box() for k in range(5))]
    assert sum(abs(t - tops[0]) < 1 for t in tops) == across
    assert seen.page.evaluate("document.documentElement.scrollWidth") == width
    assert not seen.problems


def test_a_narrow_plane_is_drawn_small_on_the_shared_span(visit: Callable, many: Path) -> None:
    # Kills: a span of its own for each panel.
    page = visit(many).page
    drawn(page)
    wide, narrow = (
        page.locator(f'[data-panel="{k}"] canvas').bounding_box()["width"] for k in (0, 4)
    )
    assert narrow == pytest.approx(wide / 2, abs=1.5)


def test_one_cursor_moves_in_every_panel_and_is_read_beneath(visit: Callable, many: Path) -> None:
    # Kills: a panel left out of the cursor; the reading of another model.
    page = visit(many).page
    drawn(page)
    page.locator('[data-panel="1"]').focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(120)
    assert page.locator("#surface").get_attribute("data-alpha") == "0.25"
    texts = page.locator("[data-at]").all_inner_texts()
    assert len(texts) == MODELS
    assert all(t.startswith("loss at the cursor ") for t in texts)
    assert len(set(texts[:4])) == 1
    assert texts[4] != texts[0]
    lines = [page.locator(f'[data-panel="{k}"] .cross').get_attribute("d") for k in range(4)]
    assert len(set(lines)) == 1


def test_full_size_views_wait_until_they_are_asked_for(visit: Callable, many: Path) -> None:
    page = visit(many).page
    assert not page.locator(".each .views").first.is_visible()
    page.locator(".each > summary").click()
    page.locator('.map[data-model="0"]').scroll_into_view_if_needed()
    page.wait_for_selector('.map[data-model="0"] .edge', state="attached")


def test_without_scripts_and_on_paper_a_still_takes_their_place(visit: Callable, many: Path):
    # Kills: a page that prints or shows nothing where the panels were.
    page = visit(many, java_script_enabled=False).page
    assert page.locator("figure.still-slot svg.still").first.is_visible()
    assert not page.locator(".multiples").is_visible()
    page = visit(many).page
    page.emulate_media(media="print")
    assert page.locator("#surface figure.still-slot > svg.still").first.is_visible()
    assert not page.locator(".multiples").is_visible()
