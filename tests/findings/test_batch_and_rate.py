"""Runs at several batch sizes and rates: what is in a cell, how one is chosen, and the data.

Oracles: the same networks trained and measured one by one; planted columns; sets of images.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite import datasets
from theodolite.findings import batch_and_rate
from theodolite.findings.batch_and_rate import (
    Runs,
    known_interval,
    largest_rate,
    measured,
    pairs,
    samples,
    tuned,
)
from theodolite.findings.catalog import replicated
from theodolite.findings.many_recipes import trained_together
from theodolite.findings.matched_training import error_share
from theodolite.findings.network_grid import COPY, MEASURES, perceptron
from theodolite.findings.small_photographs import small_photographs
from theodolite.findings.unused_examples import enlarged

SMALL = Runs(
    rates=((10, (0.05, 0.1)), (40, (0.1,))),
    copies=2,
    width=16,
    examples=40,
    noise=0.25,
    target=0.4,
    steps=1200,
    directions=1,
    products=32,
    data="digits",
)


def test_a_cell_is_the_network_trained_at_its_batch_size_and_rate() -> None:
    # kills: rates in another order, one copy for both, validation and test exchanged.
    made = measured(SMALL, 1, curvature=False)
    assert pairs(SMALL) == [(10, 0.05), (10, 0.1), (40, 0.1)]
    assert list(zip(made.batch_size.values, made.rate.values, strict=True)) == pairs(SMALL)
    assert (made.reached == 1).all()
    split = enlarged(datasets.digits, seed=1, limit=40, label_noise=0.25)
    x, y = split.train
    for copy in range(2):
        run = 0
        for batch_size, rates in SMALL.rates:
            ends = trained_together(
                x,
                y.expand(len(rates), -1),
                width=16,
                rates=rates,
                decays=[0.0] * len(rates),
                batch_size=batch_size,
                target=0.4,
                epochs=1200,
                seed=1 + COPY * copy,
            )
            for k in range(len(rates)):
                network = perceptron([w[k] for w in ends.weights])
                cell = made.isel(copy=copy, run=run)
                assert float(cell.loss) == pytest.approx(float(ends.loss[k]), rel=1e-3)
                for part, (new, labels) in (
                    ("validation_error", split.validation),
                    ("error", split.test),
                ):
                    known = error_share(network, (new.double(), labels))
                    assert float(cell[part]) == pytest.approx(known, abs=0.005)
                run += 1


def test_curvature_is_measured_where_asked_and_missing_where_not_reached() -> None:
    made = measured(replace(SMALL, copies=1), 1)
    assert all(bool((made[name] > 0).all()) for name in MEASURES)
    none = measured(replace(SMALL, copies=1, target=0.0, steps=10), 1)
    assert (none.reached == 0).all()
    assert all(bool(none[name].isnull().all()) for name in (*MEASURES, "error"))
    assert none.loss.notnull().all()


def planted() -> xr.Dataset:
    """Two seeds, three rates of one batch size and one of another."""
    nan = np.nan
    values = {
        "validation_error": [[[0.3, 0.2, 0.1, 0.5]], [[0.2, 0.2, nan, 0.5]]],
        "error": [[[1.0, 2.0, 3.0, 9.0]], [[4.0, 5.0, nan, 8.0]]],
        "reached": [[[1.0, 1.0, 1.0, 1.0]], [[1.0, 1.0, 0.0, 1.0]]],
    }
    return xr.Dataset(
        {k: (("seed", "copy", "run"), v) for k, v in values.items()},
        {"batch_size": ("run", [8, 8, 8, 20]), "rate": ("run", [0.1, 0.2, 0.4, 0.2])},
    )


def test_a_rate_is_chosen_by_validation_alone_for_every_seed() -> None:
    # kills: the lowest test error, one rate for all seeds, a missing one chosen, the last of two.
    assert tuned(planted(), "error", 8).tolist() == [3.0, 4.0]
    assert tuned(planted(), "error", 20).tolist() == [9.0, 8.0]
    assert largest_rate(planted(), "error", 8).tolist() == [3.0, 5.0]
    assert samples(planted(), "error", 8, 0.2).tolist() == [2.0, 5.0]
    assert samples(planted(), "error", 20, 0.2).tolist() == [9.0, 8.0]
    worse = planted()
    worse.validation_error[0, 0, 2] = 0.9
    assert tuned(worse, "error", 8).tolist() == [2.0, 4.0]


def test_pairs_count_where_both_are_known() -> None:
    a, b = np.array([2.0, 4.0, np.nan, 8.0]), np.array([1.0, 2.0, 1.0, np.nan])
    assert (known_interval(a, b, ratio=True).value, known_interval(a, b).value) == (2.0, 1.5)
    assert known_interval(a, b).count == 2
    one = known_interval(a[2:], b[2:], ratio=True)
    assert (one.count, one.low, one.high) == (0, 0.0, np.inf)


def test_seeds_are_joined() -> None:
    from theodolite.findings import large_batches_end_at_sharper_minima as claim

    short = replace(SMALL, seeds=2, copies=1, target=0.0, steps=10)
    joined = replicated(claim.FINDING, short)
    assert dict(joined.sizes) == {"seed": 2, "copy": 1, "run": 3}
    assert joined.batch_size.dims == ("run",)


@pytest.mark.parametrize(("source", "limit"), [(datasets.digits, 100), (small_photographs, 50)])
def test_no_example_is_in_two_parts_and_none_is_lost(source: object, limit: int) -> None:
    # kills: training images in the test set, noisy labels in it, spare images thrown away.
    whole = source(seed=2, flatten=True)
    split = enlarged(source, seed=2, limit=limit, label_noise=0.2)
    assert split.sizes["train"] == limit
    assert sum(split.sizes.values()) == sum(whole.sizes.values())
    assert abs(split.sizes["validation"] - split.sizes["test"]) in (1, 500, 501)
    images = {
        name: {row.numpy().tobytes() for row in pair[0]} for name, pair in split.parts().items()
    }
    assert not images["train"] & (images["validation"] | images["test"])
    labels = {}
    for x, y in whole.parts().values():
        labels |= {row.numpy().tobytes(): int(label) for row, label in zip(x, y, strict=True)}
    for x, y in (split.validation, split.test):
        assert [labels[row.numpy().tobytes()] for row in x] == y.tolist()
    x, y = split.train
    wrong = sum(labels[row.numpy().tobytes()] != int(v) for row, v in zip(x, y, strict=True))
    assert wrong == round(0.2 * limit)


def test_small_photographs_are_means_of_four_pixels() -> None:
    small, whole = small_photographs(limit=20), datasets.fashion_mnist(limit=20)
    image = whole.train[0][3, 0]
    assert float(small.train[0][3, 14 * 5 + 9]) == pytest.approx(
        float(image[10:12, 18:20].mean()), abs=1e-6
    )
    assert torch.equal(small.test[1], whole.test[1])


def test_all_sources_have_the_same_options() -> None:
    for source in batch_and_rate.DATA.values():
        assert source(seed=1, limit=20, label_noise=0.0, flatten=True).sizes["train"] == 20
