"""The pictures of a training's path, by the data of their artists."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from theodolite.errors import InvalidArgument
from theodolite.plots import (
    percent,
    plot_trajectory,
    plot_trajectory_distance,
    plot_trajectory_losses,
)
from theodolite.results import dataset

NAMED = {"long_name": "x"}


def path(runs: tuple[str, ...] = ("training",), each: int = 5, **attrs: object) -> xr.Dataset:
    """A path along a parabola for every run, one after another."""
    count = each * len(runs)
    t = np.tile(np.arange(each, dtype=float), len(runs))
    run = np.repeat(np.arange(len(runs)), each)
    coordinates = np.stack([4 - t, (4 - t) ** 2 / 4 + run], axis=1)
    values = {
        "residual": 0.1 * (4 - t),
        "distance_from_start": t,
        "run": run,
        "learning_rate_drop": (t == 3).astype(np.uint8),
        "loss": 10.0 ** (2 - t),
        "loss_error": 10.0 ** (1 - t),
        "shadow_loss": np.where(t == 1, 1e9, 2 * 10.0 ** (2 - t)),
        "shadow_loss_error": 10.0 ** (1 - t),
        "status": np.ones(count, np.uint8),
        "shadow_status": np.where(t == 1, 2, 1).astype(np.uint8),
    }
    variables = {k: (("time",), v, NAMED) for k, v in values.items()}
    variables["coordinates"] = (("time", "axis"), coordinates, NAMED)
    variables["explained_variance"] = (("component",), [0.8, 0.15, 0.05], NAMED)
    variables["null_explained_variance"] = (("component",), [0.61, 0.2, 0.1], NAMED)
    coords = {"time": ("time", t, {"long_name": "epoch"}), "axis": [1, 2]}
    facts = {"axes": "principal", "runs": list(runs), **attrs}
    return dataset("trajectory", variables, coords, **facts)


def plane() -> xr.Dataset:
    alpha, beta = np.linspace(-1, 5, 7), np.linspace(-1, 5, 6)
    loss = 0.1 + alpha[:, None] ** 2 + beta[None] ** 2
    variables = {
        "loss": (("alpha", "beta"), loss, {"long_name": "loss"}),
        "status": (("alpha", "beta"), np.ones(loss.shape, np.uint8), {"long_name": "status"}),
    }
    return dataset("plane", variables, {"alpha": alpha, "beta": beta})


def test_the_path_lies_where_the_coordinates_are() -> None:
    # Kills: axes swapped; the marks of first and last exchanged; a drop marked elsewhere.
    made = path()
    ax = plot_trajectory(made, Figure().add_subplot(), plane=plane())
    x, y = made.coordinates.values.T
    lines = {str(line.get_label()): line for line in ax.lines}
    assert np.array_equal(ax.lines[0].get_xdata(), x)
    assert np.array_equal(ax.lines[0].get_ydata(), y)
    for label, k in (
        ("first checkpoint", 0),
        ("last checkpoint", -1),
        ("learning rate dropped", 3),
    ):
        found = lines[label]
        assert (list(found.get_xdata()), list(found.get_ydata())) == ([x[k]], [y[k]])
    assert "start" not in lines
    heads = [a for a in ax.texts if isinstance(a, Annotation) and a.arrow_patch is not None]
    assert len(heads) >= 2
    for head in heads:  # forward along a segment, that is, toward smaller x
        assert head.xy[0] < head.xyann[0]


def test_axes_name_their_share_and_a_random_walk_s() -> None:
    # Kills: the share of the other axis; a null that is missing written as NaN.
    ax = plot_trajectory(path(), Figure().add_subplot())
    assert ax.get_xlabel() == "principal axis 1\n80 % of the path (random walk 61 %)"
    assert ax.get_ylabel() == "principal axis 2\n15 % of the path (random walk 20 %)"
    without = path()
    without["null_explained_variance"][:] = np.nan
    ax = plot_trajectory(without, Figure().add_subplot())
    assert ax.get_xlabel() == "principal axis 1\n80 % of the path"
    ax = plot_trajectory(path(axes="given"), Figure().add_subplot())
    assert ax.get_xlabel() == "distance along direction 1"


def test_several_runs_have_colors_of_their_own_and_names() -> None:
    ax = plot_trajectory(path(("sgd", "adam")), Figure().add_subplot(), plane=plane())
    named = {str(line.get_label()): line for line in ax.lines}
    assert named["sgd"].get_color() != named["adam"].get_color()
    assert np.array_equal(named["adam"].get_ydata() - named["sgd"].get_ydata(), np.ones(5))


def test_losses_are_drawn_with_errors_and_without_what_diverged() -> None:
    # Kills: the shadow's status ignored or mixed with the checkpoint's; a linear axis over decades.
    made = path()
    ax = plot_trajectory_losses(made, Figure().add_subplot())
    true, shadow = ax.lines[:2]
    assert np.array_equal(true.get_ydata(), made.loss)
    assert np.isnan(shadow.get_ydata()).tolist() == [False, True, False, False, False]
    assert (true.get_linestyle(), shadow.get_linestyle()) == ("-", "--")
    assert ax.get_yscale() == "log"
    assert len(ax.collections) == 2
    assert ax.get_xlabel() == "epoch"


def test_distances_from_the_start_and_from_the_plane() -> None:
    made = path()
    ax = plot_trajectory_distance(made, Figure().add_subplot())
    assert np.array_equal(ax.lines[0].get_ydata(), made.distance_from_start)
    corners = ax.collections[0].get_paths()[0].vertices
    assert set(made.residual.values) <= set(corners[:, 1])
    assert ax.get_ylim()[0] == 0


def test_other_results_are_refused_and_shares_keep_two_digits() -> None:
    with pytest.raises(InvalidArgument, match="E-P03"):
        plot_trajectory(plane(), Figure().add_subplot())
    assert [percent(s) for s in (0.9573, 0.0431, 1.0, 0.99996)] == [
        "96 %",
        "4.3 %",
        "100 %",
        "99.996 %",
    ]


def test_a_drop_in_the_second_run_alone_has_its_name_in_the_legend() -> None:
    # Kills: the mark named by the first run only, or by every run.
    made = path(("sgd", "adam"))
    for runs, count in (([1], 1), ([0, 1], 1), ([], 0)):
        drop = made.learning_rate_drop * np.isin(made.run, runs)
        ax = plot_trajectory(made.assign(learning_rate_drop=drop), Figure().add_subplot())
        assert ax.get_legend_handles_labels()[1].count("learning rate dropped") == count


def test_a_path_along_one_direction_is_no_picture_of_a_plane() -> None:
    # Kills: a KeyError from within.
    with pytest.raises(InvalidArgument, match="2 axes; got 1"):
        plot_trajectory(path().isel(axis=[0]), Figure().add_subplot())
