"""Elastic bands. Oracles: the Mueller-Brown surface's two saddles, a ring-shaped valley."""

from __future__ import annotations

import copy
import dataclasses
import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from connectivity.paths import at, classes, curve, double_well, normalized
from connectivity.surfaces_known import MINIMA, SADDLE_LOSSES, SADDLES, mueller_brown, ring
from theodolite.errors import InvalidArgument, TheodoliteWarning

FIRE = {"descent": "fire", "evaluation": "vmap", "refine": 0, "resamples": 9}
"""Fast settings for problems of two weights."""

RIGHT, UP = torch.eye(2, dtype=torch.float64)


@pytest.mark.parametrize("pivots", [3, 7])
def test_both_saddles_of_the_mueller_brown_surface_are_found(pivots):
    # kills: a climbing image that descends along the band, one that is spaced with the others,
    # gradients not projected, the tangent of plain differences, a peak missed
    found = td.elastic_band(mueller_brown(), *MINIMA, pivots=pivots, climb=True, **FIRE)
    np.testing.assert_allclose(found.peak_point.values, SADDLES.numpy(), atol=1e-3)
    np.testing.assert_allclose(found.peak_loss.values, SADDLE_LOSSES, atol=1e-3)
    assert float(found.peak_gradient_norm.max()) < 0.1
    assert float(found.saddle_loss) == pytest.approx(SADDLE_LOSSES[0], abs=1e-3)
    np.testing.assert_allclose(found.saddle_point.values, SADDLES[0].numpy(), atol=1e-3)
    assert float(found.saddle_excess) == pytest.approx(SADDLE_LOSSES[0] + 108.166724, abs=1e-3)
    # the pass is no straight line: its loss rises above the saddle there
    line = td.barrier(mueller_brown(), *MINIMA)
    assert float(line.loss.max()) > SADDLE_LOSSES[0] + 20
    assert 1.3 < float(found.length_ratio) < 1.5


def test_on_the_way_the_gradient_points_along_the_band():
    # kills: a band that stops halfway, pivots that slide: at every pivot of a relaxed band the
    # gradient's part across the chain's direction is small beside its part along
    objective = mueller_brown()
    found = td.elastic_band(objective, *MINIMA, pivots=15, cycles=1, **FIRE)
    assert found.attrs["gradients"] == 15 * found.sizes["step"]
    chain = np.concatenate([found.ends.values[:1], found.pivots.values, found.ends.values[1:]])
    spaces = np.linalg.norm(np.diff(chain, axis=0), axis=1)
    np.testing.assert_allclose(spaces, spaces.mean(), rtol=1e-3)
    assert float(found.length) == pytest.approx(spaces.sum())
    np.testing.assert_allclose(found.pivot_t.values, np.arange(1, 16) / 16, atol=1e-3)
    assert float(found.projected_gradient[-1]) < 1e-3 * float(found.projected_gradient[0])


@pytest.mark.parametrize(
    "how", [FIRE, {"learning_rate": 0.01, "evaluation": "vmap", "resamples": 9}]
)
def test_a_band_lies_in_a_valley_shaped_like_a_ring(how):
    # kills: ends that move, a gradient of the wrong sign, an average over batches that sums,
    # pivots that are not spaced along the band again
    assert float(td.barrier(ring(), RIGHT, UP).barrier) == pytest.approx(0.25)
    found = td.elastic_band(ring(), RIGHT, UP, pivots=7, cycles=2, steps=120, test=ring(), **how)
    radius = np.linalg.norm(found.pivots.values, axis=1)
    np.testing.assert_allclose(radius, 1.0, atol=2e-3)
    assert found.sizes["pivot"] == 15  # one put into the middle of each piece
    np.testing.assert_allclose(found.pivot_t.values, np.arange(1, 16) / 16, atol=5e-3)
    bound = 1.5 * (math.pi / 32) ** 4 * 16 / 4  # halfway between two pivots a chord's sagitta
    assert 0 <= float(found.saddle_excess) < max(bound, 1e-4)
    assert found.loss.values[[0, -1]].tolist() == [0.0, 0.0]
    assert float(found.length) == pytest.approx(math.pi / 2, rel=0.01)
    points = np.concatenate([[[1, 0]], found.pivots.values, [[0, 1]]])
    on_band = found.coefficients.values @ points
    np.testing.assert_allclose(found.loss.values, ((on_band**2).sum(1) - 1) ** 2, atol=1e-12)
    np.testing.assert_allclose(found.test_loss.values, found.loss.values, atol=1e-12)
    steps = np.linalg.norm(np.diff(on_band, axis=0), axis=1)
    np.testing.assert_allclose(np.diff(found.arc.values), steps, atol=1e-12)


