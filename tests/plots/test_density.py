"""Spectra on one grid. Oracles: sums of weights, and densities of nodes that were chosen."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from theodolite import plots, results
from theodolite.curvature.smoothing import smooth


def density(node: object, weight: object, size: int = 100) -> xr.Dataset:
    """Nodes and weights of shape (probe, step)."""
    node, weight = np.atleast_2d(node).astype(float), np.atleast_2d(weight).astype(float)
    dims = ("probe", "step")
    return results.dataset(
        "spectral_density",
        {
            "node": (dims, node, {"long_name": "eigenvalue"}),
            "weight": (dims, weight, {"long_name": "weight"}),
        },
        {"probe": range(len(node)), "step": range(node.shape[1])},
        size=size,
        operator="Hessian",
    )


def test_one_spectrum_is_smoothed_as_by_curvature() -> None:
    one = density([[0.0, 1.0, 5.0]], [[0.5, 0.3, 0.2]])
    (mine,) = plots.smooth_together([one], points=99)
    np.testing.assert_array_equal(mine["density"], smooth(one, points=99)["density"])


def test_several_spectra_share_grid_and_kernel() -> None:
    # Kills: a kernel of each spectrum's own range, which makes heights incomparable.
    small, large = density([[0.0, 1.0]], [[0.5, 0.5]]), density([[0.0, 9.0]], [[0.5, 0.5]])
    a, b = plots.smooth_together([small, large])
    np.testing.assert_array_equal(a["eigenvalue"], b["eigenvalue"])
    assert a.attrs["kernel"] == b.attrs["kernel"]
    peak = [float(c["density"].sel(eigenvalue=0.0, method="nearest").squeeze()) for c in (a, b)]
    assert peak[0] == pytest.approx(peak[1])


def test_probes_stay_with_their_spectrum_and_keep_their_weight() -> None:
    # Kills: a padding that adds weight, and slicing the probes wrongly.
    a = density([[0.0, 1.0], [0.0, 2.0]], [[0.5, 0.5], [0.9, 0.1]], size=7)
    b = density([[0.0, 1.0, 3.0]], [[0.2, 0.2, 0.6]], size=9)
    first, second = plots.smooth_together([a, b])
    assert (first.sizes["probe"], second.sizes["probe"]) == (2, 1)
    assert (first.attrs["size"], second.attrs["size"]) == (7, 9)
    spacing = float(np.diff(first["eigenvalue"])[0])
    np.testing.assert_allclose(first["density"].sum("eigenvalue") * spacing, 1.0, rtol=1e-6)
    np.testing.assert_allclose(second["density"].sum("eigenvalue") * spacing, 1.0, rtol=1e-6)
    assert float(second["density"].idxmax("eigenvalue")[0]) == pytest.approx(3.0, abs=spacing)


def test_probes_that_were_not_computed_are_left_out() -> None:
    one = density([[0.0, 1.0], [np.nan, np.nan]], [[0.5, 0.5], [np.nan, np.nan]])
    assert plots.finished(one).sizes["probe"] == 1
    assert plots.negative_share(one).tolist() == [0.0]


@pytest.mark.parametrize(
    ("node", "weight", "wide"),
    [
        ([0.0, 0.1, 100.0], [0.5, 0.45, 0.05], True),
        ([0.0, 0.1, 100.0], [0.1, 0.1, 0.8], False),  # kills: counting nodes, not weight
        ([0.0, 50.0, 100.0], [0.3, 0.4, 0.3], False),
        ([0.0, 0.0], [0.5, 0.5], False),
    ],
)
def test_a_wide_axis_is_for_a_bulk_that_a_linear_one_hides(
    node: list[float], weight: list[float], wide: bool
) -> None:
    assert plots.wide_spread([density([node], [weight])]) is wide


def test_the_share_below_zero_is_a_value_a_probe() -> None:
    one = density([[-1.0, 3.0], [-2.0, 3.0]], [[0.25, 0.75], [0.5, 0.5]])
    assert plots.negative_share(one).tolist() == [0.25, 0.5]


def test_the_floor_is_a_fifth_of_one_eigenvalue() -> None:
    # Kills: a floor that does not depend on the operator's size.
    one = density([[0.0, 100.0]], [[0.5, 0.5]], size=1000)
    (curve,) = plots.smooth_together([one])
    single = density([[0.0, 100.0]], [[0.999, 0.001]], size=1000)
    (shown,) = plots.smooth_together([single])
    alone = float(shown["density"].sel(eigenvalue=100.0, method="nearest").squeeze())
    assert plots.density_floor(curve) == pytest.approx(0.2 * alone, rel=0.05)
