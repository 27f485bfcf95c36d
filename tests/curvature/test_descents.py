"""Single steps of each kind of descent, against the sums that define them."""

from __future__ import annotations

import pytest
import torch

from theodolite.curvature.descents import Descent, Line, descended, in_ball
from theodolite.curvature.escape_fields import field_of
from theodolite.errors import InvalidArgument
from theodolite.testing.saddles import Valley, objective_of, valley

FAR = Line(torch.zeros(2).double(), torch.tensor([0.0, 1.0]).double(), 1e9)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_one_plain_step_is_the_rate_times_the_gradient() -> None:
    # kills: the sign, the rate, a step counted before it is made.
    field, at, _ = field_of(valley, torch.tensor([0.2, 0.4]))
    steps, end, outcome = descended(field, at, FAR, Descent(rate=0.5, max_steps=1), generator())
    expected = [0.2 - 0.5 * 0.2, 0.4 - 0.5 * (-0.4 + 0.4**3)]
    assert end.tolist() == pytest.approx(expected)
    assert (steps, outcome) == (1, "not escaped")


def test_a_start_beyond_the_radius_takes_no_step() -> None:
    near = Line(FAR.origin, FAR.direction, 0.3)
    field, at, _ = field_of(valley, torch.tensor([0.2, -0.4]))
    assert descended(field, at, near, Descent(), generator())[0::2] == (0, "escaped")


def test_batch_gradients_average_to_the_gradient_and_are_drawn_by_examples() -> None:
    # kills: shares of batches instead of examples, a batch's share for its mean.
    rows = torch.arange(14.0).double().reshape(7, 2)
    objective = objective_of(Valley(), rows, batch_size=3)  # 3 + 3 + 1
    field, at, _ = field_of(objective, torch.tensor([0.2, 0.4]).double())
    assert field.shares.tolist() == pytest.approx([3 / 7, 3 / 7, 1 / 7])
    own = torch.tensor([0.2, -0.4 + 0.4**3]).double()

    def gradients() -> torch.Tensor:
        return torch.stack([field.batch_gradient(at, b) for b in range(3)])

    made = field.guarded(gradients)
    for batch, part in zip(made, rows.split(3), strict=True):
        assert batch.tolist() == pytest.approx((own + part.mean(0)).tolist())
    assert (field.shares @ made).tolist() == pytest.approx(objective.gradient(at).tolist())
    ends = {
        tuple(field.guarded(lambda s=s: one(field, at, s)).round(decimals=9).tolist())
        for s in range(40)
    }
    assert ends == {tuple((at - 0.1 * g).round(decimals=9).tolist()) for g in made}


def one(field: object, at: torch.Tensor, seed: int) -> torch.Tensor:
    """One stochastic step."""
    descent = Descent("stochastic", max_steps=1)
    return descended(field, at, FAR, descent, generator(seed))[1]  # type: ignore[arg-type]


def test_isotropic_noise_has_the_deviation_asked_for() -> None:
    # kills: a variance for a deviation, noise not times the rate. Four standard errors.
    field, at, _ = field_of(lambda t: 0 * t.sum(), torch.zeros(4000))
    line = Line(at, torch.eye(1, 4000).double()[0], 1e9)
    descent = Descent("isotropic", noise=0.3, rate=0.5, max_steps=1)
    end = descended(field, at, line, descent, generator())[1]
    assert float(end.std()) == pytest.approx(0.15, rel=4 / (2 * 4000) ** 0.5)


def test_jumps_are_uniform_in_the_ball() -> None:
    # kills: uniform radii, which crowd the center; jumps on the sphere. Four standard errors.
    source, like = generator(), torch.zeros(3).double()
    lengths = torch.stack([in_ball(like, source).norm() for _ in range(2000)])
    for radius in (0.5, 0.8):
        share = radius**3
        error = (share * (1 - share) / 2000) ** 0.5
        assert abs(float((lengths < radius).double().mean()) - share) < 4 * error
    assert float(lengths.max()) <= 1


def test_jumps_are_as_far_apart_as_asked() -> None:
    # kills: a jump at every step, none after the first. Without a slope, only jumps move.
    field, at, _ = field_of(lambda t: 0 * t.sum(), torch.zeros(2))
    ends = []
    for steps in range(1, 26):
        descent = Descent("perturbed", noise=1.0, wait=10, max_steps=steps)
        ends.append(tuple(descended(field, at, FAR, descent, generator())[1].tolist()))
    assert [ends.index(end) + 1 for end in sorted(set(ends), key=ends.index)] == [1, 11, 21]


def test_the_hessian_of_a_function_is_its_second_derivative() -> None:
    # kills: the gradient's graph lost; a linear part without a derivative.
    field, at, _ = field_of(valley, torch.tensor([0.2, 0.5]))
    dense = field.hessian(at).dense()
    assert dense.flatten().tolist() == pytest.approx([1, 0, 0, -1 + 3 * 0.25])
    flat, at, _ = field_of(lambda t: t.sum(), torch.zeros(2))
    assert flat.hessian(at).dense().tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "adam"},
        {"rate": 0.0},
        {"rate": float("nan")},
        {"max_steps": 0},
        {"wait": 0},
        {"method": "perturbed"},
        {"method": "isotropic", "noise": -1.0},
        {"threshold": -1.0},
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument, match="must be") as caught:
        Descent(**settings)  # type: ignore[arg-type]
    assert caught.value.code == "E-K34"
