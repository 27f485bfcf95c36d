"""Match the units of two networks: the permutation of one that brings it closest to the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.symmetry.applying import bare_names
from theodolite.symmetry.assignment import Problem, solved
from theodolite.symmetry.effects import without_effect
from theodolite.symmetry.symmetry import Symmetries


@dataclass(frozen=True, eq=False)
class Matching:
    """Permutations of one point towards another, that point permuted, and what was gained.

    ``distance_before`` and ``distance`` are those of the parameters; ``score_before`` and
    ``score`` what the method maximizes: the inner product of the weights, the sum of the
    correlations, or minus the loss at the midpoint. ``midpoint_before`` and ``midpoint`` are
    losses half-way between the points (NaN where no objective was given). ``start`` is the start
    that ended best (``"identity"``: nothing better was found), after so many ``sweeps``. ``point``
    is what was given as the second point, a vector or a state dict, permuted. ``unseen`` names the
    groups that the method itself could not see; they are matched by weights.
    """

    permutations: dict[str, Tensor]
    distance_before: float
    distance: float
    sweeps: int
    start: str
    method: str = "weights"
    point: Any = field(default=None, repr=False)
    score_before: float = math.nan
    score: float = math.nan
    midpoint_before: float = math.nan
    midpoint: float = math.nan
    unseen: tuple[str, ...] = ()
    symmetries: Symmetries | None = field(default=None, repr=False)


def weight_matching(
    symmetries: Symmetries,
    a: Any,
    b: Any,
    *,
    starts: int = 2,
    sweeps: int = 50,
    seed: int = 0,
) -> Matching:
    r"""The permutations of `b` that bring its parameters close to those of `a`.

    .. math:: \min_\pi \| a - \pi b \|^2 \;\Leftrightarrow\; \max_\pi \langle a, \pi b \rangle

    One group at a time, by a linear assignment given the others, until none improves. Heads and
    groups of channels are matched with their inner units: an assignment inside each pair gives
    the score of the pair. A change is taken only if the inner product rises, so each sweep is at
    least as good as the last. `a` and `b` are vectors or state dicts; buffers take no part. The
    first start matches, in turn, the group with most weights towards what is matched already;
    the others are random (`starts` counts both), and the nearest end is kept, or the identity.
    Parameters that the function does not depend on (a bias of keys) take no part either.

    The general problem is NP-hard: the answer is a local optimum, not a bound. Costs, in every
    sweep, one assignment of n^3 for a group of n and one for each pair of heads. Apply with
    ``symmetries.apply(b, matching.permutations)``, on a state dict, so that running statistics
    move too.

    Raises `InvalidArgument` for points that do not fit the model, or no start or sweep.

    Source: Ainsworth, Hayase, Srinivasa (2023), arXiv:2209.04836, algorithm 1.

    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> found = td.symmetries(net, torch.randn(2, 4))
    >>> other = found.apply(net.state_dict(), found.random(seed=3))
    >>> weight_matching(found, net.state_dict(), other).distance
    0.0
    """
    check_counts(starts, sweeps)
    problem = weight_problem(symmetries, a, b)
    identity = symmetries.identity()
    best = solved(
        problem,
        identity,
        starts=starts,
        sweeps=sweeps,
        random=lambda number: symmetries.random(seed + number),
    )
    apart = Problem(symmetries.groups, symmetries.layouts, *tensors_of_both(symmetries, a, b))
    return Matching(
        best.permutations,
        apart.distance(identity),
        apart.distance(best.permutations),
        best.sweeps,
        best.start,
        point=symmetries.apply(b, best.permutations),
        score_before=best.value_before,
        score=best.value,
        symmetries=symmetries,
    )


def check_counts(starts: int, sweeps: int) -> None:
    """Raise unless there is a start and a sweep."""
    if starts < 1 or sweeps < 1:
        raise InvalidArgument(
            f"starts and sweeps must be at least 1; got {starts} and {sweeps}.",
            where="weight_matching",
            code="E-A52",
        )


def weight_problem(
    symmetries: Symmetries,
    a: Any,
    b: Any,
    dead: Mapping[str, Tensor] | None = None,
) -> Problem:
    """The weights of two points as a problem; entries without effect (`dead`) are left out."""
    dead = without_effect(symmetries) if dead is None else dead
    mine, other = tensors_of_both(symmetries, a, b)
    for held in (mine, other):
        for name in dead.keys() & held.keys():
            held[name] = held[name].clone()
            held[name].reshape(-1)[dead[name]] = 0.0
    return Problem(symmetries.groups, symmetries.layouts, mine, other)


def tensors_of_both(
    symmetries: Symmetries, a: Any, b: Any
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters that both points hold, by name."""
    mine, other = (_tensors(symmetries, point) for point in (a, b))
    both = [n for n in mine if n in other]
    return {n: mine[n] for n in both}, {n: other[n] for n in both}


def _tensors(symmetries: Symmetries, point: Any) -> dict[str, Tensor]:
    """Parameters by name in float64, checked against the model by permuting nothing."""
    if isinstance(point, Tensor) and symmetries.space is not None:
        symmetries.apply(point, {})
        named: Mapping[str, Tensor] = symmetries.space.views(point)
    else:
        named = bare_names(symmetries, symmetries.apply(point, {}))
    wanted = [name for name in symmetries.parameters if name in named]
    return {name: named[name].detach().double().cpu() for name in wanted}
