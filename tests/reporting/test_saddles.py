"""The saddles section from a matrix whose eigenvalues were chosen."""

from __future__ import annotations

from pathlib import Path

import torch
import xarray as xr

from theodolite import Operator, results
from theodolite.curvature import saddle_index
from theodolite.reporting import report
from theodolite.reporting.contents import read_trees
from theodolite.reporting.explanations import EXPLANATIONS
from theodolite.reporting.saddles import (
    curve_table,
    direction_table,
    saddle_panels,
    search_words,
    verdict_words,
)

EIGENVALUES = torch.tensor([10.0, 3.0, 1.0, -0.05, -0.2], dtype=torch.float64)


def index() -> xr.Dataset:
    matrix = Operator.from_matrix(torch.diag(EIGENVALUES))
    return saddle_index(matrix, thresholds=[1e-3, 1e-2, 0.1])


def search(accepted: bool = True) -> xr.Dataset:
    return results.dataset(
        "critical_point",
        {
            "gradient_norm": (("iteration",), [1.0, 0.1, 0.0], {"long_name": "norm"}),
            "loss": (("iteration",), [2.0, 1.5, 1.25], {"long_name": "loss"}),
            "products": (("iteration",), [0, 10, 25], {"long_name": "products"}),
        },
        {"iteration": [0, 1, 2]},
        method="newton-mr",
        products=25,
        accepted=accepted,
        reason="" if accepted else "the gradient is flat",
    )


def tree(**parts: xr.Dataset) -> xr.DataTree:
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"model": "Net"}), **parts})


def test_the_words_follow_the_verdicts():
    # kills: one verdict for all thresholds, thresholds out of order
    said = verdict_words(index())
    assert said.startswith("At thresholds from 1.0e-3 on: saddle with at least 2 directions; ")
    assert "from 1.0e-2 on: saddle with at least 1 direction" in said
    assert said.endswith("from 1.0e-1 on: minimum up to tau.")


def test_tables_hold_the_curve_and_the_lowest_eigenvalues():
    # kills: shares told as percent twice, the lowest eigenvalue last
    rows = curve_table(index()).rows
    assert [r[1] for r in rows] == ["40", "20", "0"]
    assert [r[3] for r in rows] == ["2", "1", "0"]
    assert direction_table(index()).rows[0][1].startswith("\N{MINUS SIGN}0.2")


def test_a_search_says_whether_it_found_one():
    # kills: a refused point told as a critical one
    assert search_words(search()).endswith("in 25 Hessian products: a critical point.")
    refused = search_words(search(False))
    assert refused.endswith("no critical point: the gradient is flat.")
    assert "from 1 to 0 " in refused


def test_the_page_has_the_section(tmp_path: Path):
    page = report(tree(saddle_index=index(), critical_point=search()), tmp_path / "r.html")
    text = page.read_text()
    assert EXPLANATIONS["saddles"].shows in text
    assert 'id="saddles"' in text
    assert "saddle with at least 2 directions" in text
    assert "a critical point." in text
    (contents,) = read_trees(tree(critical_point=search()))
    assert saddle_panels([contents])[0].picture == ""
