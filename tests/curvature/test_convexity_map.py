"""The convexity map, against dense Hessians and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import theodolite as td
from theodolite import results
from theodolite.curvature import nonconvex
from theodolite.curvature.convexity_inputs import Search
from theodolite.curvature.convexity_map import convexity_rows
from theodolite.curvature.nonconvexity import convexity_facts
from theodolite.errors import InvalidArgument
from theodolite.testing.objectives import OBJECTIVES

SPAN = ((-1.0, 1.0), (-0.5, 1.0))


@pytest.fixture(scope="module")
def objective() -> td.Objective:
    return OBJECTIVES["cross entropy"]()


@pytest.fixture(scope="module")
def directions(objective: td.Objective) -> torch.Tensor:
    return td.random_directions(objective, count=2, seed=3)


@pytest.fixture(scope="module")
def made(objective: td.Objective, directions: torch.Tensor) -> xr.Dataset:
    return td.convexity(objective, directions, span=SPAN, steps=(3, 4), tolerance=1e-3)


def test_both_ends_are_those_of_the_dense_hessian(made, objective, directions) -> None:
    # kills: exchanged axes, a Hessian at the start instead of the point, exchanged residuals, the
    # ratio upside down
    for i, alpha in enumerate(made.alpha.values):
        for j, beta in enumerate(made.beta.values):
            point = objective.start + alpha * directions[0] + beta * directions[1]
            exact = torch.linalg.eigvalsh(td.hessian(objective, point, engine="kept").dense())
            at = made.isel(alpha=i, beta=j)
            for name, value in (("smallest", exact[0]), ("largest", exact[-1])):
                gap = abs(float(at[f"{name}_eigenvalue"]) - float(value))
                assert gap <= float(at[f"{name}_residual"]) + 1e-9
                assert float(at[f"{name}_residual"]) <= 1.1e-3 * float(exact.abs().max())
            ratio = float(exact[0] / exact[-1])
            assert abs(float(at.ratio) - ratio) <= float(at.ratio_error) + 1e-9
    assert (made.status == results.OK).all()
    assert made.attrs["products"] == int(made.products.sum())


def test_a_row_alone_is_the_row_of_the_whole(made, objective, directions) -> None:
    # kills: a row warm-started from the row before, seeds by order instead of by place
    alone = convexity_rows(
        objective,
        directions,
        alphas=made.alpha.values,
        betas=made.beta.values,
        rows=[2],
        search=Search(1e-3),
    )
    for name, values in alone.items():
        np.testing.assert_array_equal(values[0], made[name].values[2])


def test_a_warm_start_costs_fewer_products_and_finds_the_same(objective, directions) -> None:
    # kills: vectors of the neighbor not passed on
    how = {"span": ((0.0, 0.0), (0.0, 0.15)), "steps": (1, 7), "miss_probability": 1.0}
    cold = td.convexity(objective, directions, warm=False, **how)
    warm = td.convexity(objective, directions, **how)
    np.testing.assert_array_equal(cold.products[:, 0], warm.products[:, 0])
    assert warm.products[:, 1:].sum() < 0.7 * cold.products[:, 1:].sum()
    np.testing.assert_allclose(warm.largest_eigenvalue, cold.largest_eigenvalue, rtol=2e-2)


def test_linear_regression_is_convex_everywhere_and_its_negative_nowhere() -> None:
    # kills: a tolerance with the wrong sign, negative eigenvalues by rounding counted
    x, y = torch.randn(12, 4, dtype=torch.float64), torch.randn(12, 1, dtype=torch.float64)
    model = torch.nn.Linear(4, 1, bias=False, dtype=torch.float64)
    objective = td.Objective(model, torch.nn.MSELoss(), (x, y))
    bowl = td.convexity(objective, torch.eye(4, dtype=torch.float64)[:2], steps=(3, 3))
    exact = torch.linalg.eigvalsh(2 * x.T @ x / 12)
    np.testing.assert_allclose(bowl.ratio, float(exact[0] / exact[-1]), atol=2e-2)
    assert bowl.attrs["nonconvex_share"] == bowl.attrs["nonconvex_share_high"] == 0
    upside_down = td.Objective(model, lambda a, b: -((a - b) ** 2).mean(1), (x, y))
    dome = td.convexity(upside_down, torch.eye(4, dtype=torch.float64)[:2], steps=(2, 2))
    assert dome.attrs["nonconvex_share"] == 1
    assert np.isnan(dome.ratio).all()
    assert "mean_ratio" not in dome.attrs


def test_points_that_leave_the_finite_range_are_marked_and_the_next_is_right() -> None:
    # kills: a diverged point that ends the row, NaN with status ok, vectors of it passed on
    x, y = torch.randn(8, 2), torch.randn(8, 1)
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh(), torch.nn.Linear(2, 1))
    objective = td.Objective(model, lambda a, b: torch.exp((a - b) ** 2).mean(1), (x, y))
    directions = td.random_directions(objective, count=2)
    made = td.convexity(objective, directions, span=((-40, 0), (0, 40)), steps=(2, 2))
    assert made.status.values.tolist() == [[2, 2], [1, 2]]
    assert np.isnan(made.ratio.values[0]).all()
    assert made.attrs["points"] == 1


def test_pairs_that_did_not_converge_are_kept_and_flagged(objective, directions) -> None:
    found = convexity_rows(
        objective,
        directions,
        alphas=[0.0],
        betas=[0.0],
        rows=[0],
        search=Search(1e-6, max_products=3),
    )
    assert found["converged"].tolist() == [[0.0]]
    assert found["products"].tolist() == [[3.0]]
    assert np.isfinite(found["smallest_residual"]).all()


def test_undecided_points_widen_the_share_upwards() -> None:
    # kills: undecided points counted as sure, diverged ones counted at all
    columns = {
        "smallest_eigenvalue": [-1.0, -0.02, 0.5, -1.0, np.nan],
        "smallest_residual": [0.1, 0.1, 0.1, 2.0, np.nan],
        "largest_eigenvalue": [2.0, 2.0, 2.0, 2.0, np.nan],
        "ratio": [-0.5, -0.01, 0.25, -0.5, np.nan],
        "ratio_error": [0.05, 0.05, 0.05, 1.0, np.nan],
        "converged": [1, 1, 1, 1, 0],
        "products": [10, 10, 10, 10, np.nan],
        "status": [1, 1, 1, 1, 2],
    }
    found = xr.Dataset({k: ("alpha", v) for k, v in columns.items()}, attrs={"tolerance": 0.01})
    assert [m.tolist() for m in nonconvex(found)] == [
        [True, False, False, False, False],
        [True, True, False, True, False],
    ]
    facts = convexity_facts(found)
    assert (facts["points"], facts["products"]) == (4, 40)
    assert (facts["nonconvex_share"], facts["nonconvex_share_high"]) == (0.25, 0.75)
    assert facts["mean_ratio"] == pytest.approx(-0.19)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"steps": (3,)}, "E-X05"),
        ({"steps": (1, 3)}, "E-X05"),
        ({"span": ((1, -1), (0, 1))}, "E-X05"),
        ({"tolerance": 0.0}, "E-X08"),
        ({"miss_probability": 1.5}, "E-X08"),
    ],
)
def test_settings_out_of_range_are_refused(objective, directions, how, code: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        td.convexity(objective, directions, **how)
    assert caught.value.code == code


def test_directions_that_span_no_plane_are_refused(objective, directions) -> None:
    for wrong, code in ((directions[:1], "E-X06"), (directions[[0, 0]], "E-X07")):
        with pytest.raises(InvalidArgument) as caught:
            td.convexity(objective, wrong)
        assert caught.value.code == code
