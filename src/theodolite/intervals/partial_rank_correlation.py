"""Kendall's rank correlation with other columns held fixed, and intervals over cells of a grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theodolite.errors import InvalidData
from theodolite.intervals.statistics import LEVEL, Estimate
from theodolite.seeds import numpy_generator

RESAMPLES = 2000
FEWEST = 10

Columns = ndarray
"""Values by seed and cell, shape ``(seed, cell)``."""


def kendall(
    x: Columns, y: Columns, held: Sequence[Columns] = (), *, alike: Sequence[Columns] = ()
) -> float:
    r"""Kendall's tau-b of two columns within each seed, averaged over seeds, others held fixed.

    .. math:: \tau = \frac{\langle s_x, s_y\rangle}{\|s_x\|\,\|s_y\|}, \qquad
        s_x = \bigl(\operatorname{sign}(x_i - x_j)\bigr)_{i, j}

    is a correlation of signs over pairs of cells, so that the partial one follows from the matrix
    R of all of them as for any correlation (Kendall 1942, Biometrika 32):

    .. math:: \tau_{xy \cdot h} = \frac{\tau_{xy} - r_x^\top R_h^{-1} r_y}
        {\sqrt{(1 - r_x^\top R_h^{-1} r_x)(1 - r_y^\top R_h^{-1} r_y)}}

    The partial tau takes out a strong common cause only in part: two columns that are independent
    given a third can have one above 0. What must be held exactly belongs in ``alike``: only pairs
    of cells with equal values there are compared at all.

    A cell with a missing value in any column is left out of its seed. A column that does not vary,
    or that those held fixed determine, has the correlation 0. Raises `InvalidData` for shapes
    that differ or fewer than `FEWEST` cells.

    >>> row = np.arange(10.0)[None]
    >>> kendall(row, row**3), kendall(row, -row)
    (1.0, -1.0)
    """
    columns = stacked(x, y, held)
    return float(_partial(_products(columns, np.ones((1, columns.shape[2])), alike))[0])


def kendall_interval(
    x: Columns,
    y: Columns,
    held: Sequence[Columns] = (),
    *,
    alike: Sequence[Columns] = (),
    level: float = LEVEL,
    seed: int = 0,
) -> Estimate:
    """`kendall` with a percentile interval over resampled cells, each with all its seeds.

    Cells are the unit that was chosen: networks of one cell are repetitions of each other and say
    nothing of another grid. Costs products of `RESAMPLES` weights with a cell by cell matrix for
    every pair of columns and seed.

    >>> row = np.arange(20.0)[None]
    >>> kendall_interval(row, row).low
    1.0
    """
    columns = stacked(x, y, held)
    found = _partial(_products(columns, resampled(columns.shape[2], seed), alike))
    return percentiles(kendall(x, y, held, alike=alike), found, columns.shape[2], level)


def within_cells(x: Columns, y: Columns, *, level: float = LEVEL, seed: int = 0) -> Estimate:
    """Kendall's tau-b over the seeds of one cell, its pairs pooled over all cells.

    What a seed does to all of its cells alike (its split of the data) is taken out first: the mean
    of the seed over cells is subtracted. Interval and cells as for `kendall_interval`.

    >>> draws = np.random.default_rng(0).normal(size=(4, 12))
    >>> within_cells(draws, draws).value
    1.0
    """
    columns = stacked(x, y, ())
    centered = columns - np.nanmean(columns, axis=2, keepdims=True)
    signs = np.nan_to_num(np.sign(centered[:, None] - centered[None]))
    sums = np.einsum("ijuc,ijvc->cuv", signs, signs)
    weights = np.concatenate([np.ones((1, sums.shape[0])), resampled(sums.shape[0], seed)])
    found = _partial(np.tensordot(weights, sums, axes=1)[:, None])
    return percentiles(float(found[0]), found[1:], sums.shape[0], level)


def stacked(x: Columns, y: Columns, held: Sequence[Columns]) -> Float[ndarray, "seed column cell"]:
    """All columns, missing together."""
    given = [np.asarray(c, dtype=np.float64) for c in (x, y, *held)]
    shapes = {c.shape for c in given}
    if len(shapes) > 1 or given[0].ndim != 2 or given[0].shape[1] < FEWEST:
        raise InvalidData(
            f"columns must share a shape (seed, cell) with at least {FEWEST} cells; got "
            f"{', '.join(map(str, sorted(shapes)))}.",
            code="E-F36",
        )
    columns = np.stack(given, axis=1)
    missing = np.isnan(columns).any(axis=1, keepdims=True)
    return np.where(missing, np.nan, columns)


def _products(
    columns: ndarray, weights: Float[ndarray, "resample cell"], alike: Sequence[Columns]
) -> ndarray:
    """Inner products of the sign matrices of every two columns, by resample and seed."""
    seeds, count = columns.shape[:2]
    made = np.empty((len(weights), seeds, count, count))
    for k in range(seeds):
        with np.errstate(invalid="ignore"):
            signs = np.nan_to_num(np.sign(columns[k, :, :, None] - columns[k, :, None, :]))
        for equal in alike:
            signs *= equal[k][:, None] == equal[k][None]
        for u in range(count):
            for v in range(u + 1):
                sums = ((weights @ (signs[u] * signs[v])) * weights).sum(1)
                made[:, k, u, v] = made[:, k, v, u] = sums
    return made


def _partial(products: ndarray) -> Float[ndarray, " resample"]:
    """The first two columns' correlation given the others, averaged over seeds."""
    sizes = np.sqrt(np.einsum("...uu->...u", products))
    scale = sizes[..., :, None] * sizes[..., None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.where(scale > 0, products / scale, 0.0)
    own, cross, held = r[..., :2, :2], r[..., :2, 2:], r[..., 2:, 2:]
    left = own - cross @ np.linalg.pinv(held, hermitian=True) @ cross.swapaxes(-1, -2)
    rest = left[..., 0, 0] * left[..., 1, 1]
    known = rest > 1e-12
    value = np.where(known, left[..., 0, 1] / np.sqrt(np.where(known, rest, 1.0)), 0.0)
    mean: ndarray = np.clip(value, -1.0, 1.0).mean(axis=-1)
    return mean


def resampled(cells: int, seed: int) -> Float[ndarray, "resample cell"]:
    """How often each cell was drawn, in every resample."""
    generator = numpy_generator(seed, "cells")
    return generator.multinomial(cells, np.full(cells, 1 / cells), size=RESAMPLES).astype(float)


def percentiles(value: float, found: ndarray, cells: int, level: float) -> Estimate:
    """The estimate from what resampled cells gave, its interval widened to hold the value."""
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(
        value, min(float(low), value), max(float(high), value), level, cells, "bootstrap over cells"
    )
