"""Spearman's rank correlation over the cells of a grid, each trained with several seeds."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

from theodolite.intervals.partial_rank_correlation import (
    Columns,
    percentiles,
    resampled,
    stacked,
)
from theodolite.intervals.statistics import LEVEL, Estimate


def spearman_over_cells(x: Columns, y: Columns, *, level: float = LEVEL, seed: int = 0) -> Estimate:
    r"""Spearman's correlation within each seed, averaged over seeds; interval over cells.

    .. math:: \rho = \frac1S \sum_s \operatorname{corr}(\operatorname{rank} x_{s \cdot},
        \operatorname{rank} y_{s \cdot})

    ``x`` and ``y`` have the shape ``(seed, cell)``; a cell with a missing value is left out of its
    seed. The percentile interval is that of resampled cells, each with all its seeds: networks of
    one cell are repetitions of each other. A column that does not vary has the correlation 0.
    Raises `InvalidData` for shapes that differ or fewer than 10 cells (E-F36).

    Source: Spearman (1904), American Journal of Psychology 15; Efron (1979), Annals of
    Statistics 7.

    >>> row = np.arange(12.0)[None]
    >>> e = spearman_over_cells(row, row**3)
    >>> round(e.value, 12), round(e.low, 12)
    (1.0, 1.0)
    """
    columns = stacked(x, y, ())
    cells = columns.shape[2]
    counts = resampled(cells, seed).astype(int)
    drawn = np.stack([np.repeat(np.arange(cells), row) for row in counts])
    found = _mean(columns[:, :, drawn].transpose(2, 0, 1, 3))
    value = float(_mean(columns[None])[0])
    return percentiles(value, found, cells, level)


def _mean(columns: Float[ndarray, "resample seed two cell"]) -> Float[ndarray, " resample"]:
    """The correlation of ranks of every resample and seed, averaged over seeds."""
    ranks = stats.rankdata(columns, axis=-1, nan_policy="omit")
    centered = np.nan_to_num(ranks - np.nanmean(ranks, axis=-1, keepdims=True))
    sizes = np.sqrt((centered**2).sum(-1)).prod(-1)
    product = (centered[..., 0, :] * centered[..., 1, :]).sum(-1)
    value = np.where(sizes > 1e-9, product / np.where(sizes > 1e-9, sizes, 1.0), 0.0)
    mean: ndarray = np.clip(value, -1.0, 1.0).mean(-1)
    return mean
