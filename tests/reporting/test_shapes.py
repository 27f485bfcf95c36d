"""The section on shape, by its text and its tables.

Oracles: `td.shape` and `td.topology` themselves; a tent, whose numbers are known.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import xarray as xr
from tests.reporting.shapes import plane
from tests.shapes.planted import double_well, surface, tent

import theodolite as td
from theodolite.reporting.contents import read_trees
from theodolite.reporting.explanations import EXPLANATIONS
from theodolite.reporting.pitfalls import PITFALLS
from theodolite.reporting.shapes import complete, shape_panels


def tree(*planes: xr.Dataset, **more: xr.Dataset) -> xr.DataTree:
    children = {f"plane_{k}": xr.DataTree(p) for k, p in enumerate(planes)}
    return xr.DataTree(children=children | {k: xr.DataTree(v) for k, v in more.items()})


def tents(*factors: float, **attrs: object) -> list[xr.Dataset]:
    return [
        surface(
            lambda x, y, f=f: 0.2 + f * tent(x, y),
            error=0.01,
            plane=k,
            normalize="filter",
            start_loss=0.2,
            start_loss_error=0.01,
            **attrs,
        )
        for k, f in enumerate(factors)
    ]


def test_the_sentence_cites_the_numbers_of_the_table() -> None:
    # kills: a level, a unit or a plane of another statistic in the sentence
    (panel,) = shape_panels(read_trees(tree(*tents(2.0, 2.0))))
    found = td.shape(tents(2.0, 2.0))
    assert panel.found is not None
    assert panel.found.equals(found)
    width = float(found.width_mean[0, 1])
    assert panel.sentence.startswith(
        "From the start the loss stays below the start's loss plus 1 for "
        f"{width:.3f} filter norms on average"
    )
    assert "below it lie 12.5 % of its area; inside the plane is 1 minimum deeper" in panel.sentence
    assert panel.table is not None
    cells = {row[0]: row[1:] for row in panel.table.rows}
    assert cells["share of the plane below start + 1"][0] == "12.5 %"
    assert cells["minima inside, above two standard errors"][1] == "a count"


def test_one_plane_says_that_it_has_no_error_over_planes() -> None:
    # kills: an error bar of one plane
    (panel,) = shape_panels(read_trees(tree(*tents(1.0))))
    assert panel.sentence.endswith("(one plane: no error over planes).")
    assert panel.table is not None
    assert not any("±" in row[1] for row in panel.table.rows)


def test_incomplete_planes_and_other_grids_are_left_out_and_named() -> None:
    # kills: holes taken for walls; planes of other spans averaged
    holed, whole = tents(1.0, 1.0)
    holed["status"][0, 0] = 0
    wide = surface(tent, np.linspace(-2, 2, 21), np.linspace(-2, 2, 21), plane=2)
    assert complete([holed, whole]) == [whole]
    (panel,) = shape_panels(read_trees(tree(holed, whole, wide)))
    assert panel.note == (
        "2 of 3 planes are incomplete or on another grid. "
        "On plane 2 there is one minimum and no saddle, so no tree to draw."
    )
    assert len(panel.pictures) == 1
    assert panel.topologies is not None
    assert [r[0] for r in panel.topologies.rows] == ["plane 2"]
    assert shape_panels(read_trees(tree(holed))) == ()


def test_a_volume_alone_is_reported(tmp_path: Path) -> None:
    # kills: a tree with nothing but a volume refused as empty
    x = np.linspace(-1, 1, 9)
    cube = surface(double_well, x, x, x, quantity="volume")
    page = td.report(tree(volume_0=cube), tmp_path / "r.html").read_text("utf-8")
    assert 'id="shape"' in page
    assert "Merge tree of volume 1" in page


def test_the_page_has_the_section_its_pictures_and_its_pitfall(tmp_path: Path) -> None:
    # kills: a section without its link in the bar; pictures that are not there
    planes = (plane("chaos", index=k, gaps=False) for k in range(2))
    page = td.report(tree(*planes), tmp_path / "r.html")
    text = html.unescape(page.read_text("utf-8"))
    section = text[text.index('<section class="section" id="shape"') :]
    section = section[: section.index("</section>")]
    assert section.count("<svg") == 3
    for title in ("Barcode of plane 1", "Merge tree of plane 1", "first exceeds a level"):
        assert title in section
    assert '<a href="#shape">Shape</a>' in text
    assert EXPLANATIONS["topology"].shows in section
    assert "SMAD" in section
    assert {EXPLANATIONS[k].pitfall for k in ("shape", "topology")} <= {p.id for p in PITFALLS}
    ids = re.findall(r'\bid="([^"]+)"', section)
    assert len(ids) == len(set(ids))


def test_without_a_plane_there_is_no_section(tmp_path: Path) -> None:
    # kills: an empty section
    line = xr.Dataset(
        {"loss": ("alpha", [1.0, 0.0, 1.0])}, {"alpha": [-1.0, 0.0, 1.0]}, {"quantity": "line"}
    )
    assert 'id="shape"' not in td.report(line, tmp_path / "r.html").read_text("utf-8")
