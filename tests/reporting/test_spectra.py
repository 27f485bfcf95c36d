"""The spectrum in numbers and layer by layer, on page and in JSON. Oracle: the numbers put in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests.reporting import spectra as planted

import theodolite as td
from theodolite import results
from theodolite.reporting import report, write_summary
from theodolite.reporting.contents import Contents, read_trees
from theodolite.reporting.explanations import EXPLANATIONS
from theodolite.reporting.layers import MOST_DRAWN, by_layer, drawn, layer_panels
from theodolite.reporting.spectra import (
    node_table,
    norm_table,
    summary_table,
    warm_note,
)
from theodolite.reporting.spectrum_values import node_rows
from theodolite.reporting.tables import angle_text, eigenvalue_table


def contents(**children: xr.Dataset) -> Contents:
    return read_trees(xr.DataTree.from_dict(children))[0]


def layers(count: int, lost: tuple[int, ...] = ()) -> xr.Dataset:
    """Layer k has trace k, one node at k with all the weight, and largest eigenvalue 2 k."""
    k = np.arange(1.0, count + 1)
    k[list(lost)] = np.nan
    node = np.stack([np.zeros_like(k), k], axis=-1)[:, None].repeat(2, axis=1)
    weight = np.broadcast_to([0.75, 0.25], node.shape) + 0 * node
    one = {
        "largest_eigenvalue": 2 * k,
        "largest_residual": 0.01 + 0 * k,
        "smallest_eigenvalue": -k,
        "smallest_residual": 0.02 + 0 * k,
        "trace": k,
        "trace_error": 0 * k,
        "size": np.full(count, 10),
        "products": np.full(count, 50),
    }
    variables = {n: (("layer",), v, {"long_name": n}) for n, v in one.items()}
    dims = ("layer", "probe", "step")
    variables["node"] = (dims, node, {"long_name": "eigenvalue"})
    variables["weight"] = (dims, weight, {"long_name": "weight"})
    names = ["", *(f"block.{n}" for n in range(1, count))]
    return results.dataset("layer_spectra", variables, {"layer": names})


def norm() -> xr.Dataset:
    numbers = {"frobenius_norm": 5.0, "norm_error": 0.25, "squared_norm": 25.0}
    numbers["standard_error"] = 2.5
    variables = {k: ((), v, {"long_name": k}) for k, v in numbers.items()}
    return results.dataset("frobenius_norm", variables, exact=False)


def diagonals() -> xr.Dataset:
    values = {"mean": 1.5, "smallest": -2.0, "largest": 7.0}
    every = values | {f"{k}_error": 0.5 for k in values} | {"size": 12}
    variables = {k: (("layer",), [v], {"long_name": k}) for k, v in every.items()}
    return results.dataset("layer_diagonals", variables, {"layer": ["fc"]})


def test_the_summary_states_what_the_density_says() -> None:
    # kills: shares not in percent, bounds of another number, errors of another kind
    found = contents(spectrum=planted.spectrum("chaos"))
    summary = td.spectral_summary(planted.spectrum("chaos"))
    table = summary_table(found)
    assert table is not None
    rows = {r[0]: r for r in table.rows}
    negative = next(r for n, r in rows.items() if n.startswith("negative"))
    assert negative[1].startswith(f"{100 * float(summary.negative_mass):.1f}"[:2])
    assert negative[2].endswith("%")
    outliers = next(r for n, r in rows.items() if n.startswith("outliers"))
    low, high = (float(v.replace(",", "")) for v in outliers[2].split(" to "))
    assert low == pytest.approx(float(summary.outliers_low), rel=0.01, abs=1e-9)
    assert high == pytest.approx(float(summary.outliers_high), rel=0.01)
    assert norm_table(found) is None


def test_norms_are_told_with_their_damping_or_why_there_are_none() -> None:
    # kills: sums at a damping nobody asked for, a pole that looks like a number
    density = planted.spectrum("bowl").assign_attrs(damping=50.0)
    table = norm_table(contents(spectrum=density, frobenius_norm=norm()))
    assert table is not None
    assert table.rows[0] == ("Frobenius norm", "5.00 ± 0.25")
    assert table.rows[1][0] == "effective dimension, damping 50"
    pole = norm_table(contents(spectrum=density.assign_attrs(damping=1e-6)))
    assert pole is not None
    assert "damping must exceed" in pole.rows[0][1]


def test_nodes_keep_their_rank_over_probes() -> None:
    # kills: padded nodes counted, ranks from the smallest, deviations for standard errors
    dims = ("probe", "step")
    node = [[0.0, 1.0, 5.0, 5.0], [0.0, 2.0, 3.0, 7.0]]
    weight = [[0.5, 0.3, 0.2, 0.0], [0.1, 0.2, 0.3, 0.4]]
    density = xr.Dataset(
        {"node": (dims, node), "weight": (dims, weight)},
        attrs={"quantity": "spectral_density", "size": 100},
    )
    rows = node_rows(density)
    assert [r["node"] for r in rows] == [6.0, 2.0, 1.0]
    assert rows[0]["node_error"] == pytest.approx(1.0)
    assert rows[0]["weight"] == pytest.approx(0.3)
    assert rows[0]["eigenvalues"] == pytest.approx(30.0)
    assert len(node_table(planted.spectrum("bowl")).rows) == 11


def test_bounds_beyond_the_residual_come_with_their_condition() -> None:
    # kills: bounds without the word that the gap is an estimate, angles of NaN
    pairs = planted.eigenvalues("bowl")
    table = eigenvalue_table(contents(eigenvalues=pairs))
    assert table is not None
    assert len(table.head) == 2
    nan = np.full(10, np.nan)
    gap, bound, sine = nan.copy(), nan.copy(), nan.copy()
    gap[0], bound[0], sine[0] = 16.4, 1e-7, 0.5
    extra = {"gap_estimate": gap, "quadratic_bound": bound, "angle_sine": sine}
    table = eigenvalue_table(
        contents(eigenvalues=pairs.assign({k: ("eigenvalue", v) for k, v in extra.items()}))
    )
    assert table is not None
    assert "estimated" in table.head[2]
    assert table.rows[0][2:] == ("16", "1e-7", "30°")
    assert table.rows[1][2:] == ("", "", "")
    assert angle_text(1.0) == "90°"


def test_a_warm_start_is_told_against_the_cold_one() -> None:
    # kills: products exchanged, a comparison of unlike settings without a word
    pairs = planted.eigenvalues("bowl").assign_attrs(
        count=10,
        warm_start="runs/a",
        warm_vectors=10,
        cold_products=412,
        cold_count=10,
        cold_tolerance=1e-3,
    )
    note = warm_note(contents(eigenvalues=pairs))
    assert note == (
        "184 Hessian products, begun from 10 eigenvectors of runs/a; that run took 412 from a "
        "random start."
    )
    other = warm_note(contents(eigenvalues=pairs.assign_attrs(cold_count=2)))
    assert "(for 2 pairs at tolerance 0.001)" in other
    assert warm_note(contents(eigenvalues=planted.eigenvalues("bowl"))) == ""


def test_the_largest_layers_are_drawn_and_all_are_listed() -> None:
    # kills: the first layers drawn, their order changed, layers left out of the table
    many = layers(30)
    shown = drawn(many, 4)
    assert shown["layer"].values.tolist() == [f"block.{k}" for k in (26, 27, 28, 29)]
    (panel,) = layer_panels([contents(layers=many)])
    assert len(panel.pictures) == MOST_DRAWN
    assert "24 of 30 layers are drawn" in panel.caption
    table = by_layer(many)
    assert len(table.rows) == 30
    assert table.rows[0][0] == "(model itself)"
    assert table.rows[1][2:5] == ("4.00 ± 0.01", "\N{MINUS SIGN}2.00 ± 0.02", "2 exact")
    assert table.rows[29][5] == f"{100 * 30 / 465:.2f} %"


def test_layers_that_are_missing_leave_the_rest() -> None:
    # kills: NaN drawn, shares of an incomplete trace
    found = layers(4, lost=(1,))
    (panel,) = layer_panels([contents(layers=found)])
    assert [p.name for p in panel.pictures] == ["(model itself)", "block.2", "block.3"]
    assert all(p.note.startswith("trace") for p in panel.pictures)
    (none,) = layer_panels([contents(layers=layers(2, lost=(0, 1)))])
    assert (none.pictures, none.caption) == ((), "")


def test_everything_is_in_the_json_and_on_the_page(tmp_path: Path) -> None:
    # kills: a part of the spectrum that never reaches a reader
    tree = xr.DataTree.from_dict(
        {
            "spectrum": planted.spectrum("bowl").assign_attrs(damping=0.0),
            "eigenvalues": planted.eigenvalues("bowl"),
            "frobenius_norm": norm(),
            "layer_diagonals": diagonals(),
            "layers": layers(26),
        }
    )
    found = json.loads(write_summary(tree, tmp_path / "s.json").read_text("utf-8"))["spectrum"]
    assert len(found["layers"]) == 26
    assert found["layers"][2]["trace"] == 3.0
    assert found["frobenius_norm"]["norm_error"] == 0.25
    assert found["layer_diagonals"][0]["largest"] == 7.0
    assert found["summary"]["damping"]["chosen"] is True
    assert len(found["nodes"]) == 60
    assert found["eigenvalues"][0]["residual"] == pytest.approx(4.2e-3)
    page = report(tree, tmp_path / "page.html").read_text("utf-8")
    for text in (
        "Layer by layer",
        "share of the trace",
        "Frobenius norm",
        "upper edge of the bulk",
    ):
        assert text in page
    assert EXPLANATIONS["layers"].misleads in page.replace("&#39;", "'")


def test_two_models_share_the_room_for_layers(tmp_path: Path) -> None:
    # kills: ids of one model's pictures used by another's
    two = [contents(layers=layers(20)), contents(layers=layers(20))]
    panels = layer_panels(two)
    assert [len(p.pictures) for p in panels] == [12, 12]
    assert panels[0].pictures[0].picture != panels[1].pictures[0].picture
