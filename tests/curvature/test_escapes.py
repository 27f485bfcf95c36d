"""Escape from saddles against the steps of linear theory, and from traps that hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.curvature.descents import Descent
from theodolite.curvature.escapes import escape_time
from theodolite.errors import InvalidArgument, InvalidType
from theodolite.testing.saddles import Valley, objective_of, valley

ORIGIN = torch.zeros(2, dtype=torch.float64)
GROWTH = math.log(1.1)


def noisy(*columns: int, scale: float = 1.0, examples: int = 8) -> td.Objective:
    """A saddle whose gradient noise has parts along some coordinates only; batches of two."""
    rows = torch.zeros(examples, 2, dtype=torch.float64)
    for column in columns:
        drawn = torch.randn(examples, generator=torch.Generator().manual_seed(column + 1)).double()
        rows[:, column] = scale * (drawn - drawn.mean())
    return objective_of(Valley(), rows, batch_size=2)


def quadratic(theta: Tensor) -> Tensor:
    return (theta[0] ** 2 - 3 * theta[1] ** 2 + 2 * theta[2] ** 2) / 2


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_descent_on_a_quadratic_takes_exactly_the_predicted_steps(rate: float) -> None:
    # kills: growth by the exponential, an off-by-one, the length for the projection.
    found = escape_time(quadratic, torch.zeros(3), descent=Descent(rate=rate), runs=8)
    assert found.steps.values.tolist() == np.ceil(found.predicted).values.tolist()
    expected = np.log(0.1 / found.projection) / math.log(1 + 3 * rate)
    np.testing.assert_allclose(found.predicted, expected, rtol=1e-10)
    assert len(set(found.projection.values)) == 8
    assert float(found.negative_eigenvalue) == pytest.approx(-3)
    assert set(found.outcome.values) == {"escaped"}


@pytest.mark.parametrize("noise", ["displacement", "isotropic", "perturbed", "stochastic"])
def test_steps_grow_with_the_logarithm_of_the_noise(noise: str) -> None:
    # kills: noise added without the rate, a jump of another size, a prediction of another slope.
    # Claim B7: slope 1 / ln(1 + eta), within 10 %.
    sizes, medians, predicted = np.array([1e-9, 1e-7, 1e-5, 1e-3]), [], []
    for size in sizes:
        loss: object = noisy(0, 1, scale=float(size)) if noise == "stochastic" else valley
        descent = Descent(
            "gradient" if noise == "displacement" else noise,
            noise=float(size) if noise in ("isotropic", "perturbed") else None,
        )
        moved = float(size) if noise == "displacement" else 0.0
        found = escape_time(loss, ORIGIN, descent=descent, displacement=moved, runs=9, seed=2)
        medians.append(float(found.median_steps))
        predicted.append(float(found.predicted.median()))
    slope = np.polyfit(np.log(1 / sizes), medians, 1)[0]
    assert slope == pytest.approx(1 / GROWTH, rel=0.1)
    theory = np.polyfit(np.log(1 / sizes), predicted, 1)[0]
    assert theory == pytest.approx(1 / GROWTH, rel=0.01)
    # a typical run: within a factor e**2 of the predicted size of the noise
    assert np.abs(np.array(medians) - predicted).max() < 2 / GROWTH


@pytest.mark.parametrize("loss", ["function", "objective"])
def test_on_the_stable_manifold_descent_stays(loss: str) -> None:
    # kills: rounding or a hidden perturbation that breaks the symmetry; a cap that is ignored.
    given = valley if loss == "function" else noisy()
    descent = Descent(max_steps=300)
    beside = torch.tensor([0.05, 0.0])
    found = escape_time(given, ORIGIN, descent=descent, displacement=beside, runs=2)
    assert np.isnan(found.steps).all()
    assert np.isnan(found.median_steps)
    assert found.outcome.values.tolist() == ["not escaped"] * 2
    assert float(found.projection.max()) < 1e-16  # what the eigenvector has of the other
    assert float(found.predicted.min()) > 300


def test_noise_without_a_part_along_the_direction_is_a_trap() -> None:
    # kills: isotropic noise passed off as the batches'; the noise of all directions.
    # Claim E4: batches that leave a symmetry intact do not break it, whatever their size.
    descent = Descent("stochastic", max_steps=300)
    held = escape_time(noisy(0), ORIGIN, descent=descent, displacement=0.0, runs=3)
    assert set(held.outcome.values) == {"not escaped"}
    assert float(held.noise_along) == pytest.approx(0, abs=1e-12)
    assert float(held.noise_mean) > 0.1
    # Positive control: isotropic noise of equal trace leaves at once.
    equal = Descent("isotropic", max_steps=300)
    free = escape_time(noisy(0), ORIGIN, descent=equal, displacement=0.0, runs=3)
    assert set(free.outcome.values) == {"escaped"}
    assert free.attrs["noise"] == pytest.approx(float(free.batch_noise_mean) ** 0.5)


class ZeroNet(nn.Module):
    """One tanh unit that starts at zero: no batch has a gradient there."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.outer = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.outer * torch.tanh(self.inner * x)


