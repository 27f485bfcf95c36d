"""Slope and curvature of a plane from the spline through it.

Oracles: polynomials a cubic spline holds exactly; SciPy's own bicubic spline; eigenvalues of a
matrix seen through skew axes; Hessian-vector products of a network.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.interpolate import RectBivariateSpline

import theodolite as td
from theodolite import results
from theodolite.curvature import surface_curvature
from theodolite.curvature.splines import ORDERS, derivatives
from theodolite.errors import InvalidArgument


def plane(function, steps=(13, 11), ends=((-1.0, 1.0), (-1.0, 1.2)), **attrs) -> xr.Dataset:
    """A formula over an uneven grid."""
    axes = [
        np.linspace(a, b, n) + 0.02 * np.sin(np.arange(n))
        for n, (a, b) in zip(steps, ends, strict=True)
    ]
    values = function(axes[0][:, None], axes[1][None, :]) + 0 * axes[0][:, None] * axes[1]
    return as_plane(values, *axes, **attrs)


def as_plane(values, alpha, beta, status=None, **attrs) -> xr.Dataset:
    dims = ("alpha", "beta")
    status = np.full(values.shape, results.OK) if status is None else status
    variables = {
        "loss": (dims, values, {"long_name": "loss"}),
        "status": results.status_variable(dims, status),
    }
    return results.dataset("plane", variables, {"alpha": alpha, "beta": beta}, **attrs)


def middle(found: xr.Dataset, name: str) -> np.ndarray:
    return found[name].sel(alpha=0, beta=0, method="nearest").values


CUBIC = np.array(
    [[0.3, -1.0, 0.5, 0.7], [0.2, 1.1, -0.4, 0.9], [1.5, -0.6, 0.8, 0.1], [0.4, 1, 2, 3]]
)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_cubic_in_each_coordinate_is_exact(scale: str) -> None:
    # kills: exchanged axes, a mixed derivative without its second pass, a forgotten term of the
    # chain rule (gradient outer product), the offset left out
    def cubic(x, y, p=0, q=0):
        return np.polynomial.polynomial.polyval2d(
            x + 0 * y,
            y + 0 * x,
            np.polynomial.polynomial.polyder(
                np.polynomial.polynomial.polyder(CUBIC, p, axis=0), q, axis=1
            ),
        )

    offset = 2.5 if scale == "log" else None
    made = plane(lambda x, y: np.exp(cubic(x, y)) - 2.5 if offset else cubic(x, y))
    found = surface_curvature(made, scale=scale, offset=offset)
    x, y = made.alpha.values[:, None], made.beta.values[None, :]
    f, fx, fy, fxx, fxy, fyy = (
        cubic(x, y, p, q) for p, q in ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
    )
    height = np.exp(f) if offset else 1.0
    both = 1.0 if offset else 0.0
    exact = {
        "gradient_alpha": height * fx,
        "gradient_beta": height * fy,
        "hessian_aa": height * (fxx + both * fx * fx),
        "hessian_ab": height * (fxy + both * fx * fy),
        "hessian_bb": height * (fyy + both * fy * fy),
    }
    for name, values in exact.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-8, atol=1e-8 * np.abs(values).max())
    matrices = np.stack(
        [[exact["hessian_aa"], exact["hessian_ab"]], [exact["hessian_ab"], exact["hessian_bb"]]]
    )
    values = np.linalg.eigvalsh(np.moveaxis(matrices, (0, 1), (2, 3)))
    np.testing.assert_allclose(found.curvature[0], values[..., 1], atol=1e-7 * np.abs(values).max())
    assert (found.status == results.OK).all()
    assert float(found.hessian_error.max()) <= 1e-7 * np.abs(values).max()


def test_the_spline_is_scipys() -> None:
    # kills: other end conditions than not-a-knot, a spline that is not a tensor product
    rng = np.random.default_rng(0)
    x, y = np.sort(rng.uniform(-1, 1, 9)), np.sort(rng.uniform(0, 3, 12))
    values = rng.normal(size=(9, 12))
    found = derivatives(values, x, y)
    oracle = RectBivariateSpline(x, y, values, s=0)
    for p, q in ORDERS:
        np.testing.assert_allclose(found[p, q], oracle(x, y, dx=p, dy=q), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("scale", ["auto", "log"])
def test_a_saddle_keeps_its_signs(scale: str) -> None:
    # kills: absolute values, principal curvatures in another order, signs of the fitted logarithm
    found = surface_curvature(plane(lambda x, y: x**2 - y**2, (25, 25)), scale=scale)
    np.testing.assert_allclose(middle(found, "curvature"), [2, -2], atol=0.05)
    assert middle(found, "sign").tolist() == [1, -1]
    inner = found.sign.sel(alpha=slice(-0.6, 0.6), beta=slice(-0.6, 0.6))
    assert (inner.sel(principal="largest") == 1).all()
    assert (inner.sel(principal="smallest") == -1).all()


def test_a_monkey_saddle_is_flat_in_the_middle_and_a_saddle_around() -> None:
    # kills: a sign where the curvature is below its error; H = 6 [[x, -y], [-y, -x]]
    x = np.linspace(-1, 1, 15)
    x[7] = 0.0
    found = surface_curvature(as_plane(x[:, None] ** 3 - 3 * x[:, None] * x**2, x, x))
    assert middle(found, "sign").tolist() == [0, 0]
    r = np.hypot(x[:, None], x[None, :])
    np.testing.assert_allclose(found.curvature[0], 6 * r, atol=1e-10)
    np.testing.assert_allclose(found.curvature[1], -6 * r, atol=1e-10)
    around = r > 1e-6
    assert (found.sign.values[0][around] == 1).all()
    assert (found.sign.values[1][around] == -1).all()


def test_curvature_by_length_is_that_of_the_matrix_whatever_the_axes() -> None:
    # kills: the metric or its inverse left out, norms not squared, the cosine forgotten
    matrix = np.array([[3.0, 1.0], [1.0, -2.0]])
    axes = np.array([[2.0, 0.5], [0.7, 0.4]])
    gram = axes @ axes.T
    norms = np.sqrt(np.diag(gram))
    seen = axes @ matrix @ axes.T
    made = plane(
        lambda x, y: 0.5 * (seen[0, 0] * x * x + 2 * seen[0, 1] * x * y + seen[1, 1] * y * y),
        direction_norm_alpha=float(norms[0]),
        direction_norm_beta=float(norms[1]),
        axis_cosine=float(gram[0, 1] / norms.prod()),
    )
    found = surface_curvature(made)
    wanted = np.linalg.eigvalsh(matrix)[::-1]
    np.testing.assert_allclose(middle(found, "length_curvature"), wanted, rtol=1e-9)
    np.testing.assert_allclose(
        middle(found, "curvature"), np.linalg.eigvalsh(seen)[::-1], rtol=1e-9
    )
    assert "length_curvature" not in surface_curvature(made.assign_attrs(axis_cosine=1.0))


@pytest.fixture(scope="module")
def network() -> tuple[td.Objective, torch.Tensor]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)
    ).double()
    data = torch.randn(20, 3, dtype=torch.float64), torch.randint(3, (20,))
    objective = td.Objective(model, torch.nn.CrossEntropyLoss(), data)
    directions = td.random_directions(objective, count=2, seed=1)
    directions[1] += 0.4 * directions[0]
    return objective, directions


def matrix(found: xr.Dataset) -> np.ndarray:
    """The fitted Hessian, the two axes of the matrix last."""
    rows = (("hessian_aa", "hessian_ab"), ("hessian_ab", "hessian_bb"))
    return np.stack([np.stack([found[k].values for k in r], -1) for r in rows], -2)


def test_a_network_is_within_the_stated_error_of_its_derivatives(network) -> None:
    # kills: the coarse fit compared with itself, an error of one axis only
    objective, directions = network
    made = td.plane(objective, directions, steps=(31, 31), method="dense")
    found = surface_curvature(made)
    for i, j in ((15, 15), (15, 4), (3, 22), (27, 9), (10, 18), (29, 29), (0, 15)):
        point = objective.start + made.alpha.values[i] * directions[0]
        point = point + made.beta.values[j] * directions[1]
        products = td.hessian(objective, point, engine="kept").matmat(directions.T)
        exact = (directions @ products).numpy()
        at = found.isel(alpha=i, beta=j)
        assert np.linalg.norm(matrix(at) - exact, 2) <= float(at.hessian_error)
        assert float(at.hessian_error) <= 0.1 * np.linalg.norm(exact, 2)
        slope = (directions @ objective.gradient(point)).numpy()
        ours = np.array([at.gradient_alpha, at.gradient_beta])
        assert np.linalg.norm(ours - slope) <= float(at.gradient_error)


def test_the_error_of_an_adaptive_plane_is_in_the_error_of_its_curvature(network) -> None:
    # kills: the error of the plane's own fit left out (the spline through a fit agrees with
    # itself), its spacing taken as that of the grid
    objective, directions = network
    dense, few = (
        td.plane(objective, directions, steps=(31, 31), method=m) for m in ("dense", "adaptive")
    )
    assert int((few.sampled == 1).sum()) < 300
    truth, found = surface_curvature(dense), surface_curvature(few)
    blind = surface_curvature(few.drop_vars("loss_fit_error"))
    gap = np.linalg.norm(matrix(found) - matrix(truth), 2, axis=(2, 3))
    assert (gap <= found.hessian_error.values).mean() >= 0.9
    assert (gap <= blind.hessian_error.values).mean() < 0.5
    assert np.median(found.hessian_error.values / gap) < 20
    both = (found.sign.values != 0) & (truth.sign.values != 0)
    assert (found.sign.values == truth.sign.values)[both].all()


def test_gaps_are_left_out_with_their_neighbors_and_change_nothing_beyond_their_lines() -> None:
    # kills: a gap filled (values at gaps are absurd here), neighbors kept, statuses lost
    x = np.linspace(-1, 1, 13)
    values = np.cos(2 * x[:, None]) * np.exp(0.5 * x)
    status = np.full(values.shape, results.OK)
    status[4, 5], status[12, 0] = results.DIVERGED, results.FAILED
    broken = np.where(status == results.OK, values, 1e30)
    found = surface_curvature(as_plane(broken, x, x, status), scale="linear")
    assert int(found.status[4, 5]) == results.DIVERGED
    assert int(found.status[12, 0]) == results.FAILED
    assert (found.status.values[3:6, 4:7] != results.OK).all()
    assert np.isnan(found.hessian_aa.values[3:6, 4:7]).all()
    whole = surface_curvature(as_plane(values, x, x), scale="linear")
    here = found.status.values == results.OK
    assert here.sum() > 130
    assert np.nanmax(np.abs(found.hessian_aa - whole.hessian_aa).values[here]) < 0.2
    rows = np.r_[0:3, 6:11]
    np.testing.assert_allclose(found.gradient_beta.values[rows], whole.gradient_beta.values[rows])


def test_values_that_are_not_finite_count_as_diverged_without_a_status() -> None:
    x = np.linspace(-1, 1, 9)
    values = np.exp(x[:, None] + x)
    values[0, 0] = np.nan
    bare = as_plane(values, x, x).drop_vars("status")
    assert int(surface_curvature(bare).status[0, 0]) == results.DIVERGED


def test_the_scale_that_disagrees_less_is_taken() -> None:
    # kills: the larger disagreement chosen, a logarithm of what is not positive
    steep = surface_curvature(
        plane(lambda x, y: np.exp(4 * x * x + 3 * y * y), (21, 21)), offset=0.0
    )
    assert steep.attrs["scale"] == "log"
    assert steep.attrs["disagreement_log"] < steep.attrs["disagreement_linear"]
    flat = surface_curvature(plane(lambda x, y: 1 + x * x + y * y, (21, 21)))
    assert flat.attrs["scale"] == "linear"
    assert surface_curvature(plane(lambda x, y: 0 * x + 3.0)).attrs["scale"] == "linear"


@pytest.mark.parametrize(
    ("change", "how", "code"),
    [
        (lambda p: p.assign_attrs(quantity="line"), {}, "E-X01"),
        (lambda p: p, {"variable": "test_loss"}, "E-X01"),
        (lambda p: p.isel(beta=slice(4)), {}, "E-X02"),
        (lambda p: p, {"scale": "sqrt"}, "E-X03"),
        (lambda p: p, {"scale": "log", "offset": 0.0}, "E-X04"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, how, code: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        surface_curvature(change(plane(lambda x, y: x - y)), **how)
    assert caught.value.code == code


def test_it_needs_no_torch() -> None:
    code = "import sys, theodolite as td; td.surface_curvature; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
