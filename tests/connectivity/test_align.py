"""Paths between matched ends. Oracle: the same measured between ends permuted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import theodolite as td
from connectivity.matching_cases import objective
from theodolite.errors import InvalidArgument

QUICK = {"steps": 5, "refine": 0, "resamples": 9}


def planted(policy: str = "frozen") -> tuple[td.Objective, dict, dict, td.Symmetries]:
    """A net with BatchNorm, and itself in another order."""
    made = objective("BatchNorm").with_batch_norm(policy)
    state = made.model.state_dict()
    found = td.symmetries(made.model, next(iter(made.data)).inputs)
    return made, state, found.apply(state, found.random(5)), found


@pytest.mark.parametrize("policy", ["frozen", "recompute"])
@pytest.mark.parametrize("align", ["weights", "activations"])
def test_a_permuted_copy_has_no_barrier(align: str, policy: str) -> None:
    # Kills: running statistics that stay behind; the first end permuted instead of the second.
    made, a, b, _ = planted(policy)
    raw = td.barrier(made, a, b, **QUICK)
    found = td.barrier(made, a, b, align=align, **QUICK)
    assert float(raw.barrier) > 1e-3
    assert float(abs(found.loss - found.loss[0]).max()) < 1e-6
    assert found.attrs["align"] == align
    assert found.attrs["distance"] == 0.0
    assert found.attrs["distance_before"] == raw.attrs["distance"]
    assert "align" not in raw.attrs


def test_ends_can_be_matched_through_the_loss() -> None:
    made = objective("perceptron")
    found = td.symmetries(made.model, next(iter(made.data)).inputs)
    other = found.apply(made.start, found.random(1))
    measured = td.barrier(made, made.start, other, align="straight-through", **QUICK)
    assert float(measured.barrier) < 1e-9
    assert measured.attrs["align"] == "straight-through"


def test_vectors_take_the_objectives_statistics_along() -> None:
    # A flat tensor is evaluated with the objective's statistics. Kills: those left in the order
    # of the first end.
    made, a, b, found = planted()
    inverse = found.inverse(found.random(5))
    other = made.space.flatten(a) * 1.5
    measured = td.barrier(made, other, made.space.flatten(b), align=inverse, **QUICK)
    alone = td.barrier(made, other, made.space.flatten(a), **QUICK)
    # the permuted vector is a, and its statistics were permuted too: not a's own loss
    moved = found.apply({n: t for n, t in a.items() if "running" in n}, inverse)
    state = {**a, **moved}
    model = objective("BatchNorm").model
    model.load_state_dict(state)
    x, y = next(iter(made.data)).inputs[0], next(iter(made.data)).targets
    expected = float((model.eval()(x) - y).square().mean().detach())
    assert float(measured.loss[-1]) == pytest.approx(expected, rel=1e-5)
    assert float(alone.loss[0]) == float(measured.loss[0])


def test_a_matching_and_its_permutations_are_the_same_alignment() -> None:
    made, a, b, _ = planted()
    matching = td.match(made, a, b)
    by_matching = td.barrier(made, a, b, align=matching, **QUICK)
    by_hand = td.barrier(made, a, b, align=matching.permutations, **QUICK)
    assert np.array_equal(by_matching.loss, by_hand.loss)
    assert [d.attrs["align"] for d in (by_matching, by_hand)] == ["weights", "permutations"]
    assert np.array_equal(by_hand.loss, td.barrier(made, a, matching.point, **QUICK).loss)


def test_every_pair_of_a_matrix_is_matched() -> None:
    # Kills: the earlier point moved for later pairs; distances before and after exchanged.
    made, a, b, found = planted()
    points = [a, b, found.apply(a, found.random(6))]
    raw = td.barrier_matrix(made, points, **QUICK)
    matrix = td.barrier_matrix(made, points, align="weights", **QUICK)
    assert float(matrix.distance.max()) == 0.0
    assert float(matrix.barrier.max()) < 1e-6 < float(raw.barrier.max())
    assert np.array_equal(matrix.distance_before, raw.distance)
    assert matrix.attrs["align"] == "weights"
    with pytest.raises(InvalidArgument, match="E-A58"):
        td.barrier_matrix(made, points, align="nothing")


def test_a_curve_starts_from_matched_ends() -> None:
    made = objective("perceptron")
    found = td.symmetries(made.model, next(iter(made.data)).inputs)
    noise = 0.05 * torch.randn(made.space.size, generator=torch.Generator().manual_seed(0))
    b = found.apply(made.start + noise, found.random(2))
    how = {"steps": 8, "places": 5, "refine": 0, "resamples": 9}
    curve = td.curve(made, made.start, b, align="weights", **how)
    assert curve.attrs["distance"] == pytest.approx(float(noise.norm()), rel=1e-5)
    assert curve.attrs["distance_before"] > 5 * curve.attrs["distance"]


def test_other_alignments_are_refused() -> None:
    made, a, b, _ = planted()
    for align in ("best", 3, ["weights"]):
        with pytest.raises(InvalidArgument, match="E-A59"):
            td.barrier(made, a, b, align=align)
    with pytest.raises(InvalidArgument, match="E-A44"):
        td.barrier(made, a, b, align={"nothing": torch.arange(3)})
