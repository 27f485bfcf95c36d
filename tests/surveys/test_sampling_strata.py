"""Samples by class: exact probabilities, unbiased means, and errors that are the true ones.

Oracles: enumeration of every offset and order for small cases, and Monte Carlo over seeds within
four standard errors.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from theodolite.errors import InvalidArgument
from theodolite.objective.evaluation import Pass
from theodolite.objective.stratification import Design, allocation, strata_of
from theodolite.results import examples_for
from theodolite.surveys.stratified import drawn
from theodolite.surveys.target import adjusted


class _Fixed(np.random.Generator):
    """A generator that gives one order and one offset."""

    def __init__(self, order: tuple[int, ...], offset: int) -> None:
        super().__init__(np.random.PCG64(0))
        self.order, self.offset = np.array(order), offset

    def permutation(self, count: int) -> np.ndarray:  # type: ignore[override]
        assert count == len(self.order)
        return self.order

    def integers(self, high: int) -> int:  # type: ignore[override]
        assert self.offset < high
        return self.offset


@pytest.mark.parametrize(
    ("sizes", "limit"), [((3, 4, 5), 5), ((7, 1, 1, 1), 6), ((9,), 4), ((2, 2, 2), 3)]
)
def test_every_example_has_the_same_probability_exactly(sizes, limit):
    # kills: largest remainders (always the same class rounded up), rounding class by class
    total, shares = sum(sizes), [Fraction(0)] * len(sizes)
    cases = list(itertools.product(itertools.permutations(range(len(sizes))), range(total)))
    for order, offset in cases:
        counts = allocation(np.array(sizes), limit, _Fixed(order, offset))
        assert counts.sum() == limit
        for k, size in enumerate(sizes):
            assert math.floor(limit * size / total) <= counts[k] <= math.ceil(limit * size / total)
            shares[k] += Fraction(int(counts[k]), size * len(cases))
    assert shares == [Fraction(limit, total)] * len(sizes)


SIZES = np.array([60, 31, 9])
CLASSES = np.repeat(np.arange(3), SIZES)
VALUES = CLASSES * 2.0 + np.random.default_rng(0).normal(size=100)


def _sample(generator: np.random.Generator, limit: int) -> tuple[np.ndarray, Design]:
    counts = allocation(SIZES, limit, generator)
    places = [
        generator.choice(np.flatnonzero(h == CLASSES), k, replace=False)
        for h, k in enumerate(counts)
    ]
    chosen = np.concatenate(places)
    return chosen, Design(CLASSES[chosen], SIZES, "stratified by class label")


def _pass(values: np.ndarray, design: Design | None) -> Pass:
    losses = torch.tensor(values)
    return Pass(losses, torch.ones_like(losses), None, None, 1.0, design)


def test_the_mean_is_unbiased_and_its_error_is_the_true_one():
    # kills: no correction for the finite population; the between-class part left in; n for n - 1
    generator = np.random.default_rng(1)
    means, squares, plain = [], [], []
    for _ in range(4000):
        chosen, design = _sample(generator, 25)
        made = _pass(VALUES[chosen], design)
        means.append(made.loss())
        squares.append(made.loss_error() ** 2)
        plain.append(_pass(VALUES[chosen], None).loss_error() ** 2)
    spread = np.std(means, ddof=1)
    assert abs(np.mean(means) - VALUES.mean()) < 4 * spread / math.sqrt(4000)
    truth, noise = spread**2, spread**2 * math.sqrt(2 / 4000)
    assert abs(np.mean(squares) - truth) < 4 * math.hypot(noise, np.std(squares) / math.sqrt(4000))
    assert np.mean(plain) > 2 * truth


def test_one_stratum_is_the_textbook_formula():
    values = np.array([1.0, 2.0, 4.0])
    design = Design(np.zeros(3, dtype=np.int64), np.array([12]), "simple random")
    expected = math.sqrt(np.var(values, ddof=1) / 3 * (1 - 3 / 12))
    assert _pass(values, design).loss_error() == pytest.approx(expected, rel=1e-14)


def test_the_random_rounding_has_its_share_in_the_error():
    # 4 of 3 + 5 with values 0 and 1: the mean is 2/4 or 3/4, each with probability one half.
    # kills: the rounding left out, which is the whole error where classes do not vary inside
    for ones in (2, 3):
        stratum = np.repeat([0, 1], [4 - ones, ones])
        made = _pass(stratum.astype(float), Design(stratum, np.array([3, 5]), ""))
        assert made.loss_error() == pytest.approx(0.125, rel=1e-14)


def test_weighted_losses_use_the_linearized_mean():
    # kills: deviations of the losses without their weights
    values, weights = np.array([1.0, 2.0, 4.0, 9.0]), np.array([1.0, 3.0, 0.0, 2.0])
    design = Design(np.array([0, 0, 1, 1]), np.array([10, 10]), "")
    made = Pass(torch.tensor(values), torch.tensor(weights), None, None, 2.0, design)
    gaps = weights * (values - np.average(values, weights=weights))
    within = sum(0.8 * 2 * gaps[k : k + 2].var(ddof=1) for k in (0, 2))
    assert made.loss_error() == pytest.approx(2 * math.sqrt(within) / 6, rel=1e-14)


def test_rare_classes_share_a_stratum():
    labels = np.repeat([0, 1, 2, 3], [50, 40, 6, 4])
    stratum = strata_of(labels, 20)  # 10, 8, 1.2 and 0.8 examples in the mean
    assert np.bincount(stratum).tolist() == [50, 40, 10]
    assert len(np.unique(strata_of(labels, 3))) == 1


def _objective(classes: int | None = 3) -> td.Objective:
    torch.manual_seed(0)
    x = torch.randn(90, 4)
    y = torch.randn(90, 1) if classes is None else torch.sort(torch.arange(90) % classes).values
    model = nn.Linear(4, 1 if classes is None else classes)
    loss = nn.MSELoss() if classes is None else nn.CrossEntropyLoss()
    return td.Objective(model, loss, (x, y), batch_size=20)


def test_a_limit_keeps_the_classes_shares_and_says_so():
    # kills: a simple sample of labelled data; another sample for each call
    whole = _objective()
    small = adjusted(td.Target(whole), limit=30).objective
    labels = torch.cat([b.targets for b in small.data])
    assert torch.bincount(labels).tolist() == [10, 10, 10]
    facts = small.facts()
    assert (facts["sampling"], facts["strata"]) == ("stratified by class label", 3)
    assert facts["population"] == 90
    assert facts["examples_for_permille_error"] == small.start_pass.examples_needed(
        1e-3 * small.start_pass.loss()
    )
    every = whole.losses().tolist()
    where = [every.index(v) for v in small.losses().tolist()]
    assert where == drawn(whole, 30)[0].tolist() == sorted(set(where))
    plane = td.plane(small, td.random_directions(small), steps=(2, 3))
    assert plane.attrs["sampling"] == "stratified by class label"
    assert float(plane.loss_error[0, 0]) > 0


def test_regression_is_a_simple_sample():
    small = adjusted(td.Target(_objective(None)), limit=30).objective
    assert (small.facts()["sampling"], small.facts()["strata"]) == ("simple random", 1)
    assert "sampling" not in _objective(None).facts()


def test_a_sample_of_a_sample_and_a_new_policy_keep_the_design():
    # kills: errors that lose the population when an objective is rebuilt
    small = adjusted(td.Target(_objective()), limit=30).objective
    again = small.with_batch_norm("recompute")
    assert again.design is small.design
    assert small.converted(torch.float64).design is small.design


def test_a_fresh_sample_at_every_point_would_be_roughness():
    # surface.md 10 C: 16 to 33 times the second differences of the truth. kills: a sample drawn
    # anew at each point
    whole = _objective()
    small = adjusted(td.Target(whole), limit=30).objective
    along = td.random_directions(whole, count=1)[0]
    truth, shared = (td.line(o, along, steps=41).loss.values for o in (whole, small))
    losses = [whole.losses(whole.start + float(a) * along) for a in np.linspace(-1, 1, 41)]
    generator = torch.Generator().manual_seed(0)
    fresh = [float(v[torch.randperm(90, generator=generator)[:30]].mean()) for v in losses]
    rough = [float(np.abs(np.diff(v, 2)).mean()) for v in (truth, shared, np.array(fresh))]
    assert rough[1] < 1.5 * rough[0]
    assert rough[2] > 10 * rough[0]


def test_examples_needed():
    # kills: the population left out; the correction applied to one side only
    assert examples_for(0.05, 0.1, 100) == 400
    assert examples_for(0.1, 0.1, 100, 1000) == 100
    known = math.sqrt(2.0**2 * (1 / 100 - 1 / 1000))
    wanted = math.sqrt(2.0**2 * (1 / 250 - 1 / 1000))
    assert examples_for(wanted, known, 100, 1000) == 250
    assert examples_for(1e-9, known, 100, 1000) == 1000
    objective = _objective()
    plane = td.plane(objective, td.random_directions(objective), steps=(2, 2))
    half = objective.start_pass.loss_error() / 2
    assert td.examples_needed(plane, half) == objective.start_pass.examples_needed(half) == 360
    for error in (0.0, -1.0, math.nan):
        with pytest.raises(InvalidArgument, match="error must be positive"):
            examples_for(error, 0.1, 100)
    with pytest.raises(InvalidArgument, match="not known"):
        examples_for(0.1, math.nan, 1)
    with pytest.raises(InvalidArgument, match="does not record"):
        td.examples_needed(plane.drop_attrs(), 0.1)
