"""Matching as assignments: a pair of tensors for every place where units occur, and the search.

A problem is two sets of tensors of the same layouts. It does not ask what they hold: weights,
or correlations of activations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from theodolite.symmetry.actions import Box, boxes, permuted, positions, sources
from theodolite.symmetry.groups import Group, Layout

GAIN = 1e-12
"""Relative gains below this are rounding and are not taken."""


@dataclass(frozen=True, eq=False)
class Solved:
    """The best permutations of several starts: where they came from, and what they reach."""

    permutations: dict[str, Tensor]
    value: float
    value_before: float
    sweeps: int
    start: str


@dataclass(frozen=True, eq=False)
class Problem:
    """Two sets of tensors by name, and the groups that permute the second."""

    groups: Sequence[Group]
    layouts: Mapping[str, tuple[Layout, ...]]
    a: Mapping[str, Tensor]
    b: Mapping[str, Tensor]

    @property
    def within(self) -> dict[str, tuple[str, ...]]:
        """The groups that each group is within."""
        return {g.name: g.within for g in self.groups}

    def group(self, name: str) -> Group:
        """The group called `name`."""
        return next(g for g in self.groups if g.name == name)

    def value(self, permutations: Mapping[str, Tensor], group: Group | None = None) -> float:
        """The inner product, over all tensors or over those that have a group."""
        members = {n for n, _ in group.members} if group else set(self.a)
        layouts = self.layouts
        return math.fsum(
            float((self.a[n] * permuted(self.b[n], layouts[n], permutations, self.within)).sum())
            for n in sorted(members & self.a.keys())
        )

    def distance(self, permutations: Mapping[str, Tensor]) -> float:
        """The Euclidean distance between `a` and the permuted `b`."""
        layouts = self.layouts
        moved = {n: permuted(t, layouts[n], permutations, self.within) for n, t in self.b.items()}
        return float(sum((self.a[n] - moved[n]).square().sum() for n in self.a) ** 0.5)

    def places(self, group: str) -> Iterator[tuple[str, Box, int]]:
        """Every tensor, box and place in it where a group occurs."""
        for name in dict.fromkeys(n for n, _ in self.group(group).members):
            for box in boxes(self.layouts[name]) if name in self.a else ():
                for place, coordinate in enumerate(box.coordinates):
                    if coordinate.group == group:
                        yield name, box, place


def _pairs(
    problem: Problem, tensor: str, box: Box, first: list[int], permutations: Mapping[str, Tensor]
) -> tuple[Float64[Tensor, ...], Float64[Tensor, ...]]:
    """Entries of a box of both points, with the places `first` in front and the rest flat.

    The second is permuted at all other places, and left as it is at these.
    """
    shape = [c.size for c in box.coordinates]
    free = {box.coordinates[p].group for p in first}
    kept = {n: p for n, p in permutations.items() if n not in free}
    doubled = [p for p, c in enumerate(box.coordinates) if c.group in free and p not in first]
    order = [*first, *(p for p in range(len(shape)) if p not in first)]
    front = [shape[p] for p in first]
    plain = not any(problem.within[c.group] for c in box.coordinates if c.group in kept)
    if plain and not doubled and math.prod(shape) == problem.a[tensor].numel():
        other = problem.b[tensor].reshape(shape)  # one box, a dimension at a time: much faster
        for place, c in enumerate(box.coordinates):
            other = other.index_select(place, kept[c.group]) if c.group in kept else other
        both = problem.a[tensor].reshape(shape).permute(order), other.permute(order)
        return both[0].reshape(*front, -1), both[1].reshape(*front, -1)
    at = sources(box, kept, problem.within)
    for place in doubled:  # a second time in one tensor: the present permutation holds there
        c = box.coordinates[place]
        if not problem.within[c.group]:
            index = permutations[c.group] - torch.arange(c.size)
            at = at + c.stride * index.reshape([-1 if p == place else 1 for p in range(len(shape))])
    mine = problem.a[tensor].reshape(-1)[positions(box)].permute(order)
    other = problem.b[tensor].reshape(-1)[at].permute(order)
    return mine.reshape(*front, -1), other.reshape(*front, -1)


def _scores(
    problem: Problem, group: Group, permutations: Mapping[str, Tensor], known: set[str] | None
) -> tuple[Float64[Tensor, ...], float]:
    """Inner products of unit i of `a` and unit j of `b`, and the squares they rest on.

    With `known`, only from entries whose other units are matched already.
    """
    outer = [problem.group(name).size for name in group.within]
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
    problem: Problem, tensor: str, box: Box, first: list[int], permutations: Mapping[str, Tensor]
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
    problem: Problem,
    group: Group,
    permutations: Mapping[str, Tensor],
    known: set[str] | None = None,
) -> dict[str, Tensor]:
    """The permutations with one group, and the units inside it, matched anew."""
    scores, _ = _scores(problem, group, permutations, known)
    inside = [g for g in problem.groups if g.within == (group.name,)]
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


def anchored(problem: Problem, identity: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Permutations found in one sweep from the frozen ends inward, most evidence first."""
    permutations, known = dict(identity), set[str]()
    waiting = {g.name: g for g in problem.groups}
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


def _inside(problem: Problem, name: str) -> set[str]:
    return {g.name for g in problem.groups if g.within == (name,)}


def ascent(
    problem: Problem,
    permutations: Mapping[str, Tensor],
    sweeps: int,
    only: set[str] | None = None,
) -> tuple[dict[str, Tensor], int]:
    """Sweeps over the groups (`only` these) until none raises the inner product."""
    best = dict(permutations)
    groups = [g for g in problem.groups if only is None or g.name in only]
    for sweep in range(sweeps):
        improved = False
        for group in groups:
            tried = _update(problem, group, best)
            if all(torch.equal(tried[n], p) for n, p in best.items()):
                continue
            before, after = (problem.value(p, group) for p in (best, tried))
            if after > before + GAIN * max(1.0, abs(before)):
                best, improved = tried, True
        if not improved:
            return best, sweep + 1
    return best, sweeps


def solved(
    problem: Problem,
    identity: Mapping[str, Tensor],
    *,
    starts: int,
    sweeps: int,
    random: Callable[[int], Mapping[str, Tensor]],
) -> Solved:
    """The best end of an anchored start and ``starts - 1`` random ones, or the identity."""
    before = problem.value(identity)
    best = Solved(dict(identity), before, before, 0, "identity")
    for number in range(starts):
        first = random(number) if number else anchored(problem, identity)
        ended, used = ascent(problem, first, sweeps)
        value = problem.value(ended)
        if value > best.value + GAIN * abs(best.value):
            best = Solved(ended, value, before, used, "random" if number else "anchored")
    return best
