"""Sharpness against errors: the rule on planted columns, and a real grid at small cost.

Oracle: errors planted as known functions of recipe, sharpness and noise.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import xarray as xr

from findings.small_grids import small_grid
from theodolite.findings import flat_minima_generalize_better as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.network_grid import ALIKE, MEASURES
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from theodolite.intervals import partial_rank_correlation

SEEDS = 8
GRID = list(product((1.0, 2.0, 3.0), (0.1, 0.2, 0.3, 0.4), (0.0, 0.2), (0, 1)))


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals of planted columns in a fraction of the time."""
    monkeypatch.setattr(partial_rank_correlation, "RESAMPLES", 300)


def planted(
    *, own: float = 1.0, width: float = 3.0, noise: float = 5.0, one: float | None = None
) -> xr.Dataset:
    """Errors that follow sharpness by `own`, while width and label noise move both.

    ``one`` is the weight of sharpness in the last measure.
    """
    generator = np.random.default_rng(0)
    widths, rates, noises, _ = (np.array(v) for v in zip(*GRID, strict=True))
    shape = (SEEDS, len(GRID))
    chance = generator.normal(size=shape)
    recipe = -width * widths + noise * (noises > 0) + np.zeros(shape)
    error = recipe + chance
    columns = {}
    for name in MEASURES:
        weight = one if one is not None and name == "adaptive" else own
        drawn = generator.normal(size=shape)
        columns[name] = np.exp(recipe + weight * chance + np.sqrt(1 - weight**2) * drawn)
    columns |= {"error": error, "new_loss": error + 0.1 * generator.normal(size=shape)}
    columns |= {"gap": columns["new_loss"] - 0.02, "loss": np.full(shape, 0.02)}
    columns |= {"reached": np.ones(shape)}
    words = {**MEASURES, **claim.ERRORS, "loss": "training loss", "reached": "1"}
    return xr.Dataset(
        {k: (("seed", "cell"), v, {"long_name": words[k]}) for k, v in columns.items()},
        {
            "width": ("cell", widths),
            "rate_over_batch": ("cell", rates),
            "noise": ("cell", noises),
        },
    )


def test_sharpness_that_tells_more_than_the_recipe_is_reproduced() -> None:
    # kills: the sign, sharpness ranked against itself, the controls left out.
    verdict = claim.judge(planted(own=0.95))
    assert verdict.outcome == REPRODUCED
    assert verdict.effect > 0.5
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.positive_control.outcome == REPRODUCED
    assert verdict.corrected.outcome == REPRODUCED
    assert verdict.corrected.negative_control.outcome == NOT_REPRODUCED


def test_sharpness_that_only_follows_the_recipe_is_not() -> None:
    # kills: widths or label noise not held fixed: either makes both go together.
    verdict = claim.judge(planted(own=0.0))
    assert (verdict.outcome, claim.FINDING.expected) == (NOT_REPRODUCED, NOT_REPRODUCED)
    assert abs(verdict.effect) < 0.2
    assert verdict.corrected.outcome == REPRODUCED
    assert claim.judge(planted(own=0.0, width=0.0)).outcome == NOT_REPRODUCED
    assert claim.judge(planted(own=0.0, noise=0.0)).outcome == NOT_REPRODUCED


@pytest.mark.parametrize(
    ("one", "outcome"), [(0.95, REPRODUCED), (0.25, INCONCLUSIVE), (0.0, NOT_REPRODUCED)]
)
def test_every_measure_must_track(one: float, outcome: str) -> None:
    # kills: the mean or the best of the measures, the interval left out.
    verdict = claim.judge(planted(own=0.95, one=one))
    assert verdict.outcome == outcome
    assert verdict.effect == pytest.approx(
        min(
            e.value
            for e in claim.partials(
                planted(own=0.95, one=one),
                claim._sharpness(planted(own=0.95, one=one)),
                planted(own=0.95, one=one).error.values,
            ).values()
        )
    )


def test_networks_that_missed_the_loss_are_left_out_and_counted() -> None:
    # kills: networks at another loss compared, too few of them passed over in silence.
    measured = planted(own=0.95)
    measured.reached[:, 8:] = 0.0
    for name in (*MEASURES, "error", "new_loss", "gap"):
        measured[name][:, 8:] = np.nan
    assert "64 of 384 networks" in claim.judge(measured).explanation
    measured.reached[:4, :8] = 0.0
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "fewer than 40" in verdict.explanation


def test_estimates_tell_all_from_alike() -> None:
    found = claim.estimates(planted(own=0.0))
    pair = "trace of the Hessian, share of wrong answers on new data"
    assert found[f"tau over all networks: {pair}"].value > 0.4
    assert abs(found[f"partial tau {ALIKE}: {pair}"].value) < 0.2
    within = found[f"tau within cells: {pair}"]
    assert within.low < 0 < within.high
    assert found["training loss, mean over networks"].value == pytest.approx(0.02)


def test_measured_at_small_cost() -> None:
    measured = replicated(claim.FINDING, small_grid(claim.FINDING))
    verdict = judged(claim.FINDING, measured)
    assert verdict.outcome == INCONCLUSIVE  # fewer than 40 networks
    assert int(measured.reached.sum()) >= 10
    assert measured.gap.mean() > 0.2
    noisy = measured.noise.values > 0
    assert float(measured.error[:, noisy].mean()) > float(measured.error[:, ~noisy].mean())