def test_a_network_of_zeros_stays_under_batches_and_leaves_after_a_nudge() -> None:
    # kills: a perturbation added to stochastic steps. The second trap of claim E4.
    x = torch.tensor([[-1.0], [-0.5], [0.5], [1.0]]).double()
    objective = td.Objective(ZeroNet(), nn.MSELoss(), (x, x), batch_size=1)
    descent = Descent("stochastic", max_steps=400)
    held, free = (
        escape_time(objective, descent=descent, displacement=d, runs=2) for d in (0.0, 1e-6)
    )
    assert set(held.outcome.values) == {"not escaped"}
    assert float(held.noise_mean) == 0
    assert set(free.outcome.values) == {"escaped"}


def test_noise_is_that_of_the_covariance_and_of_the_batches() -> None:
    # kills: the second moment for the covariance, a mean over examples for one over batches,
    # the trace not divided by the size. Gradients of examples are the rows of the data.
    objective = noisy(0, 1, scale=0.5)
    found = escape_time(objective, ORIGIN, descent=Descent("stochastic"), runs=1)
    rows = torch.cat([b.raw[0] for b in objective.data])
    covariance = torch.cov(rows.T)
    assert float(found.noise_along) == pytest.approx(float(covariance[1, 1]))
    assert float(found.noise_mean) == pytest.approx(float(covariance.trace() / 2))
    means = rows.reshape(4, 2, 2).mean(1)
    assert float(found.batch_noise_along) == pytest.approx(float(means[:, 1].square().mean()))
    assert float(found.batch_noise_mean) == pytest.approx(float(means.square().sum(1).mean() / 2))
    function = escape_time(valley, ORIGIN, runs=1)
    assert np.isnan(function.noise_along)
    assert np.isnan(function.batch_noise_mean)


def test_quartiles_count_runs_that_stay_as_the_longest() -> None:
    # kills: quantiles of the runs that escaped alone.
    cap = int(np.ceil(math.log(0.1 / 1e-6) / GROWTH))
    found = escape_time(valley, ORIGIN, descent=Descent(max_steps=cap + 3), runs=20, seed=1)
    steps = np.sort(np.where(np.isnan(found.steps), np.inf, found.steps))
    stayed = int(np.isinf(steps).sum())
    assert 0 < stayed < 20
    for name, place in (("lower_quartile", 4), ("median_steps", 9), ("upper_quartile", 14)):
        value = steps[place]
        assert np.isnan(found[name]) if np.isinf(value) else float(found[name]) == value


def test_a_gradient_along_the_direction_shifts_the_displacement() -> None:
    # kills: a point that is not quite critical taken for one, the shift with the other sign.
    def tilted(theta: Tensor) -> Tensor:
        return quadratic(theta) + 3e-5 * theta[1]

    beside = torch.tensor([0.0, 2e-5, 0.0])  # the quadratic's critical point is at 1e-5
    found = escape_time(tilted, torch.zeros(3), displacement=beside, runs=1)
    assert float(found.projection[0]) == pytest.approx(1e-5)
    assert float(found.steps[0]) == math.ceil(math.log((0.1 - 1e-5) / 1e-5) / math.log(1.3))
    assert found.attrs["gradient_norm"] == pytest.approx(3e-5)


def test_perturbed_descent_jumps_only_where_the_gradient_is_small_and_waits() -> None:
    # kills: a jump at every step; no threshold. From beside the saddle, jumps are too far apart.
    far = torch.tensor([0.05, 0.0])
    calm = Descent("perturbed", noise=1e-3, threshold=1e-9, max_steps=150)
    held = escape_time(valley, ORIGIN, descent=calm, displacement=far, runs=2)
    assert set(held.outcome.values) == {"not escaped"}
    eager = Descent("perturbed", noise=1e-3, threshold=1e-2, max_steps=200)
    free = escape_time(valley, ORIGIN, descent=eager, displacement=far, runs=2)
    assert set(free.outcome.values) == {"escaped"}


def test_divergence_is_told_from_staying() -> None:
    # kills: NaN compared with the radius forever.
    def cliff(theta: Tensor) -> Tensor:
        return 50 * theta[0] ** 2 + theta[0] ** 4 * 1e3 - theta[1] ** 2 / 2

    found = escape_time(
        cliff, ORIGIN, descent=Descent(rate=1.0), displacement=torch.tensor([0.1, 0.0]), runs=1
    )
    assert found.outcome.values.tolist() == ["diverged"]
    assert np.isnan(found.steps).all()


def test_runs_do_not_depend_on_their_number_and_the_model_is_not_touched() -> None:
    objective = noisy(0, 1)
    before = objective.model.theta.detach().clone()
    descent = Descent("stochastic")
    few, many = (escape_time(objective, descent=descent, runs=k, seed=3) for k in (2, 4))
    np.testing.assert_array_equal(few.steps, many.steps[:2])
    assert torch.equal(objective.model.theta.detach(), before)
    assert objective.model.theta.grad is None
    assert {"method": "stochastic", "rate": 0.1, "seed": 3}.items() <= few.attrs.items()
    assert all(v.attrs["long_name"] for v in few.data_vars.values())


