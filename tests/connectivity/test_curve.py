"""Curves of low loss. Oracles: a ring-shaped valley, a linear loss, and lengths in closed form."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from connectivity.paths import at, classes, curve, double_well, normalized
from theodolite.connectivity.bending import _places, fraction
from theodolite.connectivity.families import arc_lengths, coefficients, rate_scale
from theodolite.errors import InvalidArgument, TheodoliteWarning


class Ring(nn.Module):
    """Two weights, and ``|w|^2 - 1`` for every example."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, 0.0], dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * ((self.w**2).sum() - 1)


def ring() -> td.Objective:
    """The mean of ``(|w|^2 - 1)^2``: zero on the unit circle, and nowhere else."""
    one = torch.ones(4, 1, dtype=torch.float64)
    return td.Objective(Ring(), nn.MSELoss(), [(one[:2], 0 * one[:2]), (one[2:], 0 * one[2:])])


RIGHT, UP = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double()


@pytest.mark.parametrize(("kind", "points"), [("bezier", 1), ("bezier", 3), ("polychain", 5)])
def test_a_curve_follows_a_ring_that_the_line_cuts(kind, points):
    # kills: ends that move, a gradient of the wrong sign, coefficients in reverse, t never drawn
    assert float(td.barrier(ring(), RIGHT, UP).barrier) == pytest.approx(0.25)
    found = td.curve(ring(), RIGHT, UP, kind=kind, points=points, steps=800, learning_rate=0.01)
    bound = {"bezier": 1e-3, "polychain": 8e-3}[kind]
    assert float(found.max_loss) < bound
    assert float(found.barrier) == pytest.approx(float(found.max_loss), abs=1e-12)
    assert found.loss.values[[0, -1]].tolist() == [0.0, 0.0]
    assert float(found.length) == pytest.approx(math.pi / 2, rel=0.02)
    assert float(found.length_ratio) == pytest.approx(math.pi / 2 / 2**0.5, rel=0.02)
    controls = np.concatenate([[[1, 0]], found.control_points.values, [[0, 1]]])
    on_curve = coefficients(kind, points + 2, found.t.values) @ controls
    loss = ((on_curve**2).sum(1) - 1) ** 2
    np.testing.assert_allclose(found.loss.values, loss, atol=1e-12)
    assert float(found.mean_loss) == pytest.approx(np.trapezoid(loss, found.t.values))
    steps = np.linalg.norm(np.diff(on_curve, axis=0), axis=1)
    np.testing.assert_allclose(np.diff(found.arc.values), steps, rtol=0.02)


def test_coefficients_are_those_of_bernstein_and_of_straight_pieces():
    # kills: a shifted index, a missing binomial, pieces of another number
    t = np.linspace(0, 1, 13)
    points = np.random.default_rng(0).normal(size=(4, 2))
    mixed = points
    rows = []
    for place in t:  # de Casteljau
        mixed = points
        while len(mixed) > 1:
            mixed = (1 - place) * mixed[:-1] + place * mixed[1:]
        rows.append(mixed[0])
    np.testing.assert_allclose(coefficients("bezier", 4, t) @ points, rows, atol=1e-14)
    straight = np.stack([np.interp(t, np.linspace(0, 1, 4), column) for column in points.T], 1)
    np.testing.assert_allclose(coefficients("polychain", 4, t) @ points, straight, atol=1e-14)
    assert rate_scale("bezier", 3) == pytest.approx(4.0)
    assert rate_scale("polychain", 6) == pytest.approx(1.0, rel=1e-3)


def test_the_length_of_a_parabola():
    # kills: the chord for the arc; inner products of other points
    controls = np.array([[0.0, 0.0], [0.5, 1.0], [1.0, 0.0]])  # y = 2 t (1 - t), x = t
    found = arc_lengths("bezier", controls @ controls.T, np.array([0.0, 0.5, 1.0]))
    whole = 0.5 * (2 * 5**0.5 + math.asinh(2)) / 2
    np.testing.assert_allclose(found, [0, whole / 2, whole], rtol=1e-6)


@pytest.mark.parametrize("kind", ["bezier", "polychain"])
def test_eight_steps_on_a_linear_loss_go_by_the_coefficients(kind):
    # kills: no scale of the rate, no coefficient in the gradient, a sum for the mean of a batch
    slope = curve(lambda w, s: s * w, torch.tensor([1.0, 3.0]).double())
    how = {"kind": kind, "steps": 8, "learning_rate": 1e-3, "momentum": 0.0, "seed": 3}
    found = td.curve(slope, at(0.0), at(1.0), refine=0, resamples=9, **how)
    places = [next(p) for p in [_places(3)] for _ in range(8)]
    assert sorted(int(8 * t) for t in places) == list(range(8))
    rates = np.array([fraction(k / 8) for k in range(8)])
    shares = coefficients(kind, 3, np.array(places))[:, 1]
    moved = 1e-3 * 2 * rate_scale(kind, 3) * float(rates @ shares)
    assert float(found.control_points.squeeze()) == pytest.approx(0.5 - moved, rel=1e-12)
    assert len(found.training_loss) == 8


def test_means_over_the_length_and_over_t_are_different_means():
    # kills: one for the other. On a straight curve run through at uneven speed a loss of 2 w has
    # the mean 1 over the length, and 2 (c + 1) / 3 over t with the control point at c
    slope = curve(lambda w, s: s * w, torch.tensor([1.0, 3.0]).double())
    found = td.curve(slope, at(0.0), at(1.0), steps=8, learning_rate=0.015, momentum=0.0)
    middle = float(found.control_points.squeeze())
    assert 0 < middle < 0.4
    assert float(found.length) == pytest.approx(1.0)
    assert float(found.arc_mean_loss) == pytest.approx(1.0, rel=1e-4)
    assert float(found.mean_loss) == pytest.approx(2 * (middle + 1) / 3, rel=1e-3)


