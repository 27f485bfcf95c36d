"""Searches for critical points where all of them are known, and where there are none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from theodolite.curvature.critical_points import critical_point
from theodolite.errors import InvalidArgument, NotConverged
from theodolite.testing.saddles import LinearAutoencoder, Plateau, Valley, objective_of

METHODS = ["newton-mr", "gradient-norm", "saddle-free"]
AUTOENCODER = LinearAutoencoder((4.0, 3.0, 2.0, 1.0), hidden=2)
GENERATOR = torch.Generator().manual_seed(0)
NUDGE = torch.randn(16, generator=GENERATOR, dtype=torch.float64)


def regression() -> td.Objective:
    """A quadratic with a kernel: the third column of the inputs is the sum of the others."""
    x = torch.randn(12, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    inputs = torch.cat([x, x.sum(1, keepdim=True)], 1)
    return td.Objective(
        nn.Linear(3, 1, bias=False).double(), nn.MSELoss(), (inputs, x[:, :1] - 2 * x[:, 1:])
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_quadratic_is_solved_in_its_range(method: str) -> None:
    # kills: a step of another sign or length. A Newton step is exact here.
    objective = regression()
    found = critical_point(objective, method=method)  # type: ignore[arg-type]
    assert float(found.gradient_norm[-1]) ** 2 <= 1e-10
    assert float(found.loss[-1]) == pytest.approx(0, abs=1e-9)
    assert (found.attrs["converged"], found.attrs["accepted"]) == ("true", "true")
    if method != "gradient-norm":
        assert found.sizes["iteration"] <= 4
    null = torch.tensor([1.0, 1.0, -1.0]).double()
    moved = torch.from_numpy(found.point.values) - objective.start
    assert abs(float(moved @ null)) < 1e-9
    assert found.verdict.values[0] == "minimum up to tau"


@pytest.mark.parametrize(
    ("method", "chosen"),
    [
        *(("newton-mr", c) for c in ((0, 1), (0, 2), (2, 3), (1, 3))),
        ("gradient-norm", (1, 2)),
    ],
)
def test_saddles_of_a_linear_autoencoder_are_found_with_their_index(
    method: str, chosen: tuple[int, ...]
) -> None:
    # kills: a descent on the loss, which leaves saddles; a wrong sign in the Newton system.
    # Oracle: Baldi, Hornik (1989).
    start = AUTOENCODER.point(chosen) + 0.02 * NUDGE
    found = critical_point(AUTOENCODER.objective(), start, method=method)  # type: ignore[arg-type]
    assert float(found.loss[-1]) == pytest.approx(AUTOENCODER.loss(chosen), abs=1e-8)
    expected = AUTOENCODER.negative_directions(chosen)
    assert found.certain_negative.sel(tau=1e-3).item() == expected
    assert found.index.sel(tau=1e-3).item() == expected / 16
    assert found.attrs["accepted"] == "true"


def test_saddle_free_newton_leaves_a_saddle_for_the_minimum() -> None:
    # kills: the size of the eigenvalues not taken: Newton's own step goes to the saddle.
    start = AUTOENCODER.point((2, 3)) + 1e-3 * NUDGE
    found = critical_point(AUTOENCODER.objective(), start, method="saddle-free")
    assert float(found.loss[-1]) == pytest.approx(AUTOENCODER.loss((0, 1)), abs=1e-8)
    assert found.verdict.values[-1] == "minimum up to tau"
    assert np.all(np.diff(found.loss) <= 1e-14)


@pytest.mark.parametrize("y", [0.8, 0.6])
def test_newton_mr_converges_quadratically_and_reduces_the_gradient_at_every_step(
    y: float,
) -> None:
    # kills: systems solved to a fixed share; a line search that accepts increases. From 0.6, a
    # full Newton step goes to 5.4 and multiplies the gradient by 400.
    found = critical_point(objective_of(Valley()), torch.tensor([0.3, y]), tolerance=1e-24)
    norms = found.gradient_norm.values
    assert np.all(np.diff(norms) < 0)
    assert found.point.values == pytest.approx([0, 1], abs=1e-12)
    assert len(norms) <= 10


def test_a_network_is_solved_in_float64_whatever_its_own_precision() -> None:
    # kills: float32 gradients, whose noise is above the tolerance.
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(40, 3, generator=generator)
    y = model(x).detach() + 0.01 * torch.randn(40, 1, generator=generator)
    objective = td.Objective(model, nn.MSELoss(), (x, y))
    found = critical_point(objective, tolerance=1e-20, method="saddle-free")
    assert float(found.gradient_norm[-1]) < 1e-10
    assert found.point.dtype == np.float64
    assert found.attrs["dtype"] == "float64"
    exact = objective.converted(torch.float64)
    point = torch.from_numpy(found.point.values)
    assert float(exact.gradient(point).norm()) == pytest.approx(
        float(found.gradient_norm[-1]), rel=1e-6
    )
    dense = np.linalg.eigvalsh(td.hessian(exact, point).dense().numpy())
    cut = 1e-3 * np.abs(dense).max()
    assert found.certain_negative.sel(tau=1e-3).item() == (dense < -cut).sum()


@pytest.mark.parametrize("method", ["newton-mr", "gradient-norm"])
def test_a_gradient_flat_point_is_refused_with_its_reason(method: str) -> None:
    # kills: certification by the gradient norm alone. The slope 1e-6 is below the tolerance 1e-5.
    start = torch.tensor([0.1, 0.0])
    with pytest.raises(NotConverged, match="is no critical point") as caught:
        critical_point(objective_of(Plateau(1e-6)), start, method=method)  # type: ignore[arg-type]
    found = caught.value.result
    assert caught.value.code == "E-K29"
    assert (found.attrs["converged"], found.attrs["accepted"]) == ("true", "false")
    assert max(float(found.relative_residual), float(found.reduction)) > 0.9
    assert found.attrs["reason"].startswith("the gradient is flat")
    assert "tau" not in found.dims


def test_the_same_gradient_where_the_hessian_sees_it_is_accepted() -> None:
    # Negative control: a gradient as small, in the range of the Hessian.
    start = torch.tensor([1e-6, 1.0])
    found = critical_point(objective_of(Valley()), start)
    assert found.attrs["products"] == 0
    assert found.attrs["accepted"] == "true"
    assert float(found.relative_residual) < 1e-6
    assert float(found.reduction) < 1e-3


@pytest.mark.parametrize("y", [1e-4, -1e-4])
def test_beside_a_gradient_flat_point_a_newton_step_gives_it_away(y: float) -> None:
    # kills: the residual of the Newton system alone: it can be solved here, and does not help.
    with pytest.raises(NotConverged, match="is no critical point") as caught:
        critical_point(objective_of(Plateau(1e-6)), torch.tensor([1e-7, y]))
    assert float(caught.value.result.relative_residual) < 0.5
    assert float(caught.value.result.reduction) > 0.9


def test_a_search_that_ends_on_a_plateau_says_so() -> None:
    # kills: a stall reported as success. At 0 the gradient norm is least, and not 0.
    start = torch.tensor([0.1, 0.3])
    with pytest.raises(NotConverged, match=r"squared gradient norm reached 0\.01") as caught:
        critical_point(objective_of(Plateau(0.1)), start, method="gradient-norm")
    assert caught.value.code == "E-K28"
    assert "the gradient is flat" in caught.value.why
    found = caught.value.result
    assert found.point.values == pytest.approx([0, 0], abs=1e-2)
    assert found.attrs["converged"] == "false"


class Kink(nn.Module):
    """A slope that jumps at 0 from -1 to 2 in x, beside a quadratic in y; smooth elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        x, y = self.theta
        bent = torch.where(x < 0, -x + x**2 / 200, 2 * x + x**2 / 200)
        return bent + (1 - torch.exp(-50 * (y - 1) ** 2)) / 50 * x.sign() + data @ self.theta


