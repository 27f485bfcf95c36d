"""Match the units of two networks, by their weights, their activations or the loss between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from theodolite.connectivity.activations import activation_problem
from theodolite.connectivity.arguments import count
from theodolite.connectivity.ends import End, end_of, passed, recomputed, statistics_between
from theodolite.connectivity.segments import distance, one_dtype
from theodolite.connectivity.straight_through import Learning, straight_through
from theodolite.connectivity.units import moved_end, units_of
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.symmetry import Matching, Symmetries
from theodolite.symmetry.assignment import Solved, ascent, solved
from theodolite.symmetry.effects import without_effect
from theodolite.symmetry.matching import weight_problem

METHODS = ("weights", "activations", "straight-through")
"""What is made alike: weights, activations, or the loss at the midpoint low."""


def match(
    objective: Objective,
    a: Any,
    b: Any,
    *,
    symmetries: Any = None,
    method: str = "weights",
    starts: int = 2,
    sweeps: int = 50,
    steps: int = 100,
    learning_rate: float = 0.5,
    seed: int = 0,
) -> Matching:
    r"""Permutations of the units of `b` that put them beside those of `a` they are like.

    .. math:: \max_\pi \langle \theta_a, \pi\theta_b \rangle, \qquad
        \max_\pi \sum_{s,\,i} \operatorname{corr}\bigl(z^a_{s,i},\, z^b_{s,\pi(i)}\bigr),
        \qquad \min_\pi L\bigl(\tfrac12(\theta_a + \pi\theta_b)\bigr)

    Parameters
    ----------
    a, b
        Flat tensors of shape ``(params,)`` or state dicts, as for `barrier`.
    symmetries
        Of the objective's model; found by `symmetries` on its first examples if not given.
    method
        ``"weights"``: inner product of the parameters. ``"activations"``: the sum of the
        correlations of matched units over all examples and places, at every operation whose
        result has an index that is exactly a group's units (before and after a nonlinearity, for
        one). ``"straight-through"``: a low loss half-way, looked for by training a free copy of
        `a` along the gradient of that loss, with a weight matching of the copy after each step.
    starts, sweeps
        Of the search by assignments, one group at a time, for the first two: an anchored start
        and random ones, the best of which is kept. The third begins at the best of the first.
    steps, learning_rate
        Of ``"straight-through"``: SGD with momentum 0.9, a batch of the objective a step.

    Returns
    -------
    Matching
        ``permutations``; ``point``, `b` permuted (buffers too, if it is a state dict);
        ``distance_before`` and ``distance``; ``score_before`` and ``score``, what the method
        maximizes (above; minus the loss); ``midpoint_before`` and ``midpoint``, the losses
        half-way; ``start``, ``sweeps``, ``unseen`` (groups without activations, matched by
        weights).

    Raises
    ------
    InvalidArgument
        For another method or a number out of range (E-A58, E-A01), symmetries of another model
        (E-A55) or a loss that does not call the model (E-A56).
    UnsupportedModel
        For activations of an objective shared by processes (E-A57), or that come from other
        operations on other batches (E-A54); for models without symmetries to prove see
        `symmetries`.

    Notes
    -----
    No method accepts a change that does not improve its own score, and the identity is a
    candidate of each: ``score >= score_before``. That is no promise for the loss between, except
    for the third, whose score it is. Costs four passes (F) for the midpoints; assignments of n^3
    for a group of n; two passes and n^2 a place for activations, whose values on one batch are
    held; about 3 F a batch, a weight matching and, for each new permutation, one F for every step
    of the third. BatchNorm: running statistics take no part in weights, and losses half-way are
    those of recomputed statistics. Parameters without effect on the function are left out too. All
    are local optima of problems that are NP-hard. Deterministic by seed.

    References
    ----------
    Ainsworth, Hayase, Srinivasa (2023), arXiv:2209.04836. Li, Yosinski, Clune, Lipson, Hopcroft
    (2016), arXiv:1511.07543 (correlations). Entezari, Sedghi, Saukh, Neyshabur (2022),
    arXiv:2110.06296.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))
    >>> objective = Objective(net, torch.nn.MSELoss(), (torch.randn(9, 2), torch.zeros(9, 1)))
    >>> order = torch.tensor([3, 1, 4, 0, 2])
    >>> with torch.no_grad():
    ...     other = [net[0].weight[order], net[0].bias[order], net[2].weight[:, order], net[2].bias]
    >>> other = dict(zip(net.state_dict(), other))
    >>> match(objective, net.state_dict(), other).distance
    0.0
    """
    _check(method, starts, sweeps, steps, learning_rate)
    found = units_of(objective, symmetries)
    ends = one_dtype(end_of(objective, a, "a"), end_of(objective, b, "b"))
    search = Search(starts, sweeps, seed)
    learning = Learning(steps, float(learning_rate), sweeps=sweeps, seed=seed)
    made, unseen = matched(objective, found, ends, method, search, learning)
    middle = partial(midpoint_loss, recomputed(objective), ends[0])
    moved = moved_end(found, ends[1], made.permutations)
    return Matching(
        made.permutations,
        distance(ends[0].theta, ends[1].theta),
        distance(ends[0].theta, moved.theta),
        made.sweeps,
        made.start,
        method=method,
        point=found.apply(b, made.permutations),
        score_before=made.value_before,
        score=made.value,
        midpoint_before=middle(ends[1]),
        midpoint=middle(moved),
        unseen=unseen,
        symmetries=found,
    )


@dataclass(frozen=True)
class Search:
    """How assignments are searched: starts, sweeps over the groups, and the seed of the starts."""

    starts: int = 2
    sweeps: int = 50
    seed: int = 0


def matched(
    objective: Objective,
    found: Symmetries,
    ends: tuple[End, End],
    method: str,
    search: Search,
    learning: Learning,
) -> tuple[Solved, tuple[str, ...]]:
    """The permutations of one method, and the groups it could not see."""
    a, b = ends
    dead = without_effect(found)
    weights = weight_problem(found, a.theta, b.theta, dead)
    identity = found.identity()

    def search_in(problem: Any) -> Solved:
        return solved(
            problem,
            identity,
            starts=search.starts,
            sweeps=search.sweeps,
            random=lambda number: found.random(search.seed + number),
        )

    if method == "activations":
        problem = activation_problem(objective, found, a, b)
        seen = {g.name for g in problem.groups}
        best = search_in(problem)
        unseen = tuple(g.name for g in found.groups if g.name not in seen)
        chosen = {n: p if n in seen else identity[n] for n, p in best.permutations.items()}
        if unseen:
            chosen, _ = ascent(weights, chosen, search.sweeps, only=set(unseen))
        return Solved(chosen, best.value, best.value_before, best.sweeps, best.start), unseen
    best = search_in(weights)
    if method == "weights":
        return best, ()
    return _lowest(objective, found, ends, best, dead, learning), ()


def _lowest(
    objective: Objective,
    found: Symmetries,
    ends: tuple[End, End],
    first: Solved,
    dead: Mapping[str, Tensor],
    how: Learning,
) -> Solved:
    """The permutations of the lowest loss half-way, of all that the training came through."""
    measured = recomputed(objective)
    tried = straight_through(objective, found, ends, first.permutations, dead, how)
    candidates = [found.identity(), *tried]
    losses = [midpoint_loss(measured, ends[0], moved_end(found, ends[1], p)) for p in candidates]
    k = int(np.argmin(np.nan_to_num(np.array(losses), nan=np.inf)))
    start = "identity" if k == 0 else first.start if k == 1 else "learned"
    return Solved(candidates[k], -losses[k], -losses[0], first.sweeps, start)


def midpoint_loss(objective: Objective, a: End, b: End) -> float:
    """The loss half-way between two ends; one pass."""
    middle = torch.lerp(a.theta, b.theta, 0.5)
    return passed(objective, middle, statistics_for(objective, a, b)).loss()


def statistics_for(objective: Objective, a: End, b: End) -> dict[str, Tensor]:
    """The mean of both ends' running statistics, where the objective uses any."""
    return {} if objective.batch_norm == "recompute" else statistics_between(a, b, 0.5)


def check_method(method: Any, name: str = "method") -> str:
    """One of `METHODS`."""
    if not isinstance(method, str) or method not in METHODS:
        raise InvalidArgument(
            f"{name} must be one of {', '.join(map(repr, METHODS))}; got {method!r}.", code="E-A58"
        )
    return method


def _check(method: Any, starts: Any, sweeps: Any, steps: Any, learning_rate: Any) -> None:
    check_method(method)
    for name, value in (("starts", starts), ("sweeps", sweeps), ("steps", steps)):
        count(value, name, least=1)
    number = isinstance(learning_rate, int | float) and not isinstance(learning_rate, bool)
    if not number or not 0 < learning_rate < np.inf:
        raise InvalidArgument(
            f"learning_rate must be positive; got {learning_rate!r}.", code="E-A58"
        )
