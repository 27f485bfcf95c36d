"""Barcodes, merge trees and widths, by the data of their artists."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes

import theodolite as td
from theodolite.errors import InvalidArgument
from theodolite.plots.merge_tree import arranged
from theodolite.seeds import numpy_generator
from theodolite.shapes import shape, topology

HEIGHTS = [0.5, 5.0, 4.0, 4.5, 4.2, 6.0, 1.0]


def wells(error: float = 0.15) -> xr.Dataset:
    """Minima 0.5 (edge), 4.0, 4.2 and 1.0 (edge); saddles 5, 4.5 and 6."""
    data = {"loss": ("alpha", HEIGHTS), "loss_error": ("alpha", [error] * 7)}
    return topology(xr.Dataset(data, {"alpha": np.arange(7.0)}))


def bars(ax: Axes) -> list[list[float]]:
    return [list(x.get_xdata()) for x in ax.lines if len(x.get_xdata()) == 2]


def test_bars_run_from_minimum_to_saddle(ax: Axes) -> None:
    # kills: bars from zero; births and deaths swapped; another order
    td.plots.plot_barcode(wells(), ax)
    assert bars(ax) == [[0.5, 6.0], [1.0, 6.0], [4.0, 5.0], [4.2, 4.5]]
    marks = [x for x in ax.lines if x.get_marker() == "o"]
    assert [x.get_markerfacecolor() == "none" for x in marks] == [True, True, False, False]
    colors = [x.get_color() for x in ax.lines if len(x.get_xdata()) == 2]
    assert colors[0] == colors[2] != colors[3]  # the last is within two standard errors
    assert [x.get_marker() for x in ax.lines].count(">") == 1
    assert (ax.get_xlabel(), ax.get_xscale()) == ("loss", "linear")
    assert ax.get_yticks().tolist() == [1, 2, 3, 4]


def test_many_bars_are_cut_off_and_counted(ax: Axes) -> None:
    # kills: bars left out without a word; the longest left out
    values = numpy_generator(0, "bars").uniform(1, 1000, 200)
    found = topology(xr.Dataset({"loss": ("alpha", values)}, {"alpha": np.arange(200.0)}))
    td.plots.plot_barcode(found, ax)
    assert [low for low, _ in bars(ax)] == found.birth.values[:20].tolist()
    assert ax.get_title() == f"{found.sizes['pair'] - 20} shorter bars are not drawn"
    assert ax.get_xscale() == "log"


def test_the_tree_is_drawn_at_its_heights(ax: Axes) -> None:
    # kills: stems of the wrong height; crossbars at the minimum
    td.plots.plot_merge_tree(wells(), ax)
    lines = [x for x in ax.lines if len(x.get_xdata()) == 2]
    up = sorted(tuple(x.get_ydata()) for x in lines if x.get_xdata()[0] == x.get_xdata()[1])
    assert up == [
        (0.5, 5.0),
        (1.0, 6.0),
        (4.0, 4.5),
        (4.2, 4.5),
        (4.5, 5.0),
        (5.0, 6.0),
        (6.0, 6.0),
    ]
    across = sorted(x.get_ydata()[0] for x in lines if x.get_xdata()[0] != x.get_xdata()[1])
    assert across == [4.5, 4.5, 5.0, 5.0, 6.0, 6.0]
    assert [t.get_text() for t in ax.texts] == ["lowest", "1", "0.3", "5"]


def test_no_two_branches_cross() -> None:
    # kills: subtrees interleaved; a pruned tree with nodes of one branch
    values = numpy_generator(1, "tree").uniform(size=(25, 25))
    axes = {"alpha": np.arange(25.0), "beta": np.arange(25.0)}
    found = topology(xr.Dataset({"loss": (("alpha", "beta"), values)}, axes))
    for most in (4, 16, 1000):
        layout = arranged(found, most)
        assert len(layout.leaves) == min(most, found.sizes["pair"])
        children: dict[int, list[int]] = {}
        for node, above in layout.parent.items():
            children.setdefault(above, []).append(node)
        inner = [n for n in layout.x if n not in layout.leaves]
        assert all(len(children[n]) > 1 for n in inner)
        assert len(children[-1]) == 1

        def leaves(node: int, below: dict[int, list[int]] = children) -> list[float]:
            under = [x for c in below.get(node, []) for x in leaves(c)]
            return under or [layout.x[node]]  # noqa: B023 (called at once)

        for node in inner:
            places = sorted(leaves(node))
            assert places == list(np.arange(places[0], places[0] + len(places)))


def test_widths_are_bars_with_their_mean(ax: Axes) -> None:
    # kills: levels mixed up; a hollow mark for a level that is reached
    x = np.linspace(-1, 1, 21)
    tent = np.abs(x)[:, None] + np.abs(x)
    plane = xr.Dataset(
        {"loss": (("alpha", "beta"), tent)}, {"alpha": x, "beta": x}, {"normalize": "filter"}
    )
    found = shape(plane, levels=[0.5, 1.5])
    td.plots.plot_shape(found, ax)
    assert np.allclose(bars(ax)[0], [0.5 / np.sqrt(2), 0.5])
    means = [x for x in ax.lines if x.get_marker() == "o"]
    assert [float(m.get_xdata()[0]) for m in means] == found.width_mean.values[0].tolist()
    assert [m.get_markerfacecolor() == "none" for m in means] == [False, True]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0.5", "1.5"]
    assert ax.get_xlabel() == "distance from the start (filter norms)"


@pytest.mark.parametrize("draw", ["plot_barcode", "plot_merge_tree", "plot_shape"])
def test_other_results_are_refused(draw: str, ax: Axes) -> None:
    with pytest.raises(InvalidArgument, match="draws a result of quantity"):
        getattr(td.plots, draw)(xr.Dataset(attrs={"quantity": "plane"}), ax)


def test_a_border_far_above_does_not_press_the_saddles_together(ax: Axes) -> None:
    # kills: stems and arrows up to the greatest height, with everything else in one pixel
    values = [-9.0, -1.0, -3.0, 5.0, 7e4]
    found = topology(xr.Dataset({"loss": ("alpha", values)}, {"alpha": np.arange(5.0)}))
    td.plots.plot_barcode(found, ax)
    assert bars(ax) == [[-9.0, pytest.approx(-1 + 0.3 * 8)], [-3.0, -1.0]]
    ax.clear()
    td.plots.plot_merge_tree(found, ax)
    assert max(max(x.get_ydata()) for x in ax.lines) == pytest.approx(1.4)
    ax.clear()
    td.plots.plot_barcode(found, ax, log=True)
    assert bars(ax)[0][1] == 7e4
