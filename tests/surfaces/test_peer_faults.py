"""Faults found in other tools for loss surfaces, each as a test of its own.

Oracles: functions in closed form, and the model run by hand with moved weights.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.errors import InvalidArgument

from .formulas import linear, normal, orthonormal, quadratic


class Small(nn.Module):
    """Convolution, BatchNorm, dropout, a tied pair of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.first = nn.Linear(16, 16)
        self.second = nn.Linear(16, 16)
        self.second.weight = self.first.weight
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.norm(self.conv(x))).flatten(1)
        return self.head(self.drop(self.second(torch.tanh(self.first(hidden)))))


DATA = normal(40, 1, 4, 4, seed=9), torch.arange(40) % 3


def trained() -> Small:
    """In training mode, with running statistics that are not those of a new network."""
    torch.manual_seed(0)
    model = Small().double()
    model(DATA[0])
    return model


def objective(model: nn.Module | None = None, **settings: object) -> td.Objective:
    return td.Objective(model or trained(), nn.CrossEntropyLoss(), DATA, **settings)


def by_hand(model: nn.Module, moves: dict[str, Tensor]) -> float:
    """The loss of a copy whose parameters were moved one by one, in evaluation mode."""
    twin = copy.deepcopy(model).eval()
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            parameter.add_(moves[name])
        return float(nn.functional.cross_entropy(twin(DATA[0]), DATA[1]))


def test_columns_are_not_combed():
    """Even columns one step ahead of odd ones: a plane walked to and fro, stacked as if not."""
    surface = td.plane(linear(normal(30), normal(30, seed=1)), orthonormal(30), steps=(10, 10)).loss
    second = np.diff(surface.values, n=2, axis=0), np.diff(surface.values, n=2, axis=1)
    assert max(float(np.abs(s).max()) for s in second) < 1e-12


def test_axes_are_not_swapped():
    """loss[i, j] belongs to alpha[i] and beta[j]."""
    slopes = normal(30)
    directions = torch.stack([slopes, 0.5 * slopes.flip(0)])
    surface = td.plane(linear(slopes, 0 * slopes), directions, steps=(3, 5)).loss
    along = surface.sel(beta=0).values
    rise = float(slopes @ slopes)
    np.testing.assert_allclose(along, [-rise, 0, rise], rtol=1e-12, atol=1e-12)


def test_a_larger_distance_shows_a_larger_region():
    """Dividing by the distance shows a region as many times smaller."""
    objective, d = quadratic(normal(30)), orthonormal(30)
    near = td.plane(objective, d, span=((-1, 1), (-1, 1)), steps=(3, 3)).loss.values
    far = td.plane(objective, d, span=((-10, 10), (-10, 10)), steps=(3, 3)).loss.values
    np.testing.assert_allclose(far, 100 * near, rtol=1e-12, atol=1e-13)


def test_the_angle_between_the_axes_is_reported():
    """Axes called orthogonal that are nearly parallel: a round bowl drawn as a valley."""
    d = orthonormal(30)
    skew = torch.stack([d[0], 0.6 * d[0] + 0.8 * d[1]])
    surface = td.plane(quadratic(normal(30)), skew, steps=(3, 3))
    assert surface.attrs["axis_cosine"] == pytest.approx(0.6, rel=1e-12)
    assert float(surface.loss[2, 2] / surface.loss[2, 0]) == pytest.approx(1.6 / 0.4, rel=1e-12)
    made = objective()
    drawn = td.random_directions(made)
    assert abs(td.plane(made, drawn, steps=(2, 2)).attrs["axis_cosine"]) < 4 / 30**0.5


def test_directions_are_not_all_positive():
    """Uniform numbers in [0, 1] point along the vector of ones, whatever the seed."""
    drawn = td.random_directions(objective(), count=20, normalize=None, seed=2)
    share = (drawn > 0).double().mean(1)
    assert float((share - 0.5).abs().max()) < 4 * 0.5 / drawn.shape[1] ** 0.5


def test_every_repeat_has_its_own_directions():
    """A seed fixed inside makes all repeats the same picture."""
    made = objective()
    losses = {
        float(td.line(made, td.random_directions(made, count=1, seed=s)[0], steps=2).loss[0])
        for s in range(5)
    }
    assert len(losses) == 5


def test_running_statistics_do_not_move():
    """Directions over a state dict move running variances below zero: most of a plane is NaN."""
    model, made = trained(), objective(trained())
    names = set(made.space.names)
    assert not names & set(dict(model.named_buffers()))
    moves = made.space.views(td.random_directions(made, count=1, normalize=None)[0])
    moves["second.weight"] = torch.zeros_like(moves["first.weight"])
    surface = td.line(made, made.space.flatten(moves), span=(0, 3), steps=4)
    for alpha, loss in zip(surface.alpha.values, surface.loss.values, strict=True):
        moved = {n: float(alpha) * v for n, v in moves.items()}
        assert loss == pytest.approx(by_hand(model, moved), rel=1e-12)
    assert (surface.status == 1).all()


def test_dropout_and_batch_statistics_are_off_whatever_mode_the_model_is_in():
    """Scanning in training mode draws noise and updates the statistics on the way."""
    model = trained()
    assert model.training
    made = objective(model)
    d = td.random_directions(made)
    first = td.plane(made, d, steps=(3, 3)).loss.values
    assert np.array_equal(first, td.plane(made, d, steps=(3, 3)).loss.values)
    zeros = {n: torch.zeros_like(p) for n, p in model.named_parameters()}
    assert first[1, 1] == pytest.approx(by_hand(model, zeros), rel=1e-12)


