"""A few extreme eigenpairs by thick-restart Lanczos, repeated ones included."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from theodolite.engines.memory import free_bytes
from theodolite.errors import InvalidArgument, NotConverged
from theodolite.linalg import krylov as states
from theodolite.linalg.iteration import Goal, Outcome, Progress, outcome
from theodolite.linalg.operator import Operator
from theodolite.linalg.products import working_dtype
from theodolite.linalg.selection import Which, require_which

ROUNDING = 4.0
"""Residuals are reported no smaller than this many roundings of the largest product, times the
root of the number of products."""

CAREFREE, SHARE = 1 << 30, 0.5
"""A basis of more bytes than this takes at most this share of the memory that is free."""

BASIS, NUMBERS = 200, 1 << 24
"""By default up to so many vectors are held, as long as they are no more than so many numbers."""


@dataclass(frozen=True, eq=False)
class RitzPairs:
    """Approximate eigenpairs in descending order of value; ``vectors`` are orthonormal rows.

    ``residuals`` are norms of ``A v - value v``: an eigenvalue of `A` lies that near.
    ``miss_probability`` bounds the chance that an eigenvalue beyond the wanted ones was
    overlooked; ``asymmetry`` is the largest relative difference seen between <u, A v> and
    <v, A u>. ``basis`` is the number of vectors held. ``rounding`` is how far rounding and
    asymmetry alone may move an eigenvalue; it is in the residuals.
    """

    values: Float64[Tensor, " pair"]
    vectors: Float[Tensor, "pair size"]
    residuals: Float64[Tensor, " pair"]
    products: int
    converged: bool
    miss_probability: float
    asymmetry: float
    basis: int
    rounding: float = 0.0


def ritz_pairs(
    operator: Operator,
    *,
    count: int,
    which: Which = "largest",
    tolerance: float = 1e-4,
    seed: int = 0,
    start: Float[Tensor, "k size"] | None = None,
    basis: int | None = None,
    max_products: int | None = None,
    miss_probability: float = 1e-3,
    progress: Progress = None,
) -> RitzPairs:
    r"""`count` eigenpairs at an end of the spectrum of a symmetric operator.

    .. math:: A v_i = \lambda_i v_i, \qquad \|A v_i - \lambda_i v_i\| \le \tau \max_j |\theta_j|

    Parameters
    ----------
    operator
        A symmetric operator. Products are compared with each other as they come; a relative
        difference between <u, A v> and <v, A u> above 1e-4 (1e-3 in float32) is refused.
    count
        Pairs wanted, between 1 and ``operator.size``.
    which
        ``"largest"``, ``"smallest"``, ``"both"`` (half from each end, one more above) or
        ``"magnitude"``.
    tolerance
        Residual allowed, relative to the largest Ritz value in size. The error of an eigenvalue
        is at most the residual, and about its square over the gap to the next eigenvalue; that
        of a vector is about the residual over the gap. Below 100 roundings it counts as that.
    start
        Rows to begin with, e.g. the vectors at a nearby point: one product each, then
        Rayleigh-Ritz, then the directions in which their residuals are largest.
    basis
        Vectors held, by default ``2 * max(count, k) + 30``, and up to 200 where they are at most
        16 million numbers; fewer, down to ``max(count + k, 2 * k) + 10``, where those would take
        more than half of the memory that is free. Fewer means more products.
    max_products
        By default ``500 + 50 * count``.
    miss_probability
        The search for overlooked eigenvalues goes on until they are less likely than this, or
        for 30 products (the bound reached is in the result). 1 leaves the search out: then copies
        of repeated eigenvalues are not found, and two close ones can pass for one.
    progress
        Called as ``progress(pairs converged, count)``.

    Returns
    -------
    RitzPairs
        In descending order of value whatever `which` is. Residuals come from the recurrence, at
        no extra product, and are never reported below rounding.

    Notes
    -----
    Products: those of unrestarted Lanczos plus the search, which costs 5 to 10 products when
    the wanted values stand out and up to 30 inside a dense bulk, where it may stay without a
    verdict (``miss_probability`` near 1). It is repeated after each find, so a k-fold eigenvalue
    costs about k searches and the products to settle each copy. In 1000 random spectra with
    copies and close pairs nothing was missed; without the search, in one of eight something was.
    Memory: ``basis * size`` numbers.
    Raises `NotConverged` with the pairs reached as ``result``, `NotFinite` naming the product.

    References
    ----------
    Wu, Simon (2000), SIAM J. Matrix Anal. Appl. 22 (thick restart).
    Stewart (2001), SIAM J. Matrix Anal. Appl. 23 (Krylov-Schur).
    Ruhe (1979), Mathematics of Computation 33 (several start vectors).

    Examples
    --------
    >>> a = Operator.from_matrix(torch.diag(torch.tensor([5.0, 5.0, 1.0, -7.0]).double()))
    >>> ritz_pairs(a, count=2).values.round(decimals=6).tolist()
    [5.0, 5.0]
    """
    rows = 1 if start is None else len(start)
    held = _default_basis(operator, count, rows) if basis is None else basis
    products = 500 + 50 * count if max_products is None else max_products
    require_which(which)
    _require_counts(operator.size, count, rows, held, products)
    _require_ranges(operator, tolerance, miss_probability, start)
    krylov = states.empty(operator, min(held, operator.size))
    if start is not None:
        krylov = states.with_rows(krylov, start.detach())
    goal = Goal(count, which, tolerance, seed, products, miss_probability, progress)
    reached = outcome(krylov, goal)
    pairs = _pairs(reached)
    if not reached.converged:
        settled, worst = int(reached.settled.sum()), float(pairs.residuals.max())
        raise NotConverged(
            f"{count} eigenpairs of {operator.label!r} were wanted; {settled} converged in "
            f"{pairs.products} products, and the largest residual is {worst:.3g}.",
            where=f"max_products={products}, tolerance={tolerance:g}, basis={held}",
            why="the eigenvalues wanted lie close together beside the width of the spectrum.",
            fix="raise max_products, basis or tolerance, or ask for fewer; .result has the pairs.",
            code="E-L12",
            result=pairs,
        )
    return pairs


def _pairs(reached: Outcome) -> RitzPairs:
    """The wanted pairs in descending order; residuals no smaller than rounding."""
    krylov, ritz = reached.krylov, reached.ritz
    down = ritz.values[: len(reached.settled)].argsort(kind="stable")[::-1]
    rows = krylov.rows[: krylov.multiplied]
    combination = torch.from_numpy(ritz.vectors[:, down].T.copy()).to(rows)
    rounding = ROUNDING * float(torch.finfo(rows.dtype).eps) * krylov.scale
    floor = rounding * krylov.products**0.5 + krylov.asymmetry
    return RitzPairs(
        values=torch.from_numpy(ritz.values[down].copy()),
        vectors=combination @ rows,
        residuals=torch.from_numpy((ritz.residuals[down] ** 2 + floor**2) ** 0.5),
        products=krylov.products,
        converged=reached.converged,
        miss_probability=reached.miss_probability,
        asymmetry=krylov.asymmetry / krylov.scale if krylov.scale else 0.0,
        basis=len(krylov.rows),
        rounding=floor,
    )


def _default_basis(operator: Operator, count: int, rows: int) -> int:
    size = operator.size
    wanted = max(2 * max(count, rows) + 30, min(size, BASIS, NUMBERS // size))
    row = size * working_dtype(operator).itemsize
    if wanted * row <= CAREFREE:
        return wanted
    fitting = int(SHARE * free_bytes(operator.device)) // row
    return max(_least_basis(size, count, rows), min(wanted, fitting))


def _least_basis(size: int, count: int, rows: int) -> int:
    return min(size, max(count + rows, 2 * rows) + 10)


def _require_counts(size: int, count: int, rows: int, basis: int, products: int) -> None:
    if not 1 <= count <= size:
        raise InvalidArgument(
            f"count must lie between 1 and the operator's size {size}; got {count}.",
            fix=f"pass count={size} or fewer; there are no more eigenvalues than that.",
            code="E-L13",
        )
    least = _least_basis(size, count, rows)
    if basis < least:
        raise InvalidArgument(
            f"basis must be at least {least} for {count} pairs; got {basis}.", code="E-L14"
        )
    if products < max(count, rows):
        raise InvalidArgument(
            f"max_products must be at least {max(count, rows)} here; got {products}.",
            why="every pair needs one product, and so does every start vector.",
            code="E-L15",
        )


def _require_ranges(
    operator: Operator, tolerance: float, miss_probability: float, start: Tensor | None
) -> None:
    if not 0 <= tolerance < 1:
        raise InvalidArgument(
            f"tolerance must be at least 0 and below 1; got {tolerance}.", code="E-L16"
        )
    if not 0 < miss_probability <= 1:
        raise InvalidArgument(
            f"miss_probability must be above 0 and at most 1; got {miss_probability}.",
            code="E-L17",
        )
    if start is None:
        return
    if start.shape[1] != operator.size or not 1 <= len(start) <= operator.size:
        raise InvalidArgument(
            f"start must have shape (k, {operator.size}) with 1 <= k <= {operator.size}; "
            f"got {tuple(start.shape)}.",
            code="E-L18",
        )
    if not bool(start.isfinite().all()):
        raise InvalidArgument("start must be finite; it holds NaN or infinity.", code="E-L19")
