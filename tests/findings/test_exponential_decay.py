"""Binomial fits of falling shares. Oracles: planted laws, and coverage over drawn counts."""

from __future__ import annotations

import numpy as np
import pytest

from theodolite.findings.exponential_decay import fitted_decay

X = np.arange(5)
TRIALS = np.full(5, 1000)


def test_each_law_finds_its_own_rate_and_fits_itself_best() -> None:
    # kills: the logarithm in the wrong law, one unit left out of it, an offset not fitted.
    shares = {"exponential": 0.5 * np.exp(-0.7 * X), "power law": 0.5 * (1 + X) ** -2.0}
    other = {"exponential": "power law", "power law": "exponential"}
    for law, share in shares.items():
        hits = np.rint(share * 100_000)
        own, wrong = (
            fitted_decay(X, hits, np.full(5, 100_000), law=which) for which in (law, other[law])
        )
        assert own.rate.value == pytest.approx(
            {"exponential": 0.7, "power law": 2.0}[law], rel=0.01
        )
        assert own.shares == pytest.approx(tuple(share), rel=0.02)
        assert own.fit > 0.5 > wrong.fit
        assert own.log_likelihood > wrong.log_likelihood + 10


def test_a_share_may_start_anywhere_beyond_the_first_size() -> None:
    # kills: a share held to at most 1 at sizes that were not measured.
    halving = np.array([500, 250, 125, 62, 31])
    decay = fitted_decay(X + 2, halving, TRIALS, law="exponential")
    assert decay.rate.value == pytest.approx(np.log(2), rel=0.01)
    assert decay.fit > 0.99


def test_nothing_left_still_counts() -> None:
    # kills: zeros left out of the fit.
    hits = np.array([500, 50, 5, 0, 0])
    decay = fitted_decay(X, hits, TRIALS, law="exponential")
    assert decay.rate.value == pytest.approx(np.log(10), rel=0.02)
    assert fitted_decay(X, np.zeros(5), TRIALS, law="exponential").fit == pytest.approx(1.0)


def test_a_share_that_does_not_fall_has_the_rate_zero() -> None:
    flat = fitted_decay(X, np.full(5, 1000), TRIALS, law="exponential")
    assert (flat.rate.value, flat.rate.low) == (0.0, 0.0)
    assert flat.rate.high < 0.01
    rising = fitted_decay(X, np.array([50, 100, 200, 400, 800]), TRIALS, law="exponential")
    assert rising.rate.value == 0.0
    assert rising.fit < 1e-6


def test_the_interval_holds_the_rate() -> None:
    # kills: half the drop of the likelihood, one end that is the estimate.
    generator, held, bad_fits = np.random.default_rng(0), 0, 0
    share = 0.6 * np.exp(-0.8 * X)
    for _ in range(50):
        decay = fitted_decay(X, generator.binomial(300, share), np.full(5, 300), law="exponential")
        held += decay.rate.low <= 0.8 <= decay.rate.high
        bad_fits += decay.fit < 0.05
        assert decay.rate.low < decay.rate.value < decay.rate.high
    assert 0.86 <= held / 50 <= 1.0
    assert bad_fits <= 8
