"""Match the units of two networks: the permutation of one that brings it closest to the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.symmetry.actions import Box, boxes, permuted, positions, sources
from theodolite.symmetry.groups import Group
from theodolite.symmetry.symmetry import Symmetries

GAIN = 1e-12
"""Relative gains below this are rounding and are not taken."""


@dataclass(frozen=True, eq=False)
class Matching:
    """Permutations that bring one point near another, and the distances before and after."""

    permutations: dict[str, Tensor]
    distance_before: float
    distance: float
    sweeps: int
    start: str


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
    the others are random (`starts` counts both), and the nearest end is kept.

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
    if starts < 1 or sweeps < 1:
        raise InvalidArgument(
            f"starts and sweeps must be at least 1; got {starts} and {sweeps}.",
            where="weight_matching",
            code="E-A52",
        )
    problem = _Problem(symmetries, _tensors(symmetries, a), _tensors(symmetries, b))
    best: tuple[float, dict[str, Tensor], int, str] | None = None
    for number in range(starts):
        first = _anchored(problem) if number == 0 else symmetries.random(seed + number)
        ended, used = _ascent(problem, first, sweeps)
        value = problem.value(ended)
        if best is None or value > best[0] + GAIN * abs(value):
            best = (value, ended, used, "random" if number else "anchored")
    assert best is not None
    identity = symmetries.identity()
    if problem.value(identity) >= best[0]:
        best = (problem.value(identity), identity, 0, "identity")
    return Matching(
        best[1], problem.distance(identity), problem.distance(best[1]), best[2], best[3]
    )


def _tensors(symmetries: Symmetries, point: Any) -> dict[str, Tensor]:
    """Parameters by name in float64, checked against the model by permuting nothing."""
    if isinstance(point, Tensor) and symmetries.space is not None:
        symmetries.apply(point, {})
        named: Mapping[str, Tensor] = symmetries.space.views(point)
    else:
        named = symmetries.apply(point, {})
    wanted = [name for name in symmetries.parameters if name in named]
    return {name: named[name].detach().double().cpu() for name in wanted}


@dataclass(frozen=True, eq=False)
class _Problem:
    """Two points and the symmetries that act on the second."""

    symmetries: Symmetries
    a: dict[str, Tensor]
    b: dict[str, Tensor]

    @property
    def within(self) -> dict[str, tuple[str, ...]]:
        return {g.name: g.within for g in self.symmetries.groups}

    def value(self, permutations: Mapping[str, Tensor], group: Group | None = None) -> float:
        """The inner product, over all tensors or over those that have a group."""
        members = {n for n, _ in group.members} if group else set(self.a)
        layouts = self.symmetries.layouts
        return sum(
            float((self.a[n] * permuted(self.b[n], layouts[n], permutations, self.within)).sum())
            for n in sorted(members & self.a.keys())
        )

    def distance(self, permutations: Mapping[str, Tensor]) -> float:
        """The Euclidean distance between `a` and the permuted `b`."""
        layouts = self.symmetries.layouts
        moved = {n: permuted(t, layouts[n], permutations, self.within) for n, t in self.b.items()}
        return float(sum((self.a[n] - moved[n]).square().sum() for n in self.a) ** 0.5)

    def places(self, group: str) -> Iterator[tuple[str, Box, int]]:
        """Every tensor, box and place in it where a group occurs."""
        for name in dict.fromkeys(n for n, _ in self.symmetries.group(group).members):
            for box in boxes(self.symmetries.layouts[name]) if name in self.a else ():
                for place, coordinate in enumerate(box.coordinates):
                    if coordinate.group == group:
                        yield name, box, place


def _pairs(
    problem: _Problem, tensor: str, box: Box, first: list[int], permutations: Mapping[str, Tensor]
) -> tuple[Float64[Tensor, ...], Float64[Tensor, ...]]:
    """Entries of a box of both points, with the places `first` in front and the rest flat.

    The second is permuted at all other places, and left as it is at these.
    """
    shape = [c.size for c in box.coordinates]
    free = {box.coordinates[p].group for p in first}
    kept = {n: p for n, p in permutations.items() if n not in free}
    doubled = [p for p, c in enumerate(box.coordinates) if c.group in free and p not in first]
    at = sources(box, kept, problem.within)
    for place in doubled:  # a second time in one tensor: the present permutation holds there
        c = box.coordinates[place]
        if not problem.within[c.group]:
            index = permutations[c.group] - torch.arange(c.size)
            at = at + c.stride * index.reshape([-1 if p == place else 1 for p in range(len(shape))])
    order = [*first, *(p for p in range(len(shape)) if p not in first)]
    mine = problem.a[tensor].reshape(-1)[positions(box)].permute(order)
    other = problem.b[tensor].reshape(-1)[at].permute(order)
    front = [shape[p] for p in first]
    return mine.reshape(*front, -1), other.reshape(*front, -1)


def _scores(
    problem: _Problem, group: Group, permutations: Mapping[str, Tensor], known: set[str] | None
) -> tuple[Float64[Tensor, ...], float]:
    """Inner products of unit i of `a` and unit j of `b`, and the squares they rest on.

    With `known`, only from entries whose other units are matched already.
    """
    outer = [problem.symmetries.group(name).size for name in group.within]
    scores = torch.zeros(*outer, group.size, group.size, dtype=torch.float64)
    evidence = 0.0
    for tensor, box, place in problem.places(group.name):
        others = {c.group for p, c in enumerate(box.coordinates) if p != place} - {""}
        if known is not None and not others <= known:
            continue
        above = [
            next(p for p, c in enumerate(box.coordinates) if c.group == name)
            for name in group.within
        ]
        mine, other = _pairs_inside(problem, tensor, box, [*above, place], permutations)
        scores += mine @ other.transpose(-1, -2)
        evidence += float(mine.square().sum())
    return scores, evidence


def _pairs_inside(
    problem: _Problem, tensor: str, box: Box, first: list[int], permutations: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """As `_pairs`, with the outer groups of the last place as they are permuted now."""
    shape = [c.size for c in box.coordinates]
    mine, other = _pairs(problem, tensor, box, first[-1:], permutations)
    rest = [p for p in range(len(shape)) if p != first[-1]]
    split = [mine.reshape(shape[first[-1]], *(shape[p] for p in rest)) for mine in (mine, other)]
    order = [1 + rest.index(p) for p in first[:-1]]
    order = [*order, 0, *(d for d in range(1, len(shape)) if d not in order)]
    front = [shape[p] for p in first]
    moved = [part.permute(order).reshape(*front, -1) for part in split]
    return moved[0], moved[1]


def _assigned(scores: Float64[Tensor, ...]) -> Tensor:
    """The best assignment of every matrix in a batch."""
    flat = scores.reshape(-1, *scores.shape[-2:])
    chosen = [torch.as_tensor(linear_sum_assignment(s.numpy(), maximize=True)[1]) for s in flat]
    return torch.stack(chosen).reshape(scores.shape[:-1])


def _update(
    problem: _Problem,
    group: Group,
    permutations: Mapping[str, Tensor],
    known: set[str] | None = None,
) -> dict[str, Tensor]:
    """The permutations with one group, and the units inside it, matched anew."""
    scores, _ = _scores(problem, group, permutations, known)
    inside = [g for g in problem.symmetries.groups if g.within == (group.name,)]
    if group.within or not inside:
        return {**permutations, group.name: _assigned(scores)}
    made, scores = dict(permutations), torch.zeros_like(scores)
    apart: dict[str, Tensor] = {}
    counted: set[tuple[str, int]] = set()
    for inner in inside:
        crossed = torch.zeros(group.size, group.size, inner.size, inner.size, dtype=torch.float64)
        for tensor, box, place in problem.places(inner.name):
            others = {c.group for c in box.coordinates} - {"", group.name, inner.name}
            if (known is not None and not others <= known) or (tensor, box.offset) in counted:
                continue
            counted.add((tensor, box.offset))
            above = next(p for p, c in enumerate(box.coordinates) if c.group == group.name)
            mine, other = _pairs(problem, tensor, box, [above, place], permutations)
            crossed += torch.einsum("hdr,ker->hkde", mine, other)
        apart[inner.name] = _assigned(crossed)
        scores += crossed.gather(-1, apart[inner.name].unsqueeze(-1)).sum((-1, -2))
    for tensor, box, place in problem.places(group.name):
        others = {c.group for p, c in enumerate(box.coordinates) if p != place} - {""}
        if (tensor, box.offset) not in counted and (known is None or others <= known):
            mine, other = _pairs(problem, tensor, box, [place], permutations)
            scores += mine @ other.T
    made[group.name] = _assigned(scores)
    rows = torch.arange(group.size)
    for name, table in apart.items():
        made[name] = table[rows, made[group.name]]
    return made


def _anchored(problem: _Problem) -> dict[str, Tensor]:
    """Permutations found in one sweep from the frozen ends inward, most evidence first."""
    permutations, known = problem.symmetries.identity(), set[str]()
    waiting = {g.name: g for g in problem.symmetries.groups}
    while waiting:
        reach = {name: known | {name, *_inside(problem, name)} for name in waiting}
        evidence = {
            name: _scores(problem, group, permutations, reach[name])[1]
            for name, group in waiting.items()
            if set(group.within) <= known
        }
        name = max(evidence, key=evidence.__getitem__)
        only = reach[name] if evidence[name] else None
        permutations = _update(problem, waiting.pop(name), permutations, only)
        known |= {name, *_inside(problem, name)}
        waiting = {n: g for n, g in waiting.items() if n not in known}
    return permutations


def _inside(problem: _Problem, name: str) -> set[str]:
    return {g.name for g in problem.symmetries.groups if g.within == (name,)}


def _ascent(
    problem: _Problem, permutations: dict[str, Tensor], sweeps: int
) -> tuple[dict[str, Tensor], int]:
    """Sweeps over the groups until none raises the inner product."""
    for sweep in range(sweeps):
        improved = False
        for group in problem.symmetries.groups:
            tried = _update(problem, group, permutations)
            before, after = (problem.value(p, group) for p in (permutations, tried))
            if after > before + GAIN * max(1.0, abs(before)):
                permutations, improved = tried, True
        if not improved:
            return permutations, sweep + 1
    return permutations, sweeps
