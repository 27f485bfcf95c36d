"""The page opens from a file, offline, without errors, and asks the network for nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.browser.conftest import tiny

from theodolite.reporting import report


@pytest.mark.parametrize("name", ["one", "two"])
def test_no_error_and_no_request(visit: Callable, folder: Path, name: str) -> None:
    # Kills: any fetch, font, map tile or script from elsewhere; any exception while drawing.
    seen = visit(folder / f"{name}.html")
    seen.page.wait_for_selector("html[data-ready=yes]", state="attached")
    height = seen.page.evaluate("document.documentElement.scrollHeight")
    for y in range(0, height, 600):
        seen.page.evaluate(f"window.scrollTo({{top: {y}, behavior: 'instant'}})")
        seen.page.wait_for_timeout(30)
    assert seen.problems == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in seen.requests)
    assert [u for u in seen.requests if u.startswith("file:")] == [
        (folder / f"{name}.html").as_uri()
    ]


HEIGHTS = """[...document.querySelectorAll('section, figure, .chart, .map, .colorbar, .gl')].map(
  (e) => [e.nodeName, e.className, e.id, Math.round(e.getBoundingClientRect().height)])"""
FRAMES = "new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))"
UNDRAWN = """[...document.querySelectorAll('.chart, .map, .colorbar > div:last-child')]
  .filter((e) => e.clientWidth && !e.querySelector('svg:last-of-type > *')).length"""


@pytest.mark.parametrize("name", ["one", "two", "three"])
@pytest.mark.parametrize("width", [375, 1280])
def test_nothing_moves_when_a_drawing_comes(
    visit: Callable, folder: Path, three: Path, name: str, width: int
) -> None:
    # Kills: room of another height than the drawing's, so that what one is about to click moves.
    path = three if name == "three" else folder / f"{name}.html"
    page = visit(path, viewport={"width": width + 200, "height": 200}).page
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    page.evaluate(FRAMES)
    page.set_viewport_size({"width": width, "height": 200})
    page.evaluate(FRAMES)
    check_room(page)


def test_nothing_moves_after_a_choice_made_before_the_drawing_comes(
    visit: Callable, tmp_path: Path
) -> None:
    # Kills: room that stays as it was when a plane of another shape is chosen.
    tree = tiny("model")
    tree["plane_1"] = (
        tree["plane_1"].to_dataset().assign_coords(beta=[-0.2, -0.1, 0, 0.1, 0.2, 0.3, 0.4])
    )
    page = visit(report(tree, tmp_path / "page.html"), viewport={"width": 900, "height": 200}).page
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    page.evaluate(FRAMES)
    first = page.evaluate(HEIGHTS)
    page.evaluate("document.querySelector('input[data-set=plane][value=\"1\"]').click()")
    page.evaluate(FRAMES)
    assert page.evaluate(HEIGHTS) != first
    check_room(page)


def check_room(page) -> None:  # type: ignore[no-untyped-def]
    before, waiting = page.evaluate(HEIGHTS), page.evaluate(UNDRAWN)
    for y in range(0, page.evaluate("document.documentElement.scrollHeight"), 300):
        page.evaluate(f"window.scrollTo({{top: {y}, behavior: 'instant'}})")
        page.evaluate(FRAMES)
    for _ in range(300):
        if page.evaluate(UNDRAWN) == 0:
            break
        page.wait_for_timeout(100)
    assert waiting > 0
    assert page.evaluate(UNDRAWN) == 0
    assert page.evaluate(HEIGHTS) == before


@pytest.mark.parametrize("name", ["one", "two"])
def test_numbers_on_the_page_equal_the_summary(visit: Callable, folder: Path, name: str) -> None:
    # Kills: numbers that pass through text on their way to either file.
    page = visit(folder / f"{name}.html").page
    shown = page.evaluate(
        "[...document.querySelectorAll('data[data-name]')].map(d => "
        "[Number(d.dataset.model), d.dataset.name, Number(d.value), "
        "d.dataset.error === '' ? null : Number(d.dataset.error), d.dataset.exact === 'true'])"
    )
    summary = json.loads((folder / f"{name}.json").read_text())
    models = summary.get("models", [summary])
    wanted = [
        [m, row["name"], row["value"], row["error"], row["exact"]]
        for m, model in enumerate(models)
        for row in model["headline"]
    ]
    assert sorted(shown, key=str) == sorted(wanted, key=str)


@pytest.mark.parametrize("name", ["one", "two"])
def test_sentences_on_the_page_are_those_of_the_summary(
    visit: Callable, folder: Path, name: str
) -> None:
    page = visit(folder / f"{name}.html").page
    shown = page.evaluate("[...document.querySelectorAll('.words li')].map(e => e.textContent)")
    assert [" ".join(s.split()) for s in shown] == json.loads(
        (folder / f"{name}.json").read_text()
    )["words"]


def test_the_policy_stops_scripts_that_are_not_the_page_s(visit: Callable, folder: Path) -> None:
    # Kills: unsafe-inline, unsafe-eval, blob: or data: among the allowed sources.
    page = visit(folder / "one.html", before="window.ran = []").page
    page.evaluate(
        """() => {
          const blob = new Blob(['ran.push(2)'], {type: 'text/javascript'});
          const sources = [null, 'data:text/javascript,ran.push(1)', URL.createObjectURL(blob)];
          for (const src of sources) {
            const s = document.createElement('script');
            if (src) s.src = src; else s.textContent = 'ran.push(0)';
            document.head.append(s);
          }
          const image = document.createElement('div');
          image.innerHTML = '<img src=x onerror="ran.push(3)"><svg onload="ran.push(4)"></svg>';
          document.body.append(image);
        }"""
    )
    page.wait_for_timeout(300)
    assert page.evaluate("window.ran") == []


def test_links_of_the_bar_lead_to_sections(visit: Callable, folder: Path) -> None:
    page = visit(folder / "two.html").page
    targets = page.evaluate(
        "[...document.querySelectorAll('.bar nav a')].map(a => !!document.querySelector(a.hash))"
    )
    assert len(targets) >= 7
    assert all(targets)
