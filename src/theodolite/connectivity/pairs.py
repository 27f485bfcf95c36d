"""The barriers between every two of several points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr

from theodolite import results, seeds
from theodolite.connectivity.aligning import Ends, aligned_by
from theodolite.connectivity.arguments import count, share
from theodolite.connectivity.ends import End, end_of, how_normalized, passed
from theodolite.connectivity.heights import measured
from theodolite.connectivity.linear import pair_of
from theodolite.connectivity.matching import check_method
from theodolite.connectivity.segments import Along, along, between, distance, one_dtype
from theodolite.connectivity.units import units_of
from theodolite.errors import InvalidArgument, InvalidType
from theodolite.objective import Objective
from theodolite.symmetry import Symmetries

Matrix = tuple[str, str]
BOTH: Matrix = ("first", "second")
"""The dimensions of the matrix."""


def barrier_matrix(
    objective: Objective,
    thetas: Iterable[Any],
    *,
    names: Sequence[str] | None = None,
    align: str | None = None,
    test: Objective | None = None,
    steps: int = 25,
    refine: int = 8,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    r"""The barriers on the straight lines between every two of several points.

    .. math:: B_{ij} = \max_{0 \le \alpha \le 1} L\bigl((1 - \alpha)\theta_i + \alpha\theta_j\bigr)
        - \bigl((1 - \alpha) L(\theta_i) + \alpha L(\theta_j)\bigr)

    Parameters
    ----------
    thetas
        Two or more points, each a flat tensor or a state dict.
    names
        What to call them; by default their numbers.
    align
        A method of `match`, by which the later point of every pair is matched to the earlier.
    test, steps, refine, level, resamples, seed
        As for `barrier`.

    Returns
    -------
    xarray.Dataset
        The measures of `barrier` with their intervals, symmetric with dimensions
        ``(first, second)`` and zero on the diagonal; ``loss(first, second, alpha)`` (and
        ``test_loss``) at the places of the grid, from first to second; ``distance``;
        ``status(first, second)`` (1 ok, 2 diverged: a loss on the way is not finite); with
        `align` also ``distance_before``.

    Raises
    ------
    InvalidArgument
        For fewer than two points or names that are not theirs (E-A05), else as `barrier`.
    InvalidType
        For a single point instead of several (E-A05).

    Notes
    -----
    Costs a pass (F) for every point and, for every pair, ``steps - 2`` and up to twice `refine`
    more, for each objective. Holds all points, and a number for every example and place of one
    pair. A point's loss is evaluated once, so all rows agree on it: permuting units leaves it as it
    is. BatchNorm as for `barrier`; with `align` the costs of `match` for every pair.

    References
    ----------
    Entezari, Sedghi, Saukh, Neyshabur (2022), arXiv:2110.06296.

    Examples
    --------
    >>> one = torch.ones(2, 1)
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> bowl = Objective(model, torch.nn.MSELoss(), (one, 0 * one))  # w^2: no barriers
    >>> points = [torch.tensor([w]) for w in (-1.0, 0.0, 2.0)]
    >>> barrier_matrix(bowl, points).barrier.values.tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    count(steps, "steps", least=3)
    count(refine, "refine", least=0)
    count(resamples, "resamples", least=1)
    share(level, "level")
    objectives = pair_of(objective, test)
    if align is not None:
        check_method(align, "align")
    ends = points_of(objective, thetas)
    units = None if align is None else units_of(objective)
    labels = labels_of(names, len(ends))
    alone = [
        {p: passed(o, end.theta, end.statistics) for p, o in objectives.items()} for end in ends
    ]
    held: dict[str, results.Variable] = {}
    shape, spent = (len(ends), len(ends)), len(ends)
    for i, j in combinations(range(len(ends)), 2):
        known = {0.0: alone[i], 1.0: alone[j]}
        own = seeds.child_seed(seed, "pair", i, j)
        pair, before = _pair(objective, units, one_dtype(ends[i], ends[j]), align, own)
        path = along(objectives, between(*pair), steps=steps, refine=refine, known=known)
        spent += len(path.alphas) - 2
        one = measured(path, level=level, resamples=resamples, seed=own)
        one["distance"] = ((), distance(*(e.theta for e in pair)), {"long_name": "distance"})
        if units is not None:
            one["distance_before"] = ((), before, {"long_name": "distance before alignment"})
        _put(held, one, i, j, shape)
        _put_curves(held, path, i, j, (*shape, steps))
    held |= _statuses(held, shape)
    return results.dataset(
        "barrier_matrix",
        held,
        {"first": labels, "second": labels, "alpha": np.linspace(0.0, 1.0, steps)},
        **objective.facts(),
        statistics=_statistics(objective, ends),
        **({} if align is None else {"align": align}),
        steps=steps,
        refine=refine,
        level=float(level),
        resamples=resamples,
        seed=seed,
        passes=spent * len(objectives),
        **({} if test is None else {"test_fingerprint": test.fingerprint}),
    )


