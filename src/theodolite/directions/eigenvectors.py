"""Extreme eigenvectors as axes: where the surface is most curved, up and down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from theodolite.errors import InvalidArgument, InvalidType, NotConverged
from theodolite.linalg import Operator
from theodolite.linalg.precision import without_autocast
from theodolite.linalg.selection import Which
from theodolite.linalg.thick_restart import ritz_pairs


@dataclass(frozen=True, eq=False)
class Eigenvectors:
    """Eigenvectors of length one, each with its eigenvalue, residual and a label for an axis."""

    directions: Float[Tensor, "direction params"]
    eigenvalues: tuple[float, ...]
    residuals: tuple[float, ...]
    labels: tuple[str, ...]


def eigenvector_directions(
    pairs: Any,
    *,
    ranks: Sequence[int] = (1, -1),
    tolerance: float = 1e-4,
    seed: int = 0,
    max_products: int | None = None,
) -> Eigenvectors:
    r"""Eigenvectors as directions, unscaled.

    .. math:: H d_k = \lambda_k d_k, \qquad \lVert d_k\rVert = 1

    so that along axis `k` of a quadratic the loss rises by :math:`\lambda_k \alpha^2/2`. Giving
    them the norms of theta would make them eigenvectors of nothing.

    Parameters
    ----------
    pairs
        A result of ``eigenpairs(operator, vectors=True)``, or an operator, e.g.
        ``hessian(objective)``, whose pairs are then computed.
    ranks
        Which ones: 1 is the largest eigenvalue, 2 the next; -1 the smallest (the most negative,
        if one is), -2 the one above it.
    tolerance, seed, max_products
        For an operator, as for `eigenpairs`.

    Returns
    -------
    Eigenvectors
        ``directions`` of shape ``(direction, params)``, ``eigenvalues``, ``residuals`` and
        ``labels`` such as "eigenvector 1 (eigenvalue 4)". The sign is the one that makes the
        entry largest in size positive.

    Raises
    ------
    InvalidArgument
        For pairs without vectors (E-V10), or ranks that are not among them (E-V11).
    InvalidType
        For anything but a result of `eigenpairs` or an operator (E-V10).
    NotConverged
        With `Eigenvectors` as ``result``.

    Notes
    -----
    From a result nothing is computed. For an operator, about 15 products for one end and more
    for both, as `eigenpairs` says. The error of a direction is about its residual over the gap to
    the next eigenvalue; inside a bulk of close eigenvalues a direction is one of many.

    References
    ----------
    Boettcher, Wheeler (2022), arXiv:2208.13219 (slices along eigenvectors show saddles).

    Examples
    --------
    >>> a = Operator.from_matrix(torch.diag(torch.tensor([1.0, 4.0, -6.0])))
    >>> found = eigenvector_directions(a)
    >>> found.labels
    ('eigenvector 1 (eigenvalue 4)', 'last eigenvector (eigenvalue -6)')
    >>> found.directions.abs().round().tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    _check_ranks(ranks)
    if isinstance(pairs, Operator):
        return _computed(pairs, ranks, tolerance, seed, max_products)
    if not isinstance(pairs, xr.Dataset):
        raise InvalidType(
            f"pairs must be a result of eigenpairs or an Operator; got {type(pairs).__name__}.",
            fix="pass hessian(objective), or eigenpairs(hessian(objective), vectors=True).",
            code="E-V10",
        )
    if "vector" not in pairs:
        raise InvalidArgument(
            "the pairs hold no vectors.",
            fix="compute them with eigenpairs(..., vectors=True).",
            code="E-V10",
        )
    values = [float(v) for v in pairs["eigenvalue"].values]
    for rank in ranks:
        _check_held(rank, values, str(pairs.attrs["which"]), int(pairs.attrs["size"]))
    rows = [r - 1 if r > 0 else len(values) + r for r in ranks]
    vectors = torch.from_numpy(pairs["vector"].values[rows].copy())
    residuals = [float(pairs["residual"].values[row]) for row in rows]
    return _described(vectors, [values[row] for row in rows], residuals, ranks)


def _computed(
    operator: Operator,
    ranks: Sequence[int],
    tolerance: float,
    seed: int,
    max_products: int | None,
) -> Eigenvectors:
    above, below = max(0, *ranks), max(0, *(-r for r in ranks))
    if max(above, below) > operator.size:
        _refuse_rank(max(above, below), operator.size)
    which: Which = "both" if above and below else "largest" if above else "smallest"
    count = max(2 * above - 1, 2 * below) if which == "both" else above + below
    settings: dict[str, Any] = {"count": min(count, operator.size), "which": which, "seed": seed}
    missed: NotConverged | None = None
    try:
        pairs = without_autocast(ritz_pairs)(
            operator, tolerance=tolerance, max_products=max_products, **settings
        )
    except NotConverged as error:
        missed, pairs = error, error.result
    rows = [r - 1 if r > 0 else len(pairs.values) + r for r in ranks]
    found = _described(
        pairs.vectors[rows],
        [float(pairs.values[row]) for row in rows],
        [float(pairs.residuals[row]) for row in rows],
        ranks,
    )
    if missed is not None:
        missed.result = found
        raise missed
    return found


def _described(
    vectors: Tensor, values: Sequence[float], residuals: Sequence[float], ranks: Sequence[int]
) -> Eigenvectors:
    """Signs settled, labels made."""
    largest = vectors.abs().argmax(1, keepdim=True)
    signed = vectors * vectors.gather(1, largest).sign()
    labels = tuple(f"{_name(r)} (eigenvalue {v:.4g})" for r, v in zip(ranks, values, strict=True))
    return Eigenvectors(signed, tuple(values), tuple(residuals), labels)


def _name(rank: int) -> str:
    if rank > 0:
        return f"eigenvector {rank}"
    return "last eigenvector" if rank == -1 else f"eigenvector {-rank} from the last"


def _check_ranks(ranks: Sequence[int]) -> None:
    whole = all(isinstance(r, int) and not isinstance(r, bool) and r for r in ranks)
    if not ranks or not whole or len(set(ranks)) < len(ranks):
        raise InvalidArgument(
            f"ranks must be different whole numbers, not 0; got {tuple(ranks)}.",
            fix="1 is the largest eigenvalue, -1 the smallest: for example ranks=(1, -1).",
            code="E-V11",
        )


def _check_held(rank: int, values: list[float], which: str, size: int) -> None:
    """Raise unless the pair of this rank is among the pairs, and known to be of this rank."""
    if abs(rank) > len(values):
        _refuse_rank(abs(rank), len(values))
    above, value = rank > 0, values[rank - 1 if rank > 0 else rank]
    known = {
        "largest": above,
        "smallest": not above,
        "both": abs(rank) <= (len(values) + above) // 2,
        "magnitude": value > 0 if above else value < 0,
    }
    if not known[which] and len(values) < size:
        raise InvalidArgument(
            f"ranks: {rank} is not among the pairs, which are the {len(values)} of "
            f"which={which!r}.",
            fix='compute them with eigenpairs(..., which="both", vectors=True).',
            code="E-V11",
        )


def _refuse_rank(rank: int, count: int) -> None:
    raise InvalidArgument(
        f"ranks must lie within the {count} eigenvalues there are; got {rank}.",
        fix="ask for more pairs, or for smaller ranks.",
        code="E-V11",
    )