def test_a_range_may_start_at_zero():
    """``assert low and high`` refuses zero."""
    surface = td.plane(quadratic(normal(30)), orthonormal(30), span=((0, 1), (-1, 0)), steps=(3, 3))
    expected = [[0.5, 0.125, 0], [0.625, 0.25, 0.125], [1, 0.625, 0.5]]
    np.testing.assert_allclose(surface.loss, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("steps", [(3, 8), (8, 3), (1, 5)], ids=str)
def test_grids_need_not_be_square(steps):
    """An array of (nx, ny) filled through indices of (ny, nx)."""
    span = ((-1, 2) if steps[0] > 1 else (0, 0), (0, 3))
    surface = td.plane(quadratic(normal(30)), orthonormal(30), span=span, steps=steps)
    a, b = surface.alpha.values[:, None], surface.beta.values[None, :]
    assert surface.loss.shape == steps
    np.testing.assert_allclose(surface.loss, (a**2 + b**2) / 2, rtol=1e-12, atol=1e-15)


def test_a_loss_below_zero_is_a_loss():
    """-1 as the mark of a missing value, and ``<= 0`` as the test for it."""
    slopes = normal(30)
    surface = td.line(linear(slopes, 0 * slopes), slopes / slopes.norm() ** 2, steps=3)
    np.testing.assert_allclose(surface.loss, [-1, 0, 1], rtol=1e-12, atol=1e-15)
    assert surface.status.values.tolist() == [1, 1, 1]


def test_the_start_is_a_point_of_the_line():
    """Interpolation that begins one step after alpha = 0."""
    made = objective()
    line = td.line(made, td.random_directions(made, count=1)[0], span=(0, 1), steps=5)
    assert float(line.alpha[0]) == 0
    assert float(line.loss[0]) == float(made.value())


@pytest.mark.parametrize("steps", [(5, 5), (3, 9)], ids=str)
def test_the_start_is_a_point_of_every_symmetric_odd_grid(steps):
    made = objective()
    surface = td.plane(made, td.random_directions(made), steps=steps)
    assert float(surface.loss.sel(alpha=0, beta=0)) == float(made.value())
    assert surface.attrs["start_loss"] == float(made.value())


def test_biases_and_norms_are_zero_and_not_normalized_number_by_number():
    """Scalars divided by their own size: every bias moves by exactly itself."""
    made = objective()
    for direction in td.random_directions(made):
        views = made.space.views(direction)
        moving = {n for n, v in views.items() if v.any()}
        assert moving == {"conv.weight", "first.weight", "head.weight"}


def test_a_tied_weight_moves_once_and_by_one_direction():
    """A direction over state-dict names has two parts for one tensor; the later one wins."""
    model, made = trained(), objective(trained())
    direction = td.random_directions(made, count=1)[0]
    moves = dict(made.space.views(direction))
    assert "second.weight" not in moves
    loss = float(td.line(made, direction, span=(0, 1), steps=2).loss[1])
    assert loss == pytest.approx(by_hand(model, moves), rel=1e-12)


def test_the_model_is_left_where_it_was():
    """Steps added to the model's own weights, and gradients switched off on the way."""
    model = trained()
    before = {n: v.clone() for n, v in model.state_dict().items()}
    objects = {n: id(p) for n, p in model.named_parameters()}
    made = objective(model)
    td.plane(made, td.random_directions(made), span=((-3, 3), (0, 9)), steps=(3, 2))
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
    assert {n: id(p) for n, p in model.named_parameters()} == objects
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(m.training for m in model.modules())


def test_a_repeated_surface_has_the_same_bits():
    """Noise added to the largest cell of every surface."""
    made = objective()
    d = td.random_directions(made)
    first, second = (td.plane(made, d, steps=(4, 3)) for _ in range(2))
    assert first.identical(second)


def test_the_whole_data_are_used():
    """The first batch in place of the data."""
    whole = objective(batch_size=40)
    split = objective(batch_size=7)
    d = td.random_directions(whole)
    one, two = (td.plane(o, d, steps=(3, 3)) for o in (whole, split))
    np.testing.assert_allclose(one.loss, two.loss, rtol=1e-13)
    np.testing.assert_allclose(one.loss_error, two.loss_error, rtol=1e-10)


def test_directions_are_never_changed_on_the_way():
    """Eigenvectors rescaled per tensor before plotting are eigenvectors no more."""
    made = objective()
    d = 5 * normal(2, made.space.size, seed=3)
    kept = d.clone()
    surface = td.plane(made, d, span=((0, 0.1), (0, 0.1)), steps=(2, 2))
    assert torch.equal(d, kept)
    assert surface.attrs["direction_norm_alpha"] == pytest.approx(float(d[0].norm()), rel=1e-12)
    theta = made.start + 0.1 * d[0] + 0.1 * d[1]
    assert float(surface.loss[1, 1]) == pytest.approx(float(made.value(theta)), rel=1e-12)


def test_parallel_directions_span_no_plane():
    made = objective()
    one = td.random_directions(made, count=1)[0]
    with pytest.raises(InvalidArgument, match=r"parallel \(cosine -1"):
        td.plane(made, torch.stack([one, -2 * one]))
