"""Sharpness against errors under shift: the rule on planted columns, and a real grid.

Oracle: errors planted as known functions of sharpness and of the error without shift.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from findings.small_grids import small_grid
from theodolite.findings import flat_minima_are_robust_to_distribution_shift as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.network_grid import MEASURES
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from theodolite.intervals import partial_rank_correlation

SHAPE = (8, 48)
WIDTHS = np.tile([1.0, 2.0, 3.0], 16)
NOISES = np.repeat([0.0, 0.2], 24)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals of planted columns in a fraction of the time."""
    monkeypatch.setattr(partial_rank_correlation, "RESAMPLES", 300)


def planted(weight: float, *, plain: float = 0.95, odd: float = 0.0) -> xr.Dataset:
    """Error under shift that follows sharpness by `weight` and the plain error by `plain`.

    Both follow the recipe besides; ``odd`` is added to one shift alone.
    """
    generator = np.random.default_rng(1)
    recipe = 5 * NOISES * 5 - 3 * WIDTHS
    shifted = generator.normal(size=SHAPE)

    def follows(share: float) -> np.ndarray:
        drawn = generator.normal(size=SHAPE)
        return recipe + share * shifted + np.sqrt(1 - share**2) * drawn

    columns = {name: follows(weight) for name in MEASURES} | {"error": follows(plain)}
    spread = generator.normal(size=SHAPE)
    signs = dict(zip(claim.SHIFTS, (1, -1, 1, -1), strict=True))
    columns |= {k: recipe + shifted + sign * 3 * spread for k, sign in signs.items()}
    columns["blur"] = columns["blur"] + odd
    columns |= {"reached": np.ones(SHAPE)}
    return xr.Dataset(
        {k: (("seed", "cell"), v) for k, v in columns.items()},
        {
            "width": ("cell", WIDTHS),
            "rate_over_batch": ("cell", np.tile(np.repeat([0.1, 0.2, 0.3], 3), 6)[:48]),
            "noise": ("cell", NOISES),
        },
    )


@pytest.mark.parametrize(
    ("weight", "outcome"),
    [
        (0.95, REPRODUCED),
        (0.37, INCONCLUSIVE),
        (0.0, NOT_REPRODUCED),
        (-0.9, NOT_REPRODUCED),
    ],
)
def test_the_rule_at_its_edges(weight: float, outcome: str) -> None:
    # kills: one shift in place of the mean over them, the recipe not held fixed, the sign.
    verdict = claim.judge(planted(weight))
    assert verdict.outcome == outcome
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert ("Sharper networks make fewer errors" in verdict.explanation) == (weight < 0)
    assert verdict.positive_control.outcome == verdict.corrected.outcome == REPRODUCED
    assert verdict.corrected.negative_control.outcome == NOT_REPRODUCED


def test_a_rule_that_accepts_nothing_cannot_refute() -> None:
    # kills: the positive control left out.
    verdict = claim.judge(planted(0.0, plain=0.0))
    assert verdict.outcome == INCONCLUSIVE
    assert verdict.corrected.outcome == NOT_REPRODUCED


def test_the_mean_over_shifts_is_what_is_judged() -> None:
    measured = planted(0.5)
    mean = np.mean([measured[k].values for k in claim.SHIFTS], axis=0)
    assert np.allclose(claim.shifted_error(measured), mean)
    assert claim.shifted_error(planted(0.5, odd=4.0)) == pytest.approx(mean + 1.0)


def test_estimates_tell_the_shifts_apart() -> None:
    found = claim.estimates(planted(0.95))
    words = MEASURES["trace"]
    assert found[f"partial tau: {words}, error on data all shifts, mean"].value > 0.5
    assert found[f"partial tau: {words}, error on data {claim.SHIFTS['blur']}"].value < 0.4
    assert f"tau within cells: {words}, all shifts" in found


def test_networks_that_missed_the_loss_are_counted() -> None:
    measured = planted(0.95)
    measured.reached[:] = 0.0
    measured.reached[0, :39] = 1.0
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "39 of 384" in verdict.explanation


def test_measured_at_small_cost() -> None:
    measured = replicated(claim.FINDING, small_grid(claim.FINDING))
    verdict = judged(claim.FINDING, measured)
    assert verdict.outcome == INCONCLUSIVE  # fewer than 40 networks
    known = measured.isel(cell=measured.reached.values[0] > 0)
    assert float(claim.shifted_error(known).mean()) > float(known.error.mean()) + 0.05
    assert all(float(known[k].max()) < 0.95 for k in claim.SHIFTS)
