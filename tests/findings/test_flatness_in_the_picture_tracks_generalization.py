"""Flatness and error: the rule on planted grids, and real networks at small cost.

Oracle: rises and errors planted with known order, across widths and within them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import flatness_in_the_picture_tracks_generalization as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

COUNT, PER_WIDTH, SEEDS = 32, 8, 5


def planted(kind: str) -> xr.Dataset:
    """Four widths of eight networks; errors ordered by ``kind``."""
    error, rise = np.empty((SEEDS, COUNT)), np.empty((SEEDS, COUNT))
    width = np.repeat([8, 16, 64, 256], PER_WIDTH)
    for seed in range(SEEDS):
        generator = np.random.default_rng(seed)
        inside = generator.normal(size=COUNT)
        shift = np.repeat(np.arange(4.0), PER_WIDTH) * 10
        rise[seed] = shift + inside
        error[seed] = {
            "ordered": rise[seed],
            "by width": shift + generator.normal(size=COUNT),
            "reversed within": shift - inside,
            "unrelated": generator.normal(size=COUNT),
            "weak": rise[seed] if seed % 2 else generator.normal(size=COUNT),
            "against": -rise[seed],
        }[kind]
    dims = ("seed", "network")
    return xr.Dataset(
        {
            "rise": (dims, rise),
            "error": (dims, error),
            "largest_eigenvalue": (dims, -rise),
            "trace": (dims, rise),
            "reached": (dims, np.ones((SEEDS, COUNT))),
        },
        {"width": ("network", width)},
    )


def test_planted_order_is_reproduced() -> None:
    verdict = claim.judge(planted("ordered"))
    assert (verdict.outcome, verdict.effect) == (REPRODUCED, pytest.approx(1.0))
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert abs(verdict.negative_control.effect) < 0.1
    assert "within one width it is 1.000" in verdict.explanation.lower()


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [("unrelated", NOT_REPRODUCED), ("against", NOT_REPRODUCED), ("weak", INCONCLUSIVE)],
)
def test_other_orders_are_not(kind: str, outcome: str) -> None:
    # kills: the absolute value of a correlation, its sign.
    assert claim.judge(planted(kind)).outcome == outcome


def test_an_order_of_widths_alone_is_seen_through() -> None:
    # kills: widths pooled in the second control, its sign.
    measured = planted("by width")
    verdict = claim.judge(measured)
    assert verdict.outcome == REPRODUCED
    assert abs(claim.within_widths(measured).mean()) < 0.3
    assert "by the same rule reproduced" not in verdict.explanation
    backwards = planted("reversed within")
    assert claim.correlations(backwards).min() > 0.8
    assert claim.within_widths(backwards) == pytest.approx(-1.0)


def test_networks_at_another_loss_do_not_count() -> None:
    # kills: networks that did not reach the loss kept; too few of them passed over.
    measured = planted("ordered")
    measured.error[0, :4] = 1e9
    measured.reached[0, :4] = 0.0
    assert claim.correlations(measured) == pytest.approx(1.0)
    assert claim.judge(measured).outcome == REPRODUCED  # 28 of 32 are enough
    measured.reached[0, :8] = 0.0
    assert claim.judge(measured).outcome == REPRODUCED  # 24
    measured.reached[0, 8] = 0.0
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "Fewer than 24" in verdict.explanation
    measured.reached[0, 2:] = 0.0
    measured.reached[:, 16:] = 0.0
    assert claim.judge(measured).outcome == INCONCLUSIVE
    measured.reached[:] = 0.0
    assert claim.judge(measured).outcome == INCONCLUSIVE
    assert claim.estimates(measured)["the same within one width: trace of the Hessian"].count == 0


def test_other_measures_are_reported() -> None:
    found = claim.estimates(planted("ordered"))
    assert found["rank correlation with the error: largest Hessian eigenvalue"].value == -1.0
    assert found["the same within one width: trace of the Hessian"].value == pytest.approx(1.0)


def test_measured_at_small_cost() -> None:
    small = replace(
        claim.Settings(),
        widths=(8, 64),
        batch_sizes=(30,),
        rates=(0.05, 0.1),
        decays=(0.0,),
        examples=40,
        target=0.2,
        directions=2,
    )
    measured = replicated(claim.FINDING, replace(small, seeds=2))
    judged(claim.FINDING, measured)
    assert measured.sizes["network"] == 4
    assert bool((measured.reached > 0).all())
    assert float(measured.loss.max()) <= 0.2
    error = measured.error * 719  # kills: the error of the training set
    assert np.allclose(error, error.round())
    wide = measured.rise.isel(network=measured.width.values == 64)
    assert float(wide.max()) < float(measured.rise.isel(network=measured.width.values == 8).min())
    assert np.array_equal(claim.measure(small, 1).rise, measured.rise[1])
