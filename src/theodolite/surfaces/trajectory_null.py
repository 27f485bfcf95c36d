"""What a path without any direction would look like: principal components of random walks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from theodolite.errors import InvalidArgument
from theodolite.seeds import numpy_generator


@dataclass(frozen=True, eq=False)
class RandomWalks:
    """Shares of variance of random walks, component by component.

    ``shares`` (walk, component) are draws in as many dimensions as the path has; ``limit``
    (component) is what they tend to as the dimension grows, without chance.
    """

    shares: Float64[np.ndarray, "walk component"]
    limit: Float64[np.ndarray, " component"]

    def mean(self) -> Float64[np.ndarray, " component"]:
        return np.asarray(self.shares.mean(axis=0))

    def error(self) -> Float64[np.ndarray, " component"]:
        """Standard errors of `mean`."""
        return np.asarray(self.shares.std(axis=0, ddof=1) / np.sqrt(len(self.shares)))

    def leading(self, axes: int) -> tuple[float, float]:
        """The mean share of the first `axes` components together, with its standard error."""
        sums = self.shares[:, :axes].sum(axis=1)
        return float(sums.mean()), float(sums.std(ddof=1) / np.sqrt(len(sums)))

    def as_large(self, share: float, axes: int) -> int:
        """How many walks have at least this share in their first `axes` components."""
        return int((self.shares[:, :axes].sum(axis=1) >= share).sum())


def random_walks(
    times: Sequence[Any], *, params: int, center: str, walks: int = 200, seed: int = 0
) -> RandomWalks:
    r"""The principal components of Gaussian random walks observed at given times.

    .. math:: X = S Z, \quad Z_{ij} \sim \mathcal N(0, 1), \quad
        \frac{1}{P}\, C X X^\top C^\top \xrightarrow{P \to \infty} C S S^\top C^\top

    where S adds up steps of variance :math:`\Delta t` and C subtracts the mean or the last point.

    Parameters
    ----------
    times
        One increasing sequence of times a run; runs begin at one common point. A step's squared
        length is proportional to the time between two points, so sums of squared lengths serve
        as times for a walk with steps of given lengths.
    params
        The dimension of the walk.
    center
        ``"last"`` or ``"mean"``, as in `principal_directions`.
    walks, seed
        How many walks are drawn. A run whose time stands still stays at the common point.

    Returns
    -------
    RandomWalks
        The shares of every walk, and their limit in infinitely many dimensions: the eigenvalues
        of :math:`C S S^\top C^\top`, over many equal steps :math:`\propto 1/k^2` for ``"mean"``
        (76 % in two components) and :math:`\propto 1/(2k-1)^2` for ``"last"`` (90 %).

    Raises
    ------
    InvalidArgument
        For times that fall, that stand still in every run, or are not finite, or fewer than two
        walks (E-J06).

    Notes
    -----
    Costs no forward pass. The Gram matrix of a walk is drawn itself (a Wishart matrix, by
    Bartlett's decomposition), so a walk costs the cube of the number of points and nothing that
    grows with `params`. Not checked: that steps of a training would be independent and equal in
    all directions without learning; few effective dimensions raise the null's shares further.

    References
    ----------
    Antognini, Sohl-Dickstein (2018), arXiv:1806.08805. Bartlett (1933).

    Examples
    --------
    >>> walk = random_walks([range(301)], params=5000, center="last", walks=20)
    >>> [round(100 * share) for share in (walk.limit[:2].sum(), walk.leading(2)[0])]
    [90, 90]
    """
    if isinstance(walks, bool) or not isinstance(walks, int) or walks < 2:
        raise InvalidArgument(
            f"null_walks must be a whole number of at least 2, or 0 for none; got {walks!r}.",
            fix="pass null_walks=200.",
            code="E-J06",
        )
    factor = _centering(sum(map(len, times)), center) @ _sums(times)
    generator = numpy_generator(seed, "random walk", center)
    shares = [
        _shares(factor @ _wishart_root(factor.shape[1], params, generator)) for _ in range(walks)
    ]
    return RandomWalks(np.stack(shares), _shares(factor))


def _sums(times: Sequence[Any]) -> Float64[np.ndarray, "time step"]:
    """The points of all runs from their steps, whose standard deviations grow with time."""
    found = [np.diff(np.asarray(list(run), dtype=np.float64)) for run in times]
    every = np.concatenate(found)
    if not np.isfinite(every).all() or not (every >= 0).all() or not every.any():
        raise InvalidArgument(
            "the times of a run must be finite and increase.",
            fix="pass one rising sequence a run.",
            code="E-J06",
        )
    blocks = []
    for gaps in found:
        steps = np.zeros((len(gaps) + 1, len(gaps)))
        steps[1:] = np.tri(len(gaps)) * np.sqrt(gaps)
        blocks.append(steps)
    made = np.zeros([sum(block.shape[k] for block in blocks) for k in range(2)])
    row = column = 0
    for block in blocks:
        made[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return made


def _centering(count: int, center: str) -> Float64[np.ndarray, "time time"]:
    made = np.eye(count)
    if center == "mean":
        return made - 1 / count
    made[:, -1] -= 1
    return made


def _wishart_root(
    size: int, freedom: int, generator: np.random.Generator
) -> Float64[np.ndarray, "step column"]:
    """A with A A' distributed as Z Z' for Gaussian Z of shape (size, freedom)."""
    if freedom <= size:
        return generator.standard_normal((size, freedom))
    made = np.tril(generator.standard_normal((size, size)), -1)
    made[np.diag_indices(size)] = np.sqrt(generator.chisquare(freedom - np.arange(size)))
    return made


def _shares(factor: Float64[np.ndarray, "time column"]) -> Float64[np.ndarray, " component"]:
    """The share of every component of the points ``factor``, all but the one that is zero."""
    values = np.linalg.svd(factor, compute_uv=False) ** 2
    padded = np.zeros(len(factor) - 1)
    padded[: len(values)] = values[: len(padded)]
    return np.asarray(padded / padded.sum())
