"""The picture of averages. Oracle: the numbers of the result, by row."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes

from theodolite.errors import InvalidArgument
from theodolite.plots import plot_averages

VALUES = {"loss": [0.1, 0.2, 0.15, 0.12], "test_loss": [0.3, 0.4, 0.35, np.nan]}


def averaged(**attrs: str) -> xr.Dataset:
    variables = {}
    for name, values in VALUES.items():
        for end, shift in (("", 0.0), ("_low", -0.05), ("_high", 0.05)):
            variables[name + end] = (("network",), np.array(values) + shift)
    coordinates = {"network": ["a", "b", "average", "ensemble"], "first": ["a", "b"]}
    return xr.Dataset(variables, coordinates, {"quantity": "average", "level": 0.95, **attrs})


def test_every_network_is_a_row_with_its_interval(ax: Axes) -> None:
    # kills: rows from below, intervals of another data set, the rule between the members
    plot_averages(averaged(), ax)
    names = [t.get_text() for t in ax.get_yticklabels()]
    drawn = {str(line.get_gid()): line for line in ax.get_lines()}
    for name, values in VALUES.items():
        x, y = drawn[name].get_xdata(), drawn[name].get_ydata()
        np.testing.assert_allclose(x, values)
        assert [names[round(float(v))] for v in y] == ["a", "b", "average", "ensemble"]
    bars = ax.collections[0].get_segments()
    np.testing.assert_allclose(
        [s[:, 0] for s in bars], [[v - 0.05, v + 0.05] for v in VALUES["loss"]]
    )
    assert len(ax.collections[1].get_segments()) == 3  # what is not finite has none
    rule = next(line for line in ax.get_lines() if str(line.get_gid()) not in VALUES)
    assert set(rule.get_ydata()) == {1.5}
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["training data", "test data"]
    assert ax.get_xscale() == "linear"


def test_other_results_are_refused_and_far_numbers_are_logarithmic(ax: Axes) -> None:
    # kills: a barrier drawn as an average
    with pytest.raises(InvalidArgument, match="average or soup") as caught:
        plot_averages(averaged(quantity="barrier"), ax)
    assert caught.value.code == "E-S53"
    wide = averaged()
    for end in ("", "_low", "_high"):
        wide[f"test_loss{end}"] = wide[f"test_loss{end}"] * 100
    plot_averages(wide, ax)
    assert ax.get_xscale() == "log"