def test_pivots_are_put_in_where_the_loss_rises_between_them():
    # kills: no insertion, one everywhere, one by the height instead of the rise
    how = {"pivots": 2, "cycles": 2, "steps": 40, **FIRE}
    found = td.elastic_band(mueller_brown(), *MINIMA, **how, excess=0.02)
    assert found.cycle_pivots.values[0] == 2
    assert 2 < found.cycle_pivots.values[1] < 6
    never = td.elastic_band(mueller_brown(), *MINIMA, **how, excess=99.0)
    assert (never.cycle_pivots.values == 2).all()


def test_cycles_end_where_the_maximum_does_not_fall_or_there_is_no_barrier():
    # kills: no stop rule, one that stops after a single cycle without gain, gains taken from zero
    # instead of from the higher end
    how = {"pivots": 9, "excess": 9.0, **FIRE}
    found = td.elastic_band(mueller_brown(), *MINIMA, cycles=9, **how)
    assert found.attrs["stopped"] == "settled"
    tops, floor = found.cycle_max_loss.values, float(found.loss[[0, -1]].max())
    lowest = np.minimum.accumulate(tops)[:-1]
    gains = (lowest - tops[1:] > 0.01 * (lowest - floor)).tolist()
    idle = [not gain for gain in gains]
    assert idle[-2:] == [True, True]
    assert not any(both == [True, True] for both in map(list, pairwise(idle[:-1])))
    slope = curve(lambda w, s: s * w)
    flat = td.elastic_band(slope, at(0.0), at(1.0), pivots=3, cycles=9, **FIRE)
    assert flat.attrs["stopped"] == "no barrier"
    assert flat.sizes["cycle"] == 1
    assert float(flat.saddle_excess) == 0.0
    assert float(flat.saddle_loss) == 1.0
    assert float(flat.saddle_t) == 1.0
    assert float(flat.mean_loss) == pytest.approx(0.5)


def test_the_lowest_band_of_all_cycles_is_reported(monkeypatch):
    # kills: the last band kept though an earlier is lower, or the first
    from theodolite.connectivity import band_cycles

    bands, inner = [], band_cycles.relaxed

    def worse_later(objective, band, *rest):
        bands.append(band.chain)
        made = inner(objective, band, *rest)
        return dataclasses.replace(made, chain=bands[0]) if len(bands) != 2 else made

    monkeypatch.setattr(band_cycles, "relaxed", worse_later)
    found = td.elastic_band(ring(), RIGHT, UP, pivots=7, cycles=3, steps=40, excess=99.0, **FIRE)
    straight, low, again = found.cycle_max_loss.values
    assert straight == again == pytest.approx(0.25)
    assert low < 0.01
    assert float(found.saddle_loss) == pytest.approx(low, rel=0.1)


def test_the_saddle_loss_has_the_interval_of_the_bootstrap_at_one_place():
    # kills: a constant interval, the excess for the loss. On (s w^2 - s)^2 the top of the line
    # from -1 to 1 is the mean of the scales, at w = 0 for every resample
    scales = torch.linspace(0.5, 4.0, 40).double()
    found = td.elastic_band(
        double_well(scales), at(-1.0), at(1.0), pivots=1, cycles=1, steps=2, descent="fire"
    )
    mean, error = float(scales.mean()), float(scales.std(correction=0)) / 40**0.5
    assert float(found.saddle_loss) == pytest.approx(mean, rel=1e-6)
    assert float(found.saddle_loss_low) == pytest.approx(mean - 1.96 * error, abs=0.3 * error)
    assert float(found.saddle_loss_high) == pytest.approx(mean + 1.96 * error, abs=0.3 * error)


def test_a_band_begins_on_a_curve_or_on_points():
    # kills: a start that is ignored, its points in another order
    found = td.curve(ring(), RIGHT, UP, learning_rate=0.02, steps=250, resamples=9)
    how = {"pivots": 5, "cycles": 1, "steps": 1, "tolerance": 1e9, **FIRE}
    band = td.elastic_band(ring(), RIGHT, UP, start=found, **how)
    along = np.linalg.norm(band.pivots.values, axis=1)
    assert np.abs(along - 1).max() < 0.02
    angles = np.arctan2(band.pivots.values[:, 1], band.pivots.values[:, 0])
    assert (np.diff(angles) > 0).all()
    corner = torch.tensor([[1.0, 1.0]]).double()
    band = td.elastic_band(ring(), RIGHT, UP, start=corner, **(how | {"pivots": 3}))
    np.testing.assert_allclose(band.pivots.values, [[1, 0.5], [1, 1], [0.5, 1]])
    with pytest.raises(InvalidArgument, match="start") as refused:
        td.elastic_band(ring(), RIGHT, UP, start=torch.ones(1, 3))
    assert refused.value.code == "E-A24"


