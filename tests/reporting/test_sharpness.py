"""The sharpness section from planted tables. Oracle: the numbers that were put in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.reporting import report
from theodolite.reporting.contents import read_trees
from theodolite.reporting.definitions import DEFINITIONS, name_of
from theodolite.reporting.explanations import EXPLANATIONS
from theodolite.reporting.rescaling import changes, rescaling_sentence
from theodolite.reporting.sentences import plain_text
from theodolite.reporting.sharpness import sharpness_panels, sharpness_table

NAMES = ["largest_curvature", "worst_case_sharpness", "adaptive_sharpness", "fisher_rao_norm"]


def table(factor: float = 5.0, why: str = "") -> xr.Dataset:
    dims = ("measure",)
    again = [36.0, 0.5, 0.7, np.nan] if factor else [np.nan] * 4

    def text(values: list) -> tuple:
        return dims, values, {"long_name": "x"}

    return results.dataset(
        "sharpness",
        {
            "value": text([3.0, 0.25, 0.7, 4.0]),
            "error": text([0.01, np.nan, np.nan, np.nan]),
            "rescaled_value": text(again),
            "rescaled_error": text([0.1, np.nan, np.nan, np.nan]),
            "kind": text(["residual", "lower bound", "lower bound", "exact"]),
            "setting": text(["", "rho = 0.05", "rho = 0.5", ""]),
            "invariant_under": text(["", "", "layer rescaling; other", "layer rescaling"]),
        },
        {"measure": NAMES},
        factor=factor,
        not_rescaled=why,
    )


def rises(directions: int = 4, trust: float = 0.1) -> xr.Dataset:
    radius = np.array([0.01, 0.1, 1.0])
    slope = np.linspace(1, 2, directions)[:, None]
    dims = ("direction", "radius")
    return results.dataset(
        "predicted_rise",
        {
            "measured": (dims, slope * radius**2 + slope * radius**4, {"long_name": "measured"}),
            "predicted": (dims, slope * radius**2, {"long_name": "predicted"}),
            "relative_error": (
                dims,
                radius**2 / (1 + radius**2) * np.ones_like(slope),
                {"long_name": "error"},
            ),
            "trust_radius": (
                ("direction",),
                np.full(directions, trust),
                {"long_name": "trust radius"},
            ),
        },
        {"direction": np.arange(directions), "radius": radius},
    )


def tree(**parts: xr.Dataset) -> xr.DataTree:
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"model": "Net"}), **parts})


def test_the_table_says_what_moves_and_what_kind_of_number_it_is():
    # kills: before and after exchanged, a lower bound told as a value, an exact value with an error
    assert changes(table())["largest_curvature"] == 12
    rows = {r[0]: r for r in sharpness_table(table()).rows}
    top = rows["largest eigenvalue of the Hessian"]
    assert top[1] == "3.00 ± 0.01"
    assert top[2:4] == ("12 times", "yes")
    worst = rows["worst case in a ball (SAM)"]
    assert worst[1:] == ("at least 0.25", "2 times", "yes", "rho = 0.05")
    assert rows["worst case, adaptive (ASAM)"][2:4] == ("the same", "no")
    assert rows["Fisher-Rao norm"][1].endswith("exact")
    assert rows["Fisher-Rao norm"][2:] == ("", "no", "")
    near = table()
    near["rescaled_value"] = 1.001 * near["value"]
    (worst,) = (r for r in sharpness_table(near).rows if r[0] == "worst case in a ball (SAM)")
    assert worst[2:4] == ("about the same", "yes")


def test_the_sentence_names_the_measures_that_stay():
    # kills: a measure that moved called unchanged
    (contents,) = read_trees(tree(sharpness=table()))
    said = plain_text(rescaling_sentence(contents))
    assert "one layer times 5" in said
    assert "12 times this one" in said
    assert said.endswith("unchanged: worst case, adaptive (ASAM).")
    bare = table(0.0, "not asked for")
    assert sharpness_table(bare).head == ("measure", "value", "setting")
    (without,) = read_trees(tree(sharpness=bare))
    assert rescaling_sentence(without) is None
    assert sharpness_panels([without])[0].note == "Not rescaled: not asked for"


def test_of_many_measures_that_stay_three_are_named_and_the_others_counted():
    # kills: a count that leaves one out
    still = [k for k in DEFINITIONS if k != "largest_curvature"][:7]
    found = table().isel(measure=[0] * 8).assign_coords(measure=["largest_curvature", *still])
    found["rescaled_value"] = ("measure", [36.0, *[3.0] * 7])
    names = list(dict.fromkeys(name_of(k) for k in still))
    (contents,) = read_trees(tree(sharpness=found))
    said = plain_text(rescaling_sentence(contents))
    assert said.endswith(f"unchanged: {'; '.join(names[:3])}; {len(names) - 3} more.")


def test_the_page_has_the_section_where_it_was_measured(tmp_path: Path):
    # kills: a section without its table, a section for surveys that measured nothing
    page = report(tree(sharpness=table(), rises=rises()), tmp_path / "r.html").read_text()
    assert EXPLANATIONS["sharpness"].shows in page
    assert 'id="sharpness"' in page
    assert "largest eigenvalue of the Hessian" in page
    assert "How it can mislead" in page
    other = report(tree(rises=rises(1)), tmp_path / "s.html").read_text()
    assert 'id="sharpness"' in other
    assert "Measures of sharpness of" not in other


def test_no_trust_radius_is_said():
    (contents,) = read_trees(tree(rises=rises(trust=np.nan)))
    assert "not within 10 %" in sharpness_panels([contents])[0].note