def _pair(
    objective: Objective, units: Symmetries | None, ends: Ends, align: str | None, seed: int
) -> tuple[Ends, float]:
    """Two ends, the second brought into the order of the first, and their distance before."""
    before = distance(*(end.theta for end in ends))
    if units is None:
        return ends, before
    return aligned_by(objective, units, ends, align, seed=seed).ends, before


def points_of(objective: Objective, thetas: Iterable[Any]) -> list[End]:
    """Two or more points; raises for fewer, and for a single one that is no list."""
    single = hasattr(thetas, "keys") or isinstance(thetas, str) or not hasattr(thetas, "__iter__")
    if single or getattr(thetas, "ndim", 2) < 2:
        raise InvalidType(
            f"thetas must be a list of points; got a single {type(thetas).__name__}.",
            fix="pass two or more: thetas=[first, second].",
            code="E-A05",
        )
    ends = [end_of(objective, one, f"thetas[{k}]") for k, one in enumerate(thetas)]
    if len(ends) < 2:
        raise InvalidArgument(
            f"thetas must be two or more points; got {len(ends)}.",
            why="a barrier lies between two of them.",
            code="E-A05",
        )
    return ends


def labels_of(names: Sequence[str] | None, points: int) -> list[str]:
    """The names of points, by default their numbers."""
    labels = [str(k) for k in range(points)] if names is None else [str(n) for n in names]
    if len(labels) != points or len(set(labels)) < points:
        raise InvalidArgument(
            f"names must be {points} different names, one a point; got {labels}.", code="E-A05"
        )
    return labels


def _statistics(objective: Objective, ends: list[End]) -> str:
    """How the statistics were made, of all pairs; "interpolated" if any pair's were."""
    kinds = {how_normalized(objective, a, b) for a, b in combinations(ends, 2)}
    return "interpolated" if "interpolated" in kinds else kinds.pop()


def _put(
    held: dict[str, results.Variable],
    one: dict[str, results.Variable],
    i: int,
    j: int,
    shape: tuple[int, int],
) -> None:
    """The numbers of a pair into both halves of their matrices."""
    for name, (_, value, notes) in one.items():
        if name not in held:
            held[name] = (BOTH, np.zeros(shape), notes)
        matrix = held[name][1]
        matrix[i, j] = matrix[j, i] = float(value)


def _put_curves(
    held: dict[str, results.Variable], path: Along, i: int, j: int, shape: tuple[int, int, int]
) -> None:
    """The losses at the places of the grid, there and back; along the diagonal the point's own."""
    grid = ~np.array(path.refined)
    for prefix in path.passes:
        name, losses = f"{prefix}loss", path.losses(prefix)[grid]
        losses = np.where(np.isfinite(losses), losses, np.nan)
        if name not in held:
            words = "test loss" if prefix else "loss"
            held[name] = ((*BOTH, "alpha"), np.full(shape, np.nan), {"long_name": words})
        curves = held[name][1]
        curves[i, j], curves[j, i] = losses, losses[::-1]
        curves[i, i], curves[j, j] = losses[0], losses[-1]


def _statuses(
    held: dict[str, results.Variable], shape: tuple[int, int]
) -> dict[str, results.Variable]:
    fine = np.ones(shape, dtype=bool)
    for name, (_, values, _) in held.items():
        if name in ("barrier", "test_barrier"):
            fine &= np.isfinite(values)
    return {"status": results.status_variable(BOTH, np.where(fine, results.OK, results.DIVERGED))}
