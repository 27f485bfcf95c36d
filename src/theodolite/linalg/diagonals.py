"""The diagonal of an operator from random signs, with a standard error for every entry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator
from theodolite.linalg.probes import signs
from theodolite.linalg.products import product, wide_dtype
from theodolite.linalg.sketch import Progress, Tally, together, unit_columns


@dataclass(frozen=True, eq=False)
class DiagonalEstimate:
    """Both of shape ``(size,)`` and float64 (float32 where the device has no other).

    ``sums`` has a row a probe and a column a group where groups were given (one exact row where
    the answer is exact), else no columns.
    """

    diagonal: Float[Tensor, " size"]
    standard_error: Float[Tensor, " size"]
    products: int
    sums: Float64[np.ndarray, "probe group"]
    exact: bool = False


def diagonal_estimate(
    operator: Operator,
    *,
    probes: int,
    seed: int = 0,
    groups: Int64[Tensor, " size"] | None = None,
    progress: Progress | None = None,
) -> DiagonalEstimate:
    r"""Estimate the diagonal of an operator.

    .. math:: \operatorname{diag} A = \mathbb E\, z \odot A z, \qquad z_i = \pm 1

    Parameters
    ----------
    operator
        Square; symmetry is not needed.
    probes
        At least 2.
    seed
        Probe `i` depends on `seed` and `i` alone.
    groups
        The group of each entry, numbered from 0: each probe's sums over groups are returned, so
        that a sum, whose entries' errors are correlated, has an error of its own.
    progress
        Called as ``progress(products done, products planned)``.

    Returns
    -------
    DiagonalEstimate
        ``standard_error`` of an entry is the deviation of its samples over the root of their
        count; its square estimates :math:`\frac1k \sum_{j \ne i} A_{ij}^2`. For a 95 % interval
        of one entry use Student's t with ``probes - 1`` degrees of freedom.

    Notes
    -----
    Costs `probes` products and four vectors of memory beside the 8 multiplied at once: means and
    squares are updated as probes come (Welford), in float64. Unbiased. Errors of different
    entries are correlated, and one probe's error of an entry is about as large as the norm of the
    rest of its row: judge sums of entries by the samples of the sum, as `trace_estimate` does.
    Where the size is not above `probes` unit vectors are multiplied instead and the answer is
    exact; a diagonal matrix is exact in any case. Raises `InvalidArgument` for fewer than two
    probes.

    References
    ----------
    Bekas, Kokiopoulou, Saad (2007), Applied Numerical Mathematics 57.

    Examples
    --------
    >>> estimate = diagonal_estimate(Operator.from_matrix(torch.eye(3) * 2), probes=2)
    >>> estimate.diagonal.tolist(), estimate.standard_error.tolist()
    ([2.0, 2.0, 2.0], [0.0, 0.0, 0.0])
    """
    if probes < 2:
        raise InvalidArgument(f"probes must be at least 2; got {probes}.", code="E-L35")
    wide = wide_dtype(operator.device)
    mean = torch.zeros(operator.size, dtype=wide, device=operator.device)
    if operator.size <= probes:
        tally = Tally(operator.size, progress)
        for rows, units in unit_columns(operator):
            image = product(operator, units, step=tally.done + 1)
            mean[rows] = (units * image).sum(0, dtype=wide)
            tally.add(len(rows))
        exact_sums = _sums(mean, groups)[None]
        return DiagonalEstimate(mean, torch.zeros_like(mean), tally.done, exact_sums, exact=True)
    tally = Tally(probes, progress)
    squares = torch.zeros_like(mean)
    sums = []
    width = together(operator)
    while tally.done < probes:
        some = range(tally.done, min(tally.done + width, probes))
        columns = torch.stack([signs(operator, seed, "diagonal", probe) for probe in some], 1)
        entries = columns * product(operator, columns, step=tally.done + 1)
        for count, sample in zip(some, entries.unbind(1), strict=True):
            change = sample.to(wide) - mean
            mean += change / (count + 1)
            squares += change * (sample.to(wide) - mean)
            sums.append(_sums(sample.to(wide), groups))
        tally.add(len(some))
    error = (squares / (probes - 1) / probes).sqrt()
    return DiagonalEstimate(mean, error, tally.done, np.stack(sums))


def _sums(
    entries: Float[Tensor, " size"], groups: Int64[Tensor, " size"] | None
) -> Float64[np.ndarray, " group"]:
    if groups is None:
        return np.zeros(0)
    total = entries.new_zeros(int(groups.max()) + 1)
    total.index_add_(0, groups.to(entries.device), entries)
    return np.asarray(total.to("cpu", torch.float64).numpy())
