"""The convexity map's artists: numbers in the cells, a color range about zero, hatching."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from theodolite import results
from theodolite.errors import InvalidArgument
from theodolite.plots import plot_convexity


def made() -> xr.Dataset:
    dims = ("alpha", "beta")
    ratio = np.array([[-0.4, 0.1], [np.nan, 0.2], [0.0, -0.1]])
    status = np.where(np.isfinite(ratio), results.OK, results.DIVERGED)
    variables = {
        "ratio": (dims, ratio, {"long_name": "ratio"}),
        "status": results.status_variable(dims, status),
    }
    axes = {"alpha": [-1.0, 0.0, 1.0], "beta": [0.0, 1.0]}
    return results.dataset("convexity", variables, axes, normalize="filter")


def test_cells_hold_their_numbers_at_their_places() -> None:
    # kills: transposed cells, a color range that is not centered at zero, NaN written out
    ax = plot_convexity(made(), Figure().add_subplot())
    said = {(t.get_position(), t.get_text()) for t in ax.texts}
    assert ((-1.0, 0.0), "\N{MINUS SIGN}0.40") in said
    assert ((1.0, 1.0), "\N{MINUS SIGN}0.10") in said
    assert len(said) == 5
    mesh = ax.collections[0]
    assert mesh.get_clim() == (-0.4, 0.4)
    np.testing.assert_array_equal(mesh.get_array()[:, 0], [-0.4, 0.1])
    hatched = [p for p in ax.patches if isinstance(p, Rectangle)]
    assert [(p.get_xy(), p.get_hatch()) for p in hatched] == [((-0.5, -0.5), "////")]
    assert ax.get_xlabel() == "distance along direction 1 (filter norms)"


def test_another_quantity_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="convexity"):
        plot_convexity(made().assign_attrs(quantity="plane"), Figure().add_subplot())
