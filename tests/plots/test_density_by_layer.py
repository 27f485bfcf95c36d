"""Small pictures of layers. Oracle: the densities they are drawn from."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from theodolite import plots, results
from theodolite.plots.density_by_layer import CLOSEST, apart


def layers() -> xr.Dataset:
    dims = ("layer", "probe", "step")
    node = np.array([[[-1.0, 0.0, 2.0]] * 2, [[0.0, 1e-3, 1e-2]] * 2, [[np.nan] * 3] * 2])
    weight = np.broadcast_to([0.25, 0.5, 0.25], node.shape).copy()
    return results.dataset(
        "layer_spectra",
        {
            "node": (dims, node, {"long_name": "eigenvalue"}),
            "weight": (dims, weight, {"long_name": "weight"}),
            "size": (("layer",), [7, 9, 11], {"long_name": "size"}),
        },
        {"layer": ["a", "b", "lost"]},
    )


def three_probes() -> xr.Dataset:
    """The same layers, seen by a third probe that weighs the nodes otherwise."""
    found = layers().isel(probe=[0, 1, 1])
    weight = found["weight"].values.copy()
    weight[:, 2] = [0.8, 0.1, 0.1]
    return found.assign(weight=(("layer", "probe", "step"), weight))


def test_each_layer_that_is_done_becomes_a_density_of_its_own() -> None:
    # Kills: nodes of another layer, the size of another layer, layers without numbers.
    found = plots.layer_densities(layers())
    assert [name for name, _ in found] == ["a", "b"]
    assert [d.attrs["size"] for _, d in found] == [7, 9]
    np.testing.assert_array_equal(found[1][1]["node"], [[0.0, 1e-3, 1e-2]] * 2)


def test_all_panels_share_both_axes_and_show_their_own_curve() -> None:
    # Kills: an axis fitted to each layer; the mean, or the part below zero, of another; the
    # median of the probes, which differ here.
    densities = [d for _, d in plots.layer_densities(three_probes())]
    curves = plots.smooth_together(densities, scale="log", points=120)
    figure = Figure()
    drawn = []
    for k, curve in enumerate(curves):
        ax = figure.add_subplot(1, 2, k + 1)
        drawn.append(plots.draw_layer_curve(curve, ax, ends=(1e-4, 5.0)))
    assert drawn[0].get_xlim() == drawn[1].get_xlim()
    assert drawn[0].get_ylim() == drawn[1].get_ylim() == (1e-4, 5.0)
    for ax, curve in zip(drawn, curves, strict=True):
        line = ax.lines[0]
        np.testing.assert_array_equal(line.get_xdata(), curve["eigenvalue"].values)
        mean = np.maximum(curve["density"].values.mean(0), 1e-4)
        assert line.get_ydata() == pytest.approx(mean)
        assert 1 <= len(ax.get_xticks()) <= 5


def test_marks_whose_labels_would_touch_are_left_out() -> None:
    # kills: marks on both sides of zero written over each other
    ax = Figure().subplots()
    ax.set_xscale("asinh", linear_width=2e-4, base=100)
    ax.set_xlim(-2.0, 200.0)
    every = [-1.0, -0.001, 0.0, 0.001, 1.0, 100.0]
    kept = apart(every, ax)
    places = (ax.transScale + ax.transLimits).transform([(t, 1.0) for t in kept])[:, 0]
    assert kept[-1] == 100.0
    assert -1.0 in kept
    assert np.diff(places).min() >= CLOSEST
    assert apart([0.0], ax) == [0.0]