def test_a_search_that_crawls_towards_a_kink_is_ended() -> None:
    # kills: line searches of thirty halvings, one for every whole Newton system, to the last
    # of the products: the gradient jumps at 0 and cannot get smaller.
    with pytest.raises(NotConverged, match="had to be cut below") as caught:
        critical_point(objective_of(Kink()), torch.tensor([-1e-3, 0.5]), max_products=500)
    found = caught.value.result
    assert found.attrs["products"] < 60
    assert found.attrs["accepted"] == "false"


def test_a_search_without_products_left_is_not_tested() -> None:
    # kills: up to 2000 products spent on the test of a point that is refused in any case
    torch.manual_seed(0)
    x = torch.randn(30, 5).double()
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    objective = td.Objective(model, nn.MSELoss(), (x, torch.sin(3 * x[:, :1])))
    told: list[tuple[int, float]] = []
    with pytest.raises(NotConverged, match="the 9 products of max_products") as caught:
        critical_point(objective, max_products=9, progress=lambda *now: told.append(now))
    found = caught.value.result
    assert found.attrs["test_products"] == 0
    assert np.isnan(found.residual_share)
    assert [p for p, _ in told] == found.products.values.tolist()
    assert [g for _, g in told] == found.gradient_norm.values.tolist()


def test_settings_of_the_index_are_passed_on() -> None:
    # kills: a whole spectrum where a sample was asked for
    how = {"dense_limit": 0, "probes": 3, "steps": 2, "count": 1}
    found = critical_point(regression(), index_settings=how)
    assert found.attrs["index_method"] == "lanczos"


@pytest.mark.parametrize("method", METHODS)
def test_the_budget_is_kept(method: str) -> None:
    # kills: a cap that counts iterations instead of products.
    torch.manual_seed(0)
    x = torch.randn(30, 5).double()
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    objective = td.Objective(model, nn.MSELoss(), (x, torch.sin(3 * x[:, :1])))
    with pytest.raises(NotConverged, match="max_products were used up") as caught:
        critical_point(objective, method=method, max_products=9)  # type: ignore[arg-type]
    assert caught.value.result.attrs["products"] == 9
    assert caught.value.result.products.values[-1] <= 9


def test_a_critical_start_costs_nothing_and_is_judged_all_the_same() -> None:
    # kills: a test of flatness that rejects exact critical points for their rounding.
    for chosen in ((), (3,), (0, 1)):
        found = critical_point(AUTOENCODER.objective(), AUTOENCODER.point(chosen))
        assert (found.sizes["iteration"], found.attrs["products"]) == (1, 0)
        assert found.attrs["accepted"] == "true"
        assert found.certain_negative.sel(tau=1e-3).item() == AUTOENCODER.negative_directions(
            chosen
        )


def test_the_index_can_be_left_out_and_everything_is_recorded() -> None:
    found = critical_point(regression(), index=False, seed=3)
    assert "tau" not in found.dims
    assert {"quantity": "critical_point", "seed": 3, "method": "newton-mr"}.items() <= (
        found.attrs.items()
    )
    assert all(v.attrs["long_name"] for v in found.data_vars.values())
    assert found.attrs["fingerprint"]


@pytest.mark.parametrize(
    "settings", [{"method": "newton"}, {"tolerance": 0.0}, {"max_products": 0}]
)
def test_bad_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(
        InvalidArgument, match=f"{next(iter(settings))}.* (must|at least)"
    ) as caught:
        getattr(critical_point, "__wrapped__", critical_point)(regression(), **settings)
    assert caught.value.code == "E-K30"
