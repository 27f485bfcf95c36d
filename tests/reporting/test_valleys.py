"""The valleys of the sharpness section from planted parabolas. Oracle: the numbers put in."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from tests.reporting.descents import valleys
from tests.reporting.test_sharpness import table, tree

from theodolite.reporting import report
from theodolite.reporting.contents import read_trees
from theodolite.reporting.valleys import (
    DRAWN,
    minimum_table,
    shift_table,
    valley_panel,
    valley_words,
)


def test_the_sentence_has_the_means_over_lines_with_errors_over_examples() -> None:
    # kills: the mean of the lines' errors, means over lines that have no minimum, predicted and
    # measured exchanged. Excess (3 * 0.3^2 + 5 * 0.5^2) / 4 = 0.38, gap one more.
    said = valley_words(valleys())
    assert "is 0.3800 ± 0.0075 above its own lowest value, 28 % of the gap" in said
    assert "on average over 2 lines" in said
    assert "the squared shift says 0.418 ± 0.018" in said
    assert "The gap between the two losses there is 1.38 ± 0.12." in said
    assert said.endswith("On 1 more there is no minimum within reach.")


def test_results_without_an_error_over_examples_have_an_upper_bound() -> None:
    # kills: an old result that cannot be shown
    found = valleys()
    old = found.drop_vars([n for n in found if str(n).startswith("mean_")])
    assert "is 0.380 ± 0.015 above" in valley_words(old)


def test_lines_without_minima_are_counted_not_averaged() -> None:
    # kills: NaN in words, a share of a gap that is negative
    said = valley_words(valleys().isel(direction=[2]))
    assert said.startswith("On none of 1 lines both losses have a minimum within reach")
    inverse = valleys().assign(gap=-valleys()["gap"])
    assert "% of the gap" not in valley_words(inverse)


def test_tables_are_in_distances() -> None:
    # kills: places along alpha, curvature by alpha, lines exchanged
    shifts = shift_table(valleys()).rows
    assert [r[0] for r in shifts] == ["eigenvector 1", "random 1", "random 2"]
    assert shifts[0][1] == "0.60 ± 0.11"  # 0.3 of a length of 2
    assert shifts[1][1] == "1.5 ± 0.2"
    assert shifts[1][2:] == ("0.62 ± 0.02", "0.69 ± 0.04")
    assert shifts[2][1:] == ("none", "none", "none")
    places = minimum_table(valleys()).rows
    assert places[1][1:3] == ("\N{MINUS SIGN}0.60 ± 0.09", "0.90 ± 0.18")
    assert places[0][3:5] == ("0.5", "0.75")  # 2 and 3 over a squared length of 4
    assert places[2][1:] == ("none",) * 5


def test_a_picture_is_drawn_for_the_first_lines_only() -> None:
    # kills: pictures that share their ids, one for every line of a long list
    many = valleys().isel(direction=[0, 1, 2, 0, 1, 2, 0, 1])
    (contents,) = read_trees(tree(found=many))
    panel = valley_panel(contents, 4)
    assert panel is not None
    assert len(panel.pictures) == DRAWN
    assert len(panel.table.rows) == 8
    ids = [set(re.findall(r'id="([^"]+)"', drawn)) for _, drawn in panel.pictures]
    assert all(ids)
    assert not ids[0] & ids[1]
    (bare,) = read_trees(tree(sharpness=table()))
    assert valley_panel(bare, 0) is None


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    both = [tree(sharpness=table(), valleys=valleys()), tree(sharpness=table())]
    return report(both, Path(tmp_path_factory.mktemp("valleys")) / "r.html").read_text("utf-8")


def test_the_page_has_the_valleys_of_the_survey_that_has_them(page: str) -> None:
    # kills: a heading without a picture, valleys of the other survey
    assert page.count("Valleys of training and test loss</h3>") == 1
    assert page.count('aria-label="Training and test loss along') == 3
    assert "Random 2</p>" in page
    assert "28 % of the gap" in page


def test_why_there_are_none_is_said(tmp_path: Path) -> None:
    # kills: silence where valleys were asked for
    why = "The target has no test data, so there is no test loss whose valley could be shifted."
    only = tree(sharpness=table().assign_attrs(no_valleys=why))
    assert why in report(only, tmp_path / "r.html").read_text("utf-8")
    assert np.isnan(float(valleys()["excess"][2]))
