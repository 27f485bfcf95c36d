"""Simplexes of low loss. Oracles: areas on paper, a flat plane, a triangle in a ring's plane."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from connectivity.paths import at, classes, curve, normalized
from theodolite import seeds
from theodolite.connectivity.bending import fraction
from theodolite.connectivity.simplex_disagreement import pair_shares
from theodolite.connectivity.simplex_training import _shares, beginning, simplexes
from theodolite.connectivity.simplex_volumes import complex_log_volume, drawn, log_volume
from theodolite.errors import InvalidArgument, InvalidType, TheodoliteWarning

SHORT = {"steps": 8, "samples": 4, "momentum": 0.0, "learning_rate": 0.01}


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_volumes_are_those_of_determinants_wherever_the_simplex_lies(dimensions):
    # kills: the factorial, the power of two, the sign of the determinant, a square root left out
    generator = torch.Generator().manual_seed(dimensions)
    corners = torch.randn(dimensions + 1, dimensions, generator=generator).double()
    edges = corners[1:] - corners[0]
    volume = abs(float(torch.linalg.det(edges))) / math.factorial(dimensions)
    turn = torch.linalg.qr(torch.randn(9, dimensions, generator=generator).double())[0]
    moved = 1e3 + 1e-4 * corners @ turn.T
    expected = math.log(volume) + dimensions * math.log(1e-4)
    assert float(log_volume(corners)) == pytest.approx(math.log(volume), rel=1e-9, abs=1e-9)
    assert float(log_volume(moved)) == pytest.approx(expected, rel=1e-6)
    flat = torch.cat([corners, corners.mean(0, keepdim=True)])
    assert float(log_volume(flat).exp()) < 1e-6 * volume


def test_the_gradient_of_a_volume_is_that_of_differences():
    # kills: distances detached, one vertex left out of the sum over simplexes
    corners = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)).double()
    members = simplexes(2, 2)
    assert members == [[0, 2, 3], [1, 2, 3]]
    leaf = corners.clone().requires_grad_(True)
    (found,) = torch.autograd.grad(complex_log_volume(leaf, members), leaf)
    for k, j in ((0, 0), (2, 3), (3, 1)):
        step = torch.zeros_like(corners)
        step[k, j] = 1e-5
        up, down = (float(complex_log_volume(corners + s * step, members)) for s in (1, -1))
        assert float(found[k, j]) == pytest.approx((up - down) / 2e-5, rel=1e-5)
    total = sum(math.exp(float(log_volume(corners[one]))) for one in members)
    assert float(complex_log_volume(corners, members)) == pytest.approx(math.log(total))


def test_samples_are_even_over_the_volume():
    # kills: shares normalized exponentials of the wrong kind, simplexes chosen alike
    generator = np.random.default_rng(0)
    members = [[0, 2, 3], [1, 2, 3]]
    shares, chosen = drawn(generator, np.log([3.0, 1.0]), members, 4, 4000)
    np.testing.assert_allclose(shares.sum(1), 1)
    assert (shares[chosen == 0, 1] == 0).all()
    assert (shares[chosen == 1, 0] == 0).all()
    assert abs((chosen == 1).mean() - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 4000)
    first = shares[chosen == 0]
    error = math.sqrt(1 / 18 / len(first))  # Dirichlet(1) of three: mean 1/3, variance 1/18
    np.testing.assert_allclose(first[:, [0, 2, 3]].mean(0), 1 / 3, atol=4 * error)
    below = (first[:, 0] < 0.5).mean()  # half the height cuts off three quarters of a triangle
    assert abs(below - 0.75) < 4 * math.sqrt(0.1875 / len(first))


def test_eight_steps_on_a_linear_loss_go_by_the_shares():
    # kills: a loss that grows with the number of samples or vertices, no share in the gradient,
    # a volume term of the wrong sign. The loss is 2 w, one vertex between 0 and 1, two segments
    slope = curve(lambda w, s: s * w, torch.tensor([1.0, 3.0]).double())
    ends = [at(0.0), at(1.0)]
    found = td.simplex(slope, ends, volume_weight=0.0, seed=3, **SHORT)
    start = beginning(torch.stack(ends), seeds.torch_generator(3, "vertex", 1))
    assert abs(float(start) - 0.5) == pytest.approx(0.05)
    drawn_shares = [row for _, row in zip(range(8), _shares(3, [[0, 2], [1, 2]], 1), strict=False)]
    assert sum(row[0] > 0 for row in drawn_shares) == 4  # both segments take turns
    slopes = [fraction(k / 8) * 2 * row[2] for k, row in enumerate(drawn_shares)]
    assert float(found.trained.squeeze()) == pytest.approx(float(start) - 0.01 * sum(slopes))
    one = SHORT | {"steps": 1}
    alone, wide = (
        float(td.simplex(slope, [at(0.0)], volume_weight=v, seed=3, **one).trained.squeeze())
        for v in (0.0, 0.1)
    )
    start = beginning(at(0.0)[None], seeds.torch_generator(3, "vertex", 1))
    assert wide - alone == pytest.approx(0.01 * 0.1 / float(start))  # of log |v|: 1 / v


def test_weight_decay_draws_the_drawn_place_to_the_origin():
    # kills: decay of the vertex for that of the place drawn, or none. The loss is flat
    flat = curve(lambda w, s: 0 * s * w)
    how = SHORT | {"weight_decay": 0.5, "volume_weight": 0.0, "seed": 3}
    found = td.simplex(flat, [at(2.0)], **how)
    vertex = float(beginning(at(2.0)[None], seeds.torch_generator(3, "vertex", 1)))
    for k, row in zip(range(8), _shares(3, [[0, 1]], 1), strict=False):
        place = 2.0 * row[0] + vertex * row[1]
        vertex -= 0.01 * fraction(k / 8) * row[1] * 0.5 * place
    assert float(found.trained.squeeze()) == pytest.approx(vertex, rel=1e-9)


def test_a_triangle_around_a_point_grows_within_its_flat_plane():
    # kills: volumes that shrink, vertices trained against the loss, one vertex moved by another
    class Valley(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(3).double())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.w[2]

    one = torch.ones(4, 1).double()
    valley = td.Objective(Valley(), nn.MSELoss(), (one, 0 * one))
    origin = torch.tensor([1.0, 0.0, 0.0]).double()
    how = {"vertices": 2, "steps": 120, "learning_rate": 0.1, "samples": 8, "longest": 99.0}
    small, large = (
        td.simplex(valley, [origin], volume_weight=v, test=valley, **how) for v in (1e-5, 1e-3)
    )
    assert float(small.largest_loss) < 1e-3
    assert float(large.log_volume) > float(small.log_volume) + 0.5
    corners = np.concatenate([origin.numpy()[None], large.trained.values])
    on_it = large.shares.values @ corners
    np.testing.assert_allclose(large.loss.values, on_it[:, 2] ** 2, atol=1e-12)
    np.testing.assert_allclose(large.test_loss.values, large.loss.values)
    np.testing.assert_allclose(large.vertex_loss.values, corners[:, 2] ** 2, atol=1e-12)
    assert float(large.mean_loss) == pytest.approx(large.loss.values.mean())
    area = 0.5 * np.linalg.norm(np.cross(corners[1] - corners[0], corners[2] - corners[0]))
    assert float(large.log_volume) == pytest.approx(math.log(area))
    away = np.linalg.norm(corners[:, None] - corners[None], axis=-1)
    np.testing.assert_allclose(large.distance.values, away, atol=1e-12)


def test_disagreement_is_that_of_all_pairs():
    # kills: pairs of a sample with itself, a share of the wrong total
    counts = torch.tensor([[3.0, 0.0, 0.0], [1.0, 1.0, 1.0], [2.0, 1.0, 0.0]]).double()
    answers = [[0, 0, 0], [0, 1, 2], [0, 0, 1]]
    pairs = [[a[i] != a[j] for i in range(3) for j in range(i)] for a in answers]
    np.testing.assert_allclose(pair_shares(counts, 3).numpy(), np.mean(pairs, axis=1))


def test_networks_are_left_alone_and_their_answers_compared():
    # kills: statistics frozen, anything of the caller's changed, answers of other points
    model = normalized()
    objective = td.Objective(model, nn.CrossEntropyLoss(), classes(50))
    other = nn.utils.parameters_to_vector(normalized(1).parameters()).detach()
    before, generator = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    found = td.simplex(objective, [objective.start, other], **SHORT)
    corners = torch.cat(
        [torch.stack([objective.start, other]), torch.from_numpy(found.trained.values)]
    )
    recomputed = objective.with_batch_norm("recompute")
    for k in range(2):
        point = torch.from_numpy(found.shares.values[k]) @ corners
        assert float(found.loss[k]) == pytest.approx(float(recomputed.value(point)), rel=1e-9)
        pair = td.function_distance(recomputed, objective.start, point, resamples=9)
        assert float(found.disagreement[k]) == pytest.approx(float(pair.disagreement), abs=1e-12)
    assert 0 <= float(found.pair_disagreement) <= 1
    assert found.accuracy.shape == (4,)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert not any(m.training for m in model.modules())
    assert torch.equal(generator, torch.get_rng_state())


def test_a_vertex_that_runs_away_is_tried_at_smaller_rates_and_then_told():
    # kills: no guard, a restart from where it went
    hill = curve(lambda w, s: -100 * s * w**2)
    with pytest.warns(TheodoliteWarning, match="E-A29"):
        found = td.simplex(hill, [at(1.0), at(2.0)], steps=64, samples=4)
    assert len(found.attrs["rates_tried"]) == 5
    assert abs(float(found.trained.squeeze())) < 9


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"vertices": 0}, "E-A01"),
        ({"samples": 1}, "E-A01"),
        ({"volume_weight": -1.0}, "E-A23"),
        ({"longest": 0.5}, "E-A23"),
        ({"learning_rate": -1.0}, "E-A20"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(how, code):
    slope = curve(lambda w, s: s * w)
    with pytest.raises(InvalidArgument, match=next(iter(how))) as refused:
        td.simplex(slope, [at(0.0), at(1.0)], **how)
    assert refused.value.code == code
    for thetas, kind in (
        ([], InvalidArgument),
        (at(1.0), InvalidType),
        ([at(1.0)] * 2, InvalidArgument),
    ):
        with pytest.raises(kind) as refused:
            td.simplex(slope, thetas)
        assert refused.value.code == "E-A28"
