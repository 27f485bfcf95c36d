"""Pictures of a monitored training. Oracle: the numbers put into the result."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes

from theodolite.errors import InvalidArgument
from theodolite.plots import plot_edge, plot_monitored
from theodolite.surveys.monitored import Head, history_of

MEASURES = {
    "loss": ["loss", "loss_error"],
    "path": ["distance_from_start", "step_angle"],
    "eigenvalues": ["eigenvalue", "residual"],
    "threshold": [
        *("learning_rate", "threshold", "sharpness", "sharpness_residual"),
        *("relative_sharpness", "relative_residual"),
    ],
    "batch_sharpness": ["batch_sharpness", "batch_sharpness_error"],
}
FACTS = {"model": "Net", "params": 10, "examples": 64, "batch_size": 8, "seed": 0}


def row(step: int, sharpness: float, **changes: object) -> dict[str, object]:
    """One row of a log, with a threshold of 5."""
    values = {
        "loss": 1.0 / step,
        "loss_error": 0.1 / step,
        "distance_from_start": 0.1 * step,
        "step_angle": 170.0,
        "eigenvalue": [sharpness, 1.0],
        "residual": [0.01, 0.02],
        "learning_rate": 0.4,
        "threshold": 5.0,
        "sharpness": sharpness,
        "sharpness_residual": 0.01,
        "relative_sharpness": sharpness / 5,
        "relative_residual": 0.002,
        "batch_sharpness": 2.0,
        "batch_sharpness_error": 0.25,
    }
    made = {
        "step": step,
        "epoch": None,
        "training_seconds": float(step),
        "measuring_seconds": 0.5,
        "values": values,
        "measured": list(MEASURES),
        "failures": {},
        "notes": [],
        "rule": "gradient descent",
    }
    return {**made, **changes}


def history(rows: list[dict[str, object]] | None = None) -> xr.Dataset:
    found = rows or [row(10, 3.0), row(20, 4.9), row(30, 5.1)]
    return history_of(Head(FACTS, {"loss": "mean loss"}, MEASURES), found)


def lines(ax: Axes) -> dict[str, list[float]]:
    return {str(x.get_label()): list(np.asarray(x.get_ydata(), float)) for x in ax.get_lines()}


def test_the_sharpness_is_drawn_against_its_threshold(ax: Axes) -> None:
    # Kills: another variable drawn under the name; a threshold taken at one time only.
    plot_edge(history(), ax)
    assert lines(ax) == {
        "sharpness": [3.0, 4.9, 5.1],
        "threshold": [5.0, 5.0, 5.0],
        "batch sharpness": [2.0, 2.0, 2.0],
    }
    (band,) = ax.collections
    extent = band.get_paths()[0].vertices[:, 1]
    assert (extent.min(), extent.max()) == (1.5, 2.5)  # two standard errors
    assert ax.get_xlabel() == "optimizer steps"


def test_under_adam_batch_sharpness_is_in_other_units_and_left_out(ax: Axes) -> None:
    plot_edge(history([row(k, 3.0, rule="AdamW") for k in (10, 20)]), ax)
    assert set(lines(ax)) == {"sharpness", "threshold"}


def test_without_a_threshold_the_eigenvalues_are_drawn(ax: Axes) -> None:
    bare = {"eigenvalue": [3.0, 1.0], "residual": [0.1, 0.1]}
    plot_edge(history([row(k, 3.0, values=bare) for k in (10, 20)]), ax)
    assert lines(ax) == {"eigenvalue 1": [3.0, 3.0], "eigenvalue 2": [1.0, 1.0]}


def test_one_value_with_its_band_and_a_log_scale_where_it_spans_much(ax: Axes) -> None:
    plot_monitored(history([row(1, 3.0), row(100, 3.0)]), ax)
    assert ax.get_yscale() == "log"
    assert len(ax.collections) == 1
    assert ax.get_ylabel() == "mean loss"


def test_another_result_is_refused(ax: Axes) -> None:
    with pytest.raises(InvalidArgument, match="quantity 'monitor'"):
        plot_edge(xr.Dataset(attrs={"quantity": "line"}), ax)