def test_a_rate_that_runs_away_is_lowered_and_an_explicit_one_is_told():
    # kills: no restart, a restart that goes on from the points that ran away
    found = td.elastic_band(ring(), RIGHT, 9 * UP, pivots=3, cycles=2, steps=64, evaluation="vmap")
    tried = found.attrs["rates_tried"]
    assert len(tried) > 1
    assert tried[1] == pytest.approx(0.1 / 3)
    assert found.attrs["learning_rate"] == tried[-1]
    assert np.isfinite(found.loss.values).all()
    with pytest.warns(TheodoliteWarning, match="E-A25"):
        found = td.elastic_band(
            ring(), RIGHT, 9 * UP, pivots=3, learning_rate=1.0, evaluation="vmap"
        )
    assert found.attrs["stopped"] in ("diverged", "too long")
    assert np.isfinite(found.loss.values).all()


def test_batch_norm_is_relaxed_by_batch_and_measured_recomputed():
    # kills: frozen or interpolated statistics, anything of the caller's changed
    model = normalized()
    objective = td.Objective(model, nn.CrossEntropyLoss(), classes(60))
    before, generator = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    b = nn.utils.parameters_to_vector(normalized(1).parameters()).detach()
    how = {"pivots": 2, "cycles": 1, "steps": 3, "refine": 0, "resamples": 9}
    made = [
        td.elastic_band(objective, objective.start, b, evaluation=e, **how)
        for e in ("vmap", "loop")
    ]
    for found in made:
        recomputed = objective.with_batch_norm("recompute")
        assert found.attrs["statistics"] == "recomputed"
        assert float(found.loss[0]) == float(recomputed.value())
        assert float(found.loss[-1]) == float(recomputed.value(b))
        third = torch.lerp(objective.start, b, 1 / 3), torch.lerp(objective.start, b, 2 / 3)
        top = max(float(recomputed.value(point)) for point in third)
        assert float(found.training_loss[0]) == pytest.approx(top, rel=1e-9)
    np.testing.assert_allclose(made[0].pivots.values, made[1].pivots.values, atol=1e-12)
    assert [m.attrs["evaluation"] for m in made] == ["vmap", "loop"]
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert not any(m.training for m in model.modules())
    assert torch.equal(generator, torch.get_rng_state())


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"descent": "adam"}, "E-A23"),
        ({"climb": True}, "E-A23"),
        ({"evaluation": "fast"}, "E-A23"),
        ({"excess": 0.0}, "E-A23"),
        ({"longest": 1.0}, "E-A23"),
        ({"tolerance": math.nan}, "E-A23"),
        ({"learning_rate": "fast"}, "E-A20"),
        ({"pivots": 0}, "E-A01"),
        ({"cycles": 0}, "E-A01"),
        ({"between": 0}, "E-A01"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(how, code):
    with pytest.raises(InvalidArgument, match=next(iter(how))) as refused:
        td.elastic_band(double_well(), at(-1.0), at(1.0), **how)
    assert refused.value.code == code
    with pytest.raises(InvalidArgument, match="one point"):
        td.elastic_band(double_well(), at(1.0), at(1.0))


def test_the_same_seed_gives_the_same_band_and_another_one_another():
    # kills: batches drawn from a global generator
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x, y = classes(40)
    objective = td.Objective(model, nn.CrossEntropyLoss(), [(x[:20], y[:20]), (x[20:], y[20:])])
    b = torch.zeros_like(objective.start)
    how = {"pivots": 2, "cycles": 1, "steps": 5, "evaluation": "loop", "refine": 0, "resamples": 9}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TheodoliteWarning)
        first, again, other = (
            td.elastic_band(objective, objective.start, b, seed=seed, **how) for seed in (0, 0, 2)
        )
    np.testing.assert_array_equal(first.pivots.values, again.pivots.values)
    assert np.abs(first.pivots.values - other.pivots.values).max() > 0
