"""What studies say. Oracle: planted numbers whose ranks and ratios are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from theodolite import results
from theodolite.errors import InvalidData
from theodolite.intervals.rank_correlation_over_cells import spearman_over_cells
from theodolite.studies.batch_size_summary import batch_size_summary
from theodolite.studies.layouts import Layout, grid, members_of
from theodolite.studies.optimizer_summary import optimizer_summary

from .planted import RATES, SIZES, batch_sizes, following, noisy, optimizers


def test_a_collapse_is_seen_and_batch_size_adds_nothing_to_it():
    # kills: batch size for temperature, cells of different temperatures compared, a lost sign
    found = batch_size_summary(batch_sizes(following))
    at = found.sel(measure="largest_eigenvalue")
    assert float(at.spearman.sel(relation="temperature")) < -0.97
    assert float(at.spearman_high.sel(relation="temperature")) < -0.9
    assert float(at.spearman.sel(relation="test_error")) < -0.9
    assert abs(float(at.kendall.sel(relation="batch_size"))) < 0.75
    low, high = (float(at[f"kendall_{e}"].sel(relation="batch_size")) for e in ("low", "high"))
    assert low < 0 < high
    ratio = [float(at[f"sharpness_ratio{e}"]) for e in ("_low", "", "_high")]
    assert ratio[0] < 8 < ratio[2]  # 64 times the batch size at a power of one half
    assert ratio[1] == pytest.approx(8, rel=0.03)
    free = found.sel(measure="adaptive_sharpness", relation="temperature")
    assert float(free.spearman_low) < 0 < float(free.spearman_high)


def test_sharpness_that_follows_batch_size_alone_does_not_collapse():
    # kills: a remaining correlation taken over all cells, which temperature explains
    def row(cell):
        sharp = cell["batch_size"] * np.exp(0.01 * noisy(cell))
        return {**following(cell), "largest_eigenvalue": sharp}

    found = batch_size_summary(batch_sizes(row)).sel(measure="largest_eigenvalue")
    assert float(found.kendall_low.sel(relation="batch_size")) == 1.0
    assert float(found.sharpness_ratio) == pytest.approx(64, rel=0.03)


def test_cells_that_are_not_compared_count_nowhere_and_are_named():
    # kills: a cell left out that still ranks, a ratio over unequal rates
    def row(cell):
        if cell["batch_size"] == 4 and cell["learning_rate"] > 0.1:
            lost = {"compared": 0.0, "largest_eigenvalue": 1e9}
            return {**following(cell), **lost, "status": 2.0 if cell["seed"] == 1 else 1.0}
        return following(cell)

    found = batch_size_summary(batch_sizes(row))
    at = found.sel(measure="largest_eigenvalue")
    assert float(at.spearman.sel(relation="temperature")) < -0.95
    assert float(at.sharpness_ratio) == pytest.approx(8, rel=0.03)
    assert json.loads(found.attrs["left_out"]) == [
        "batch size 4 at rate 0.2: did not reach the loss, diverged",
        "batch size 4 at rate 0.4: did not reach the loss, diverged",
    ]


def test_too_few_cells_say_nothing():
    found = batch_size_summary(batch_sizes(following, sizes=[4, 16]))
    assert bool(np.isnan(found.spearman).all())
    assert bool(np.isfinite(found.sharpness_ratio).all())
    one = batch_size_summary(batch_sizes(following, seeds=1))
    assert bool(np.isnan(one.sharpness_ratio).all())
    assert bool(np.isfinite(one.spearman.sel(relation="temperature")).all())


def test_the_grid_is_read_as_it_was_laid_out():
    # kills: axes exchanged
    layout = Layout({"batch_size": SIZES, "seed": [0, 1], "learning_rate": RATES}, 4)
    assert (layout.cells, layout.units) == (32, 8)
    assert [c["learning_rate"] for c in layout.of_unit(3)] == RATES
    assert {(c["batch_size"], c["seed"]) for c in layout.of_unit(3)} == {(16, 1)}

    def row(cell):
        return {"trace": cell["batch_size"] * 1000 + cell["seed"] * 100 + cell["learning_rate"]}

    found = grid(batch_sizes(row))
    assert float(found.trace.sel(batch_size=64, seed=2, learning_rate=0.2)) == 64200.2
    assert [members_of(n) for n in (1, 12, 34, 64)] == [1, 12, 17, 32]
    with pytest.raises(InvalidData) as caught:
        grid(results.dataset("trace", {}))
    assert caught.value.code == "E-U15"


def test_spearman_is_scipys_averaged_over_seeds():
    # kills: ranks over all seeds at once, missing cells ranked as the largest
    draws = np.random.default_rng(0)
    x, y = draws.normal(size=(2, 3, 14))
    y += x
    y[1, 4] = np.nan
    keep = np.isfinite(y)
    wanted = np.mean([stats.spearmanr(x[k][keep[k]], y[k][keep[k]]).statistic for k in range(3)])
    assert spearman_over_cells(x, y).value == pytest.approx(wanted, abs=1e-12)


def test_intervals_over_cells_hold_the_truth_nearly_as_often_as_they_say():
    # kills: an interval over seeds and cells as if all were independent (holds it 60 times in 100)
    draws, truth, held, trials = np.random.default_rng(1), 6 / np.pi * np.arcsin(0.5 / 2), 0, 60
    for k in range(trials):
        cell = draws.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=30).T
        x, y = (np.repeat(c[None], 4, 0) for c in cell)
        found = spearman_over_cells(x, y, seed=k)
        held += found.low <= truth <= found.high
    assert held >= 48  # at 0.93, which small samples leave of 0.95: four deviations below


def test_optimizers_are_compared_seed_by_seed():
    # kills: ratios of means, of other seeds, or over the last optimizer
    factor = {"sgd": 1.0, "gd": 2.0, "sam": 0.5}

    def row(cell):
        base = np.exp(2 * noisy({"seed": cell["seed"]}))
        noise = np.exp(0.01 * noisy(cell))
        return {
            "largest_eigenvalue": base * factor[cell["optimizer"]] * noise,
            "test_error": 0.1 + 0.01 * factor[cell["optimizer"]],
            "compared": 0.0 if (cell["optimizer"], cell["seed"]) == ("sam", 2) else 1.0,
        }

    found = optimizer_summary(optimizers(row))
    at = found.sel(measure="largest_eigenvalue")
    for name in ("gd", "sam"):
        low, value, high = (
            float(at[f"ratio{e}"].sel(optimizer=name)) for e in ("_low", "", "_high")
        )
        assert low < factor[name] < high
        assert high / low < 1.1
        assert value == pytest.approx(factor[name], rel=0.03)
    assert float(at.ratio.sel(optimizer="sgd")) == 1.0
    gap = found.sel(measure="test_error", optimizer="gd")
    assert float(gap.ratio) == pytest.approx(0.01)
    assert float(gap["mean"]) == pytest.approx(0.12)
    assert json.loads(found.attrs["left_out"]) == ["sam, seed 2: did not reach the loss"]
    assert bool(np.isnan(found["mean"].sel(measure="trace")).all())
