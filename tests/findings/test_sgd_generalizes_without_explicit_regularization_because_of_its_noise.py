"""Noise and generalization: the rule on planted errors, guessed networks, a small run.

Oracles: errors planted by kind; networks guessed and looked at one by one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite.findings import random_guesses
from theodolite.findings import (
    sgd_generalizes_without_explicit_regularization_because_of_its_noise as claim,
)
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.many_starts import starting_weights
from theodolite.findings.network_grid import perceptron
from theodolite.findings.random_guesses import Few, guessed, trained, two_digits
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from theodolite.seeds import child_seed

KINDS = (claim.NOISY, claim.AGAIN, claim.NOISELESS, claim.REGULARIZED, claim.FEWER)


def planted(
    *, lost: float = 0.02, regularized: float = 0.0, fewer: float = 0.05, spread: float = 0.001
) -> xr.Dataset:
    """What each kind has more errors than SGD; the second network of a kind is never chosen."""
    generator = np.random.default_rng(0)
    seeds = 10
    means = np.array([0.2, 0.2, 0.2 + lost, 0.2 + regularized, 0.2 + fewer])
    error = np.concatenate([means, np.full(5, 0.9)]) + spread * generator.normal(size=(seeds, 10))
    few = {"guess_error": 0.2, "few_noisy_error": 0.125, "few_full_error": 0.12, "guess_hits": 9.0}
    return xr.Dataset(
        {
            "error": (("seed", "network"), error),
            "validation_error": (("seed", "network"), np.tile([0.1] * 5 + [0.2] * 5, (seeds, 1))),
            **{k: ("seed", np.full(seeds, v), {"long_name": k}) for k, v in few.items()},
        },
        {
            "kind": ("network", [*KINDS, *KINDS]),
            **{k: ("network", np.zeros(10)) for k in ("rate", "decay", "radius")},
        },
    )


def test_a_loss_without_noise_is_reproduced() -> None:
    # kills: the sign, kinds exchanged, the choice by test error, controls left out.
    verdict = claim.judge(planted())
    assert verdict.outcome == REPRODUCED
    assert verdict.effect == pytest.approx(0.02, abs=0.001)
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.positive_control.outcome == REPRODUCED
    assert verdict.corrected.outcome == REPRODUCED
    assert verdict.corrected.effect == pytest.approx(0.0, abs=0.001)
    assert verdict.corrected.negative_control.outcome == NOT_REPRODUCED


def test_no_loss_is_not() -> None:
    verdict = claim.judge(planted(lost=0.0))
    assert (verdict.outcome, claim.FINDING.expected) == (NOT_REPRODUCED, NOT_REPRODUCED)
    assert claim.judge(planted(regularized=0.02)).corrected.outcome == NOT_REPRODUCED


@pytest.mark.parametrize("how", [{"lost": 0.0, "fewer": 0.0}, {"lost": 0.006, "spread": 0.04}])
def test_what_could_not_be_seen_stays_open(how: dict) -> None:
    # kills: the positive control left out, the interval left out.
    assert claim.judge(planted(**how)).outcome == INCONCLUSIVE


def test_a_kind_that_missed_the_loss_leaves_it_open() -> None:
    measured = planted()
    for name in ("error", "validation_error"):
        measured[name][1, [2, 7]] = np.nan
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "only 9 of 10 pairs" in verdict.explanation


def test_the_way_that_guesses_go() -> None:
    # Oracle: (0.5 - 0.2) / (0.5 - 0.125). kills: chance left out, the ratio of errors.
    assert claim.share_of_guesses(planted()).value == pytest.approx(0.8)
    assert claim.estimates(planted())["few examples: guesses that fit"].value == 9.0


def test_two_digits_are_balanced_and_apart() -> None:
    # kills: other digits, labels exchanged, training images among the new ones.
    few = Few(classes=(3, 8), examples=6)
    (x, y), (new, labels) = two_digits(few, 4)
    assert y.tolist() == [0, 0, 0, 1, 1, 1]
    assert len(y) + len(labels) == 183 + 174  # threes and eights among the 1,797 digits
    assert int((labels == 1).sum()) == 174 - 3
    assert not {r.numpy().tobytes() for r in x} & {r.numpy().tobytes() for r in new}
    assert not torch.equal(two_digits(few, 5)[0][0], x)


def test_guesses_that_fit_are_those_found_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # kills: networks that do not fit, errors on the training set, a chunk dropped or repeated.
    monkeypatch.setattr(random_guesses, "AT_ONCE", 60)
    few = Few(examples=4, width=6, target=0.6, guesses=150)
    (x, y), (new, labels) = two_digits(few, 1)
    found = []
    for first, many in ((0, 60), (60, 60), (120, 30)):
        weights = starting_weights(64, 6, 2, many, child_seed(1, "guesses", first))
        for k in range(many):
            network = perceptron([w[k] for w in weights])
            with torch.no_grad():
                if torch.nn.functional.cross_entropy(network(x.double()), y) <= 0.6:
                    wrong = network(new.double()).argmax(1) != labels
                    found.append(float(wrong.double().mean()))
    mean, hits = guessed(few, 1)
    assert hits == len(found) > 3
    assert mean == pytest.approx(np.mean(found), abs=1e-3)
    none = guessed(replace(few, target=0.0), 1)
    assert np.isnan(none[0])
    assert none[1] == 0


def test_networks_trained_on_few_examples_beat_guesses_and_chance() -> None:
    few = Few(guesses=5000, trained=5)
    errors = [trained(few, s, batch_size=b) for s in range(3) for b in (1, 8)]
    assert np.mean(errors) < np.mean([guessed(few, s)[0] for s in range(3)]) < 0.5


def test_measured_at_small_cost() -> None:
    small = replace(
        claim.Settings(),
        seeds=2,
        rates=(0.03,),
        full_rates=(0.1,),
        regularized_rate=0.1,
        decays=(1e-3,),
        radii=(0.1,),
        width=24,
        examples=60,
        target=0.2,
        data="digits",
        few=Few(guesses=5000, trained=2),
    )
    measured = replicated(claim.FINDING, small)
    judged(claim.FINDING, measured)
    assert (measured.reached == 1).all()
    assert measured.kind.values.tolist() == [*KINDS[:3], claim.REGULARIZED, *KINDS[3:]]
    assert measured.batch_size.values.tolist() == [8, 8, 60, 60, 60, 8]
    assert measured.radius.values.tolist() == [0, 0, 0, 0, 0.1, 0]
    assert len(np.unique(measured.loss.values)) == measured.loss.size
    assert claim.excess(measured, claim.FEWER).value > 0
