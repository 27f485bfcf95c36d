"""Many models on one page. Oracle: the surveys handed in, found again in the page's text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.reporting import fixtures

from theodolite.errors import InvalidArgument
from theodolite.reporting import report, save_multiples
from theodolite.reporting.contents import read_trees
from theodolite.reporting.multiples import panels_of
from theodolite.reporting.numbers import text
from theodolite.reporting.summary import summarize


@pytest.fixture(scope="module")
def trees() -> dict:
    kinds = ("bowl", "chaos", "bowl", "bowl", "chaos")
    small = {"planes": 1, "lines": 0, "steps": (9, 7)}
    return {f"net & {k}": fixtures.survey(kind, **small) for k, kind in enumerate(kinds)}


@pytest.fixture(scope="module")
def page(trees, tmp_path_factory: pytest.TempPathFactory) -> str:
    return report(trees, tmp_path_factory.mktemp("many") / "report.html").read_text("utf-8")


def test_every_model_has_one_small_panel_in_the_order_given(page: str, trees) -> None:
    # Kills: panels for some models only, or sorted.
    panels = re.findall(r'data-panel="(\d)"', page)
    assert panels == list("01234")
    names = re.findall(r'<figure class="panel" aria-label="Contour map of (.*?)">', page)
    assert names == [name.replace("&", "&amp;") for name in trees]


def test_each_panel_shows_its_own_headline_numbers(page: str, trees) -> None:
    # Kills: the numbers of another model under a panel.
    blocks = re.findall(r'<dl class="figures">(.*?)</dl>', page, re.DOTALL)
    for contents, block in zip(read_trees(trees), blocks, strict=True):
        shown = re.findall(r"<dd>(.*?)</dd>", block)
        assert shown == [text(h.number) for h in contents.headline[:4]]


def test_large_views_are_folded_and_a_still_is_kept_for_print(page: str) -> None:
    assert page.count('<details class="each">') == 1
    assert 'id="multiples-' in page
    still = page[page.index('id="multiples-') :]
    assert all(f"net &amp; {k}" in still for k in range(5))


def test_two_models_keep_their_large_views(trees, tmp_path: Path) -> None:
    # Kills: small panels for a page that has room.
    two = dict(list(trees.items())[:2])
    page = report(two, tmp_path / "two.html").read_text("utf-8")
    assert "data-panel" not in page.split("<script")[0]
    assert '<details class="each">' not in page


def test_the_panels_are_saved_as_a_file(trees, tmp_path: Path) -> None:
    (png,) = save_multiples(list(trees.values()), tmp_path)
    (pdf,) = save_multiples(list(trees.values()), tmp_path, form="pdf")
    assert (png.name, png.read_bytes()[:4]) == ("small_multiples.png", b"\x89PNG")
    assert pdf.read_bytes()[:5] == b"%PDF-"
    with pytest.raises(InvalidArgument, match="E-H06"):
        save_multiples(list(trees.values()), tmp_path, form="gif")


def test_a_panel_is_the_first_plane_of_its_model_under_its_first_numbers() -> None:
    # Kills: another plane of the same model, numbers from another place of the headline.
    several = {f"net {k}": fixtures.survey("bowl", planes=2, lines=0) for k in range(3)}
    surveys = read_trees(several)
    panels = panels_of(surveys, summarize(surveys).models)
    for contents, panel in zip(surveys, panels, strict=True):
        first, second = contents.planes
        assert panel.plane is first
        assert not first["loss"].equals(second["loss"])
        assert panel.notes == tuple(f"{h.label} {text(h.number)}" for h in contents.headline[:2])