def test_what_it_refuses() -> None:
    with pytest.raises(InvalidArgument, match="no direction surely curves down") as caught:
        escape_time(valley, torch.tensor([0.0, 1.0]))
    assert caught.value.code == "E-K35"
    with pytest.raises(InvalidArgument, match="two batches or more"):
        escape_time(valley, ORIGIN, descent=Descent("stochastic"))
    with pytest.raises(InvalidArgument, match="two batches or more"):
        escape_time(valley, ORIGIN, descent=Descent("isotropic"))
    with pytest.raises(InvalidArgument, match="a function needs a point"):
        escape_time(valley)
    with pytest.raises(InvalidType, match="an Objective or a function"):
        escape_time(3.0, ORIGIN)
    with pytest.raises(InvalidType, match="must return a scalar tensor"):
        escape_time(lambda theta: theta, ORIGIN)
    for settings in ({"radius": 0.0}, {"runs": 0}, {"displacement": 1.0}):
        with pytest.raises(InvalidArgument, match="radius must be positive"):
            escape_time(valley, ORIGIN, **settings)  # type: ignore[arg-type]
    unchecked = getattr(escape_time, "__wrapped__", escape_time)
    with pytest.raises(InvalidArgument, match=r"displacement must have shape \(2,\)"):
        unchecked(valley, ORIGIN, displacement=torch.zeros(3))


def test_curves_are_the_ways_of_the_runs_and_change_nothing() -> None:
    # kills: distances not absolute, a way that goes on after its run, a loss that moves the runs.
    how = {"displacement": 1e-4, "runs": 5, "seed": 3, "descent": Descent(rate=0.2)}
    plain = escape_time(quadratic, torch.zeros(3), **how)
    found = escape_time(quadratic, torch.zeros(3), curves=True, **how)
    assert plain.steps.values.tolist() == found.steps.values.tolist()
    growth, step = 1 + 0.2 * 3, found.step.values
    for run in range(5):
        last = int(found.steps[run])
        exact = float(found.projection[run]) * growth ** np.minimum(step, last)
        np.testing.assert_allclose(found.distance[run], exact, rtol=1e-9)
        # the other two coordinates shrink: the loss is that of the direction in the end
        bent = -1.5 * float(found.distance[run, -1]) ** 2
        assert float(found.rise[run, -1]) == pytest.approx(bent, rel=1e-6)
        assert float(found.rise[run, -1]) == pytest.approx(-float(found.loss_drop[run]))
    start = float(found.projection.median())
    np.testing.assert_allclose(found.theory, start * growth**step, rtol=1e-9)


@pytest.mark.parametrize("method", ["isotropic", "perturbed", "stochastic"])
def test_theory_is_the_root_mean_square_of_many_linear_runs(method: str) -> None:
    # kills: noise that is there from the first step or never, a jump that builds up.
    size = 1e-7
    loss: object = noisy(0, 1, scale=size) if method == "stochastic" else valley
    noise = None if method == "stochastic" else size
    runs = 40 if method == "stochastic" else 300  # gradients of batches are slow
    descent = Descent(method, noise=noise, max_steps=10)
    found = escape_time(
        loss, ORIGIN, descent=descent, displacement=0.0, runs=runs, curves=True, seed=5
    )
    square = (found.distance**2).mean("run").values
    for k in (1, 3, 10):
        ratio = square[k] / float(found.theory[k]) ** 2
        assert abs(ratio - 1) < 4 * math.sqrt(2 / runs), (k, ratio)


def test_curves_of_an_objective_leave_its_runs_alone() -> None:
    # kills: a loss evaluated inside the guard that draws numbers or moves the model.
    objective = noisy(0, 1, scale=0.1)
    how = {"displacement": 1e-4, "runs": 3, "seed": 1, "descent": Descent("stochastic")}
    before = objective.start.clone()
    plain = escape_time(objective, ORIGIN, **how)
    found = escape_time(objective, ORIGIN, curves=True, **how)
    np.testing.assert_array_equal(plain.steps, found.steps)
    np.testing.assert_array_equal(plain.loss_drop, found.loss_drop)
    np.testing.assert_allclose(found.rise[:, -1], -found.loss_drop, rtol=1e-12)
    assert torch.equal(before, objective.start)


def test_the_curve_of_a_long_run_ends_where_the_run_did() -> None:
    # kills: a last loss that is not noted where its step is between two that are kept
    found = escape_time(valley, ORIGIN, descent=Descent(rate=0.03), runs=4, curves=True)
    assert float(found.steps.min()) > 201
    assert set(found.steps.values % 2) == {0.0, 1.0}
    assert found.sizes["step"] <= 202
    np.testing.assert_allclose(found.rise[:, -1], -found.loss_drop, atol=1e-15)
    assert found.step.values[-1] == found.steps.max()
