"""The tables of sharpness and saddles for programs. Oracle: the numbers that were put in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests.reporting.descents import ALPHA, escape, unescaped, valleys
from tests.reporting.test_saddles import index, search
from tests.reporting.test_sharpness import rises, table, tree
from tests.sharpness.bowls import classifier

from theodolite.reporting import write_summary
from theodolite.reporting.contents import read_trees
from theodolite.reporting.definitions import DEFINITIONS, definition_of, name_of
from theodolite.reporting.records import records_of
from theodolite.surveys.measures.sharpness_rows import Setup, basic_rows, further_rows


def records(**parts: xr.Dataset) -> dict:
    (contents,) = read_trees(tree(**parts))
    return records_of(contents)


def test_only_what_was_measured_has_a_key() -> None:
    # kills: keys with nothing in them
    assert set(records(sharpness=table())) == {"sharpness"}
    assert set(records(predicted=rises())) == {"rises"}
    assert set(records(a=valleys(), b=search(), c=escape("gradient"))) == {
        "valleys",
        "critical_point",
        "escape",
    }
    assert records(index=index()) == {}


def test_a_measure_has_its_numbers_name_and_source() -> None:
    # kills: measures exchanged, a ratio the wrong way round, NaN in place of null
    found = records(sharpness=table().assign_attrs(left_out=["relative_flatness: no layer"]))
    rows = {r["measure"]: r for r in found["sharpness"]["measures"]}
    top = rows["largest_curvature"]
    assert top["name"] == "largest eigenvalue of the Hessian"
    assert (top["value"], top["error"], top["kind"]) == (3.0, 0.01, "residual")
    assert (top["rescaled_value"], top["rescaled_ratio"]) == (36.0, 12.0)
    assert top["source"] == "Cohen et al. 2021, arXiv:2103.00065"
    assert top["formula"] == "largest eigenvalue of H"
    assert rows["worst_case_sharpness"]["error"] is None
    assert rows["worst_case_sharpness"]["setting"] == "rho = 0.05"
    assert rows["fisher_rao_norm"]["rescaled_value"] is None
    assert rows["fisher_rao_norm"]["rescaled_ratio"] is None
    assert rows["adaptive_sharpness"]["invariant_under"] == ["layer rescaling", "other"]
    assert top["invariant_under"] == []
    assert found["sharpness"]["left_out"] == ["relative_flatness: no layer"]
    assert records(sharpness=table(0.0, "not asked for"))["sharpness"]["not_rescaled"] == (
        "not asked for"
    )
    assert "low" not in top  # a table of an older version, without intervals


def test_an_interval_keeps_both_ends() -> None:
    # kills: ends exchanged or left out
    ends = {"low": np.full(4, 1.0), "high": np.array([2.0, np.inf, np.nan, 5.0])}
    wide = table().assign({k: ("measure", v) for k, v in ends.items()})
    rows = records(sharpness=wide)["sharpness"]["measures"]
    assert [r["low"] for r in rows] == [1.0] * 4
    assert [r["high"] for r in rows] == [2.0, None, None, 5.0]


def test_rises_are_lists_by_direction() -> None:
    # kills: transposed lists, the radius of another variable
    planted = rises(3).assign_attrs(directions="top")
    found = records(predicted=planted)["rises"]
    assert found["directions"] == "top"
    assert found["trust_radius"] == 0.1
    assert found["radius"] == [0.01, 0.1, 1.0]
    for name in ("measured", "predicted", "relative_error"):
        np.testing.assert_array_equal(found[name], planted[name].values)
    lost = records(predicted=rises(trust=np.nan))["rises"]
    assert lost["trust_radius"] is None


def test_a_line_without_a_minimum_is_null() -> None:
    # kills: lines exchanged, training written as test, NaN
    planted = valleys()
    lines = records(found=planted)["valleys"]
    assert [r["line"] for r in lines] == ["eigenvector 1", "random 1", "random 2"]
    assert [r["length"] for r in lines] == [2.0, 3.0, 0.5]
    for k, line in enumerate(lines[:2]):
        names = [n for n in line if n not in ("line", "length", "alpha", "train_loss", "test_loss")]
        assert len(names) == 12
        for name in names:
            assert line[name] == float(planted[name][k]), name
    assert {lines[2][n] for n in names} == {None}
    assert lines[1]["alpha"] == ALPHA.tolist()
    assert lines[1]["test_loss"] == planted["test_loss"].values[1].tolist()
    assert lines[2]["train_loss"] == planted["train_loss"].values[2].tolist()


@pytest.mark.parametrize("accepted", [True, False])
def test_a_search_says_whether_it_ended_at_a_critical_point(accepted: bool) -> None:
    # kills: the first point for the last, a refused point told as accepted
    found = records(found=search(accepted))["critical_point"]
    assert found == {
        "accepted": accepted,
        "reason": "" if accepted else "the gradient is flat",
        "loss": 1.25,
        "gradient_norm": 0.0,
        "verdict": None,
    }


def test_an_escape_has_its_runs_or_a_reason() -> None:
    # kills: the mean for the median, a run that stayed told as steps, methods exchanged
    planted = escape("stochastic", stayed=2)
    ran, none = records(a=planted, b=unescaped("gradient", "It is a minimum."))["escape"]
    assert (ran["method"], ran["runs"], ran["learning_rate"]) == ("stochastic", 5, 0.25)
    assert ran["steps"][:2] == [None, None]
    assert ran["steps"][2:] == planted["steps"].values[2:].tolist()
    assert ran["outcome"] == ["not escaped"] * 2 + ["escaped"] * 3
    assert ran["linear_theory"] == float(np.median(planted["predicted"]))
    assert ran["median_steps"] == float(planted["median_steps"])
    assert ran["upper_quartile"] is None
    assert ran["negative_eigenvalue"] == -2.0
    assert none["reason"] == "It is a minimum."
    assert (none["runs"], none["median_steps"]) == (0, None)
    assert "steps" not in none


def test_the_summary_holds_the_records_and_no_number_that_json_has_not(tmp_path: Path) -> None:
    # kills: records that are not written, NaN in the file
    whole = tree(sharpness=table(), predicted=rises(), valleys=valleys(), escape=escape("gradient"))
    raw = write_summary(whole, tmp_path / "summary.json").read_text()

    def refuse(name: str) -> None:
        raise AssertionError(name)

    written = json.loads(raw, parse_constant=refuse)
    (contents,) = read_trees(whole)
    for name, part in records_of(contents).items():
        assert written[name] == part, name


def test_every_row_of_the_table_has_a_definition() -> None:
    # kills: a measure without a name in the report. The rows are those a survey makes.
    of = Setup(classifier(), {"origin": "start.safetensors", "layers": 4}, "kept", 0)
    rows = [*basic_rows(of), *further_rows(of)]
    assert "relative_flatness, 0" in rows
    assert {n.partition(",")[0] for n in rows} == {n.partition(",")[0] for n in DEFINITIONS}
    for name in rows:
        assert definition_of(name).source, name
    assert name_of("relative_flatness, 0") == DEFINITIONS["relative_flatness"].name
    assert name_of("something else") == "something else"