def test_weight_decay_draws_the_curve_to_the_origin():
    # kills: weight decay on the control points or with another factor. Of a flat loss and large
    # decay the best Bezier point has the mean of c_1 theta zero.
    flat = curve(lambda w, s: s * 0 * w)
    found = td.curve(flat, at(1.0), at(1.5), weight_decay=1.0, steps=800, longest=99.0)
    t = (np.arange(1000) + 0.5) / 1000
    first, middle, last = coefficients("bezier", 3, t).T
    best = -np.mean(middle * (first + 1.5 * last)) / np.mean(middle**2)
    assert float(found.control_points.squeeze()) == pytest.approx(best, abs=0.06)


def test_a_curve_that_runs_away_is_stopped_and_said_so():
    # kills: no guard; the points beyond it kept
    hill = curve(lambda w, s: -s * w**2)
    with pytest.warns(TheodoliteWarning, match="E-A21"):
        found = td.curve(hill, at(1.0), at(2.0), learning_rate=0.5, steps=400)
    assert found.attrs["stopped"] == "too long"
    assert float(found.length_ratio) <= 3
    assert found.sizes["step"] < 400
    cliff = curve(lambda w, s: s / (w - 1.5).clamp(max=0) ** 2)
    with pytest.warns(TheodoliteWarning, match="diverged"):
        td.curve(cliff, at(1.0), at(2.0), steps=16, longest=1e9)


def test_probabilities_go_by_the_length_of_fisher_and_rao():
    # kills: divergences summed (zero for fine grids), a factor of the metric. Two classes with
    # logits (0, w): the length from w to -w is 2 (arcsin sqrt p - arcsin sqrt q).
    class Odds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(1).double())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([0 * x, x * self.w], 1)

    data = torch.ones(3, 1).double(), torch.tensor([0, 1, 1])
    objective = td.Objective(Odds(), nn.CrossEntropyLoss(), data)
    found = td.curve(objective, at(-2.0), at(2.0), steps=8, learning_rate=1e-6, places=41)
    p = 1 / (1 + math.exp(-2.0))
    length = 2 * (math.asin(p**0.5) - math.asin((1 - p) ** 0.5))
    assert float(found.function_length) == pytest.approx(length, rel=1e-3)
    assert float(found.function_chord) < float(found.function_length)


def test_batch_norm_is_trained_by_batch_and_measured_recomputed():
    # kills: frozen statistics while training or measuring
    x, y = classes(60)
    model = normalized()
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x, y))
    before, generator = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    b = torch.nn.utils.parameters_to_vector(normalized(1).parameters()).detach()
    found = td.curve(objective, objective.start, b, steps=4, places=5, refine=0, resamples=9)
    recomputed = objective.with_batch_norm("recompute")
    assert found.attrs["statistics"] == "recomputed"
    assert float(found.loss[0]) == float(recomputed.value())
    assert float(found.loss[-1]) == float(recomputed.value(b))
    drawn = torch.lerp(objective.start, b, next(_places(0)))
    assert float(found.training_loss[0]) == pytest.approx(float(recomputed.value(drawn)), rel=1e-9)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert not any(m.training for m in model.modules())
    assert torch.equal(generator, torch.get_rng_state())


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"kind": "spline"}, "E-A20"),
        ({"points": 0}, "E-A01"),
        ({"learning_rate": 0.0}, "E-A20"),
        ({"momentum": 1.0}, "E-A20"),
        ({"longest": 1.0}, "E-A20"),
        ({"places": 2}, "E-A01"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(how, code):
    with pytest.raises(InvalidArgument, match=next(iter(how))) as refused:
        td.curve(double_well(), at(-1.0), at(1.0), **how)
    assert refused.value.code == code
    with pytest.raises(InvalidArgument, match="one point"):
        td.curve(double_well(), at(1.0), at(1.0))


def test_the_automatic_rate_falls_until_training_stays():
    # kills: a restart from where it ran away, an explicit rate lowered, rates not told
    wells = curve(lambda w, s: s * 30 * (w**2 - 1) ** 2)
    how = {"steps": 200, "resamples": 9, "refine": 0}
    found = td.curve(wells, at(-1.0), at(1.0), **how)
    tried = found.attrs["rates_tried"]
    assert 1 < len(tried) <= 5
    np.testing.assert_allclose(tried, [0.1 / 3**k for k in range(len(tried))])
    assert found.attrs["learning_rate"] == tried[-1]
    assert found.attrs["stopped"] == ""
    alone = td.curve(wells, at(-1.0), at(1.0), learning_rate=tried[-1], **how)
    np.testing.assert_array_equal(alone.control_points.values, found.control_points.values)
    with pytest.warns(TheodoliteWarning, match="E-A21"):
        left = td.curve(wells, at(-1.0), at(1.0), learning_rate=tried[-2], **how)
    assert left.attrs["rates_tried"] == [tried[-2]]
    with pytest.raises(InvalidArgument, match="learning_rate"):
        td.curve(wells, at(-1.0), at(1.0), learning_rate="fast")


def test_the_points_of_a_curve_can_be_made_from_its_result():
    # kills: ends in the other order, coefficients of other places
    found = td.curve(ring(), RIGHT, UP, points=2, steps=16, learning_rate=0.01, resamples=9)
    points = np.concatenate([found.ends.values[:1], found.control_points.values, found.ends[1:]])
    loss = (((found.coefficients.values @ points) ** 2).sum(1) - 1) ** 2
    np.testing.assert_allclose(found.loss.values, loss, atol=1e-12)
