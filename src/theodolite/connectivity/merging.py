"""Several networks in one order of units, and their mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from theodolite import seeds
from theodolite.connectivity.arguments import count
from theodolite.connectivity.ends import End, end_of
from theodolite.connectivity.units import units_of
from theodolite.directions.checkpoints import bare
from theodolite.errors import InvalidArgument, InvalidType
from theodolite.objective import Objective
from theodolite.symmetry import Symmetries
from theodolite.symmetry.assignment import GAIN, Problem, ascent, solved
from theodolite.symmetry.effects import without_effect
from theodolite.symmetry.matching import weight_problem

Permutations = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Merge:
    """Points in one order of units, their mean, and how far apart they are.

    ``points`` are what was given, each permuted by its entry of ``permutations``; the first stays
    in place. ``mean`` is a state dict if all points are, else a vector; ``distances_before`` and
    ``distances`` are those between every two points. ``cycles`` counts rounds over all points.
    """

    points: tuple[Any, ...] = field(repr=False)
    mean: Any = field(repr=False)
    permutations: tuple[Permutations, ...] = field(repr=False)
    distances_before: Float64[np.ndarray, "first second"]
    distances: Float64[np.ndarray, "first second"]
    cycles: int


def merge(
    objective: Objective,
    thetas: Iterable[Any],
    *,
    symmetries: Any = None,
    starts: int = 2,
    sweeps: int = 50,
    cycles: int = 50,
    seed: int = 0,
) -> Merge:
    r"""Several points with their units in one order, and the mean of them.

    .. math:: \min_{\pi_1 \dots \pi_n} \sum_{i < j} \|\pi_i\theta_i - \pi_j\theta_j\|^2,
        \qquad \pi_i \leftarrow \arg\max_\pi \Bigl\langle \tfrac1{n - 1}
        \sum_{j \ne i} \pi_j\theta_j,\; \pi\theta_i \Bigr\rangle

    In a random order each point is matched to the mean of the others, until none changes; then
    all are turned back together so that the first has its own order.

    Parameters
    ----------
    thetas
        Two or more points: flat tensors of shape ``(params,)`` or state dicts.
    symmetries
        Of the objective's model; found by `symmetries` on its first examples if not given.
    starts, sweeps
        Of each point's first matching, as for `match`; later ones begin at what is there.
    cycles
        Rounds over all points, at most; more than a few are rare.

    Returns
    -------
    Merge
        ``points``, ``mean``, ``permutations``, ``distances_before``, ``distances``, ``cycles``.
        The mean of state dicts is one, with the means of their running statistics, and the
        counters of the first.

    Raises
    ------
    InvalidType, InvalidArgument
        For a single point (E-A60), fewer than two (E-A60), counts out of range (E-A01), or
        symmetries of another model (E-A55).

    Notes
    -----
    Costs one matching of weights a point and round, no pass over the data; holds all points in
    float64. No step makes the sum of squared distances larger, so it ends. It is a local optimum.
    The loss of the mean is not looked at: statistics of BatchNorm are to be recomputed for it, and
    `barrier` tells whether the points belong together.

    References
    ----------
    Ainsworth, Hayase, Srinivasa (2023), arXiv:2209.04836, algorithm 3 (MergeMany).

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))
    >>> objective = Objective(net, torch.nn.MSELoss(), (torch.randn(9, 2), torch.zeros(9, 1)))
    >>> found = td.symmetries(net, torch.randn(1, 2))
    >>> copies = [found.apply(objective.start, found.random(k)) for k in range(3)]
    >>> merged = merge(objective, [objective.start, *copies])
    >>> float(merged.distances.max()), bool(torch.equal(merged.mean, objective.start))
    (0.0, True)
    """
    for name, value in (("starts", starts), ("sweeps", sweeps), ("cycles", cycles)):
        count(value, name, least=1)
    given = _listed(thetas)
    ends = [end_of(objective, one, f"thetas[{k}]") for k, one in enumerate(given)]
    found = units_of(objective, symmetries)
    vectors = [end.theta.double().cpu() for end in ends]
    made, used = _cycled(found, vectors, starts, sweeps, cycles, seed)
    back = found.inverse(made[0])
    chosen = tuple(_after(found, permutations, back) for permutations in made)
    moved = [found.apply(v, p) for v, p in zip(vectors, chosen, strict=True)]
    points = tuple(found.apply(one, p) for one, p in zip(given, chosen, strict=True))
    return Merge(
        points, _mean(points, ends, moved), chosen, _distances(vectors), _distances(moved), used
    )


def _listed(thetas: Any) -> list[Any]:
    single = isinstance(thetas, Mapping | str) or not isinstance(thetas, Iterable)
    if single or getattr(thetas, "ndim", 2) < 2:
        raise InvalidType(
            f"thetas must be a list of points; got a single {type(thetas).__name__}.",
            where="merge",
            fix="pass two or more: thetas=[first, second].",
            code="E-A60",
        )
    given = list(thetas)
    if len(given) < 2:
        raise InvalidArgument(
            f"thetas must be two or more points; got {len(given)}.", where="merge", code="E-A60"
        )
    return given


def _cycled(
    found: Symmetries, vectors: list[Tensor], starts: int, sweeps: int, cycles: int, seed: int
) -> tuple[list[Permutations], int]:
    """Permutations of all points, and the rounds it took until none changed."""
    dead, identity = without_effect(found), found.identity()
    made = [dict(identity) for _ in vectors]
    moved = list(vectors)
    order = seeds.numpy_generator(seed, "merge order")

    def others(k: int) -> Tensor:
        return (torch.stack(moved).sum(0) - moved[k]) / (len(moved) - 1)

    for cycle in range(cycles):
        changed = False
        for k in map(int, order.permutation(len(vectors))):
            problem = weight_problem(found, others(k), vectors[k], dead)
            tried = _better(found, problem, made[k], starts if cycle == 0 else 0, sweeps, seed)
            before, after = problem.value(made[k]), problem.value(tried)
            if after > before + GAIN * max(1.0, abs(before)):
                made[k], changed = tried, True
                moved[k] = found.apply(vectors[k], tried)
        if not changed:
            return made, cycle + 1
    return made, cycles


def _better(
    found: Symmetries, problem: Problem, now: Permutations, starts: int, sweeps: int, seed: int
) -> Permutations:
    """The best of an ascent from the present permutations and of new starts."""
    ended, _ = ascent(problem, now, sweeps)
    if not starts:
        return ended
    anew = solved(
        problem,
        found.identity(),
        starts=starts,
        sweeps=sweeps,
        random=lambda number: found.random(seed + number),
    )
    return anew.permutations if anew.value > problem.value(ended) else ended


def _after(found: Symmetries, first: Permutations, second: Permutations) -> Permutations:
    """The permutations that do what `first` and then `second` do."""
    made: Permutations = {}
    for group in found.groups:  # a group comes after those it is within
        p, q = first[group.name], second[group.name]
        above = [torch.arange(n) for n in q.shape[:-1]]
        rows = torch.meshgrid(*above, indexing="ij") if above else ()
        at = [_outer(found, second, group.within, k, rows) for k in range(len(group.within))]
        inner = p[tuple(at)] if at else p
        made[group.name] = inner.gather(-1, q)
    return made


def _outer(
    found: Symmetries,
    permutations: Permutations,
    within: tuple[str, ...],
    place: int,
    rows: tuple[Tensor, ...],
) -> Tensor:
    """Where the outer units of every row come from."""
    name = within[place]
    above = tuple(rows[within.index(h)] for h in found.group(name).within)
    return permutations[name][(*above, rows[place])]


def _mean(points: tuple[Any, ...], ends: list[End], moved: list[Tensor]) -> Any:
    """The mean of state dicts, buffers and all, or of vectors."""
    if not all(isinstance(one, Mapping) for one in points):
        return torch.stack(moved).mean(0).to(ends[0].theta)
    states = [bare(one) for one in points]
    mean: dict[str, Any] = {}
    for name, first in states[0].items():
        real = isinstance(first, Tensor) and first.is_floating_point()
        if real and all(isinstance(s.get(name), Tensor) for s in states):
            wide = torch.stack([s[name].double() for s in states])
            mean[name] = wide.mean(0).to(first)
        else:
            mean[name] = first.clone() if isinstance(first, Tensor) else first
    return mean


def _distances(vectors: list[Tensor]) -> Float64[np.ndarray, "first second"]:
    whole = torch.stack(vectors)
    return np.array([[float((a - b).norm()) for b in whole] for a in whole])
