"""Geometry of chains and gradients at their points. Oracles: cases on paper, single gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from connectivity.paths import classes, normalized
from theodolite.connectivity.chains import (
    arcs,
    between_nodes,
    inserted,
    peaks,
    places_of,
    spaced,
    tangents,
)
from theodolite.connectivity.pivot_gradients import Way, batch_slopes, chosen_way, whole_slopes
from theodolite.connectivity.relaxing import in_batches

CORNER = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 3.0]], dtype=torch.float64)
"""A step of length 1 to the right and one of length 3 upward."""


@pytest.mark.parametrize(
    ("losses", "wanted"),
    [
        ([0.0, 1.0, 2.0], [0.0, 3.0]),  # uphill: the step ahead
        ([2.0, 1.0, 0.0], [1.0, 0.0]),  # downhill: the step before
        ([0.0, 5.0, 4.0], [1.0, 5.0 * 3.0]),  # a top, ahead is higher than before: ahead by 5
        ([4.0, 5.0, 0.0], [5.0, 1.0 * 3.0]),  # a top, before is higher than ahead: before by 5
        ([3.0, 0.0, 1.0], [3.0, 1.0 * 3.0]),  # a bottom, before is higher
        ([1.0, 1.0, 1.0], [1.0, 3.0]),  # flat: both alike
    ],
)
def test_tangents_follow_the_rule_of_henkelman_and_jonsson(losses, wanted):
    # kills: the larger and the smaller change taken for each other, the wrong neighbor
    found = tangents(CORNER, np.array(losses))
    expected = np.array(wanted) / np.linalg.norm(wanted)
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-14)


def test_points_are_spaced_along_the_chain_and_fixed_ones_stay():
    # kills: spacing by number, arcs of another point, a fixed point that moves
    even = spaced(CORNER, np.array([0.5, 0.5]))
    np.testing.assert_allclose(even[1].numpy(), [1.0, 1.0])
    first = spaced(CORNER, np.array([1.0, 3.0]))
    np.testing.assert_allclose(first.numpy(), CORNER.numpy())
    assert arcs(CORNER).tolist() == [0.0, 1.0, 4.0]
    assert places_of(CORNER).tolist() == [0.0, 0.25, 1.0]
    longer = torch.cat([CORNER, torch.tensor([[1.0, 4.0], [1.0, 9.0]]).double()])
    kept = spaced(longer, np.full(4, 0.25), fixed=[2])
    np.testing.assert_allclose(kept.numpy(), [[0, 0], [1, 1], [1, 3], [1, 6], [1, 9]])


def test_a_point_goes_in_where_the_loss_rises_above_the_straight_line():
    # kills: the height for the rise, the range of one piece for that of all
    nodes = places_of(CORNER)
    places = between_nodes(nodes, 3)
    losses = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 6.0, 4.0])
    longer, shares, count = inserted(CORNER, np.array([0.25, 0.75]), places, losses, 0.2)
    assert count == 1
    np.testing.assert_allclose(longer[2].numpy(), [1.0, 2.25])
    np.testing.assert_allclose(shares, [0.25, 0.75 * 0.75, 0.75 * 0.25])
    none = inserted(CORNER, np.array([0.25, 0.75]), places, losses, 0.4)
    assert none[2] == 0
    assert torch.equal(none[0], CORNER)


def test_peaks_are_prominent_tops():
    # kills: a valley on one side only, ends counted, equal neighbors counted twice
    assert peaks(np.array([5.0, 1.0, 4.0, 4.0, 0.0, 9.0]), 1.0) == [2]
    assert peaks(np.array([0.0, 2.0, 1.9, 3.0, 0.0]), 0.5) == [3]
    assert peaks(np.array([0.0, 1.0, 2.0]), 0.0) == []
    assert peaks(np.zeros(5), 0.0) == []


@pytest.mark.parametrize("way", [Way(0), Way(2), Way(9)])
def test_gradients_at_several_points_are_those_of_each(way):
    # kills: one chunk for all, the sum over points, a mean by batch where batches are uneven
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x, y = classes(20)
    batches = [(x[:13], y[:13]), (x[13:], y[13:])]
    objective = td.Objective(model, nn.CrossEntropyLoss(), batches)
    points = torch.randn(
        3, len(objective.start), generator=torch.Generator().manual_seed(0)
    ).double()
    losses, slopes = in_batches(objective, lambda: whole_slopes(objective, points, way))
    for k, point in enumerate(points):
        assert float(losses[k]) == pytest.approx(float(objective.value(point)), rel=1e-12)
        torch.testing.assert_close(slopes[k], objective.gradient(point))
    second = list(objective.data)[1]
    losses, slopes = in_batches(objective, lambda: batch_slopes(objective, points, second, way))
    alone = td.Objective(model, nn.CrossEntropyLoss(), batches[1:])
    for k, point in enumerate(points):
        assert float(losses[k]) == pytest.approx(float(alone.value(point)), rel=1e-12)
        torch.testing.assert_close(slopes[k], alone.gradient(point))


def test_models_that_vmap_cannot_batch_go_one_by_one():
    # kills: an error where a fallback is, one swallowed where vmap was asked for
    class Fickle(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out = super().forward(x)
            return out if float(out.detach().sum()) > 0 else 2 * out  # data-dependent control flow

    objective = td.Objective(Fickle(3, 2).double(), nn.CrossEntropyLoss(), classes(8))
    points = torch.stack([objective.start, -objective.start])
    assert in_batches(objective, lambda: chosen_way(objective, points, "auto")) == Way(0)
    with pytest.raises(td.errors.UnsupportedModel) as refused:
        in_batches(objective, lambda: chosen_way(objective, points, "vmap"))
    assert refused.value.code == "E-A26"


def test_batch_statistics_are_those_of_each_point():
    # kills: one point's BatchNorm statistics used for another's
    objective = td.Objective(normalized(), nn.CrossEntropyLoss(), classes(30))
    points = torch.stack([objective.start, 0.5 * objective.start + 0.1])
    both = [
        in_batches(objective, lambda way=way: whole_slopes(objective, points, way))
        for way in (Way(2), Way(0))
    ]
    torch.testing.assert_close(both[0][1], both[1][1])
    recomputed = objective.with_batch_norm("recompute")
    for k, point in enumerate(points):
        assert float(both[0][0][k]) == pytest.approx(float(recomputed.value(point)), rel=1e-9)
