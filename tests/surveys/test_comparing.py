"""Many runs in one table. Oracle: the two-error rule worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

import theodolite as td
from theodolite.errors import InvalidArgument, InvalidData
from theodolite.surveys.comparing import BEHIND, LEADING, MISSING, TIED, UNDECIDED, compare


def run(**numbers: tuple[float | None, float | None] | float) -> xr.DataTree:
    """A survey with the `numbers` as (value, error); a bare number is exact."""
    rows = []
    for name, given in numbers.items():
        value, error = given if isinstance(given, tuple) else (given, None)
        exact = not isinstance(given, tuple)
        rows.append({"name": name, "label": name.title(), "value": value, "error": error,
                     "exact": exact, "unit": "%" if "accuracy" in name else ""})  # fmt: skip
    return xr.DataTree(xr.Dataset(attrs={"headline": json.dumps(rows), "model": "net"}))


def test_the_lowest_leads_and_two_combined_errors_tell_apart() -> None:
    # 3-4-5: errors 0.3 and 0.4 combine to 0.5, so 1.0 is the border, which counts as apart.
    # Kills: errors added instead of combined; one error instead of two; <= for <.
    table = compare({
        "a": run(loss=(1.0, 0.3)), "b": run(loss=(1.984375, 0.4)), "c": run(loss=(2.0, 0.4)),
    })  # fmt: skip
    assert table["standing"].sel(number="loss").values.tolist() == [LEADING, TIED, BEHIND]
    np.testing.assert_allclose(table["distance"].sel(number="loss"), [0.0, 1.96875, 2.0])


def test_of_accuracies_the_highest_leads() -> None:
    # Kills: one sense for all numbers.
    table = compare([run(accuracy=(90.0, 0.1)), run(accuracy=(95.0, 0.1))])
    assert table["standing"].values.ravel().tolist() == [BEHIND, LEADING]
    assert table["leading_is"].item() == "highest"


def test_a_number_without_an_error_is_undecided_and_an_exact_one_is_not() -> None:
    # Kills: a missing error read as zero; exact numbers read as without error.
    table = compare([run(loss=(1.0, None), params=10), run(loss=(9.0, 0.1), params=11)])
    assert table["standing"].sel(number="loss").values.tolist() == [LEADING, UNDECIDED]
    assert table["standing"].sel(number="params").values.tolist() == [LEADING, BEHIND]
    equal = compare([run(params=10), run(params=10)])
    assert equal["standing"].values.ravel().tolist() == [LEADING, TIED]


def test_missing_and_not_finite_numbers_never_lead() -> None:
    # Kills: NaN taken for the smallest; a number only some runs have left out.
    table = compare([run(loss=(None, None)), run(loss=(2.0, 0.1), trace=(1.0, 0.1)), run()])
    assert table["standing"].sel(number="loss").values.tolist() == [MISSING, LEADING, MISSING]
    assert table["standing"].sel(number="trace").values.tolist() == [MISSING, LEADING, MISSING]
    assert table.sizes == {"run": 3, "number": 2}


def test_the_order_of_the_runs_changes_nothing() -> None:
    # An invariance: standings follow their runs.
    rng = np.random.default_rng(0)
    runs = {f"r{k}": run(loss=(float(v), 0.3)) for k, v in enumerate(rng.normal(size=8))}
    turned = dict(reversed(runs.items()))
    first, second = compare(runs), compare(turned)
    np.testing.assert_array_equal(first["standing"], second.sel(run=first["run"])["standing"])


def test_labels_come_from_the_models_and_are_told_apart() -> None:
    table = td.compare([run(loss=(1.0, 0.1)), run(loss=(2.0, 0.1))])
    assert table["run"].values.tolist() == ["net [1]", "net [2]"]
    assert table.attrs["quantity"] == "comparison"
    assert all(v.attrs["long_name"] for v in table.data_vars.values())


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="E-I22"):
        compare([run(loss=(1.0, 0.1))])
    with pytest.raises(InvalidArgument, match="without any number"):
        compare([run(), run()])
    torn = xr.DataTree(xr.Dataset(attrs={"headline": "[{"}))
    with pytest.raises(InvalidData, match="E-I24"):
        compare({"a": torn, "b": torn})
