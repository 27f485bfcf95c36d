"""Correlations of the activations of two networks, unit by unit, as a problem of matching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite.symmetry.assignment import Problem
from theodolite.symmetry.axes import LEAF
from theodolite.symmetry.groups import Group, Layout
from theodolite.symmetry.sites import Site

CONSTANT = 1e-12
"""A variance below this share of the mean square is rounding: the unit does not vary."""


@dataclass(eq=False)
class CrossMoments:
    """Means, and products of deviations of two sets of units, merged exactly over batches."""

    count: int = 0
    means: list[Tensor] = field(default_factory=list)
    products: list[Tensor] = field(default_factory=list)

    def add(self, x: Shaped[Tensor, "unit row"], y: Shaped[Tensor, "other row"]) -> None:
        """Take in activations at the same examples and places; in float64."""
        x, y = x.detach().double(), y.detach().double()
        means = [x.mean(1), y.mean(1)]
        x, y = x - means[0][:, None], y - means[1][:, None]
        made = [x.square().sum(1), y.square().sum(1), x @ y.T]
        rows = x.shape[1]
        if not self.count:
            self.count, self.means, self.products = rows, means, made
            return
        total = self.count + rows
        gaps = [new - old for new, old in zip(means, self.means, strict=True)]
        share = self.count * rows / total
        between = [gaps[0] ** 2, gaps[1] ** 2, torch.outer(*gaps)]
        self.means = [m + g * (rows / total) for m, g in zip(self.means, gaps, strict=True)]
        parts = zip(self.products, made, between, strict=True)
        self.products = [old + new + share * b for old, new, b in parts]
        self.count = total

    def correlation(self) -> Float64[Tensor, "unit other"]:
        """Pearson's correlation of every two units; zero for one that does not vary."""
        sides = []
        for mean, spread in zip(self.means, self.products[:2], strict=True):
            flat = spread <= CONSTANT * (spread + self.count * mean**2)
            sides.append(torch.where(flat, 0.0, spread.clamp(min=1e-300).rsqrt()))
        return self.products[2] * sides[0][:, None] * sides[1]


def correlation_problem(
    groups: Sequence[Group], correlations: Sequence[tuple[Site, Tensor]]
) -> Problem:
    """Permutations that raise the sum over sites of the correlations of matched units.

    The inner product of unit i of the first and unit j of the second is their correlation: the
    first is given as the unit vectors, the second as columns of the correlations.
    """
    layouts: dict[str, tuple[Layout, ...]] = {}
    mine: dict[str, Tensor] = {}
    other: dict[str, Tensor] = {}
    members: dict[str, list[tuple[str, int]]] = {g.name: [] for g in groups}
    for number, (site, correlation) in enumerate(correlations):
        name, count = f"{number}: {site.operation}", len(correlation)
        units = [Layout(LEAF, n, g) for n, g in zip(site.sizes, site.groups, strict=True)]
        layouts[name] = (*units, Layout(LEAF, count))
        mine[name] = torch.eye(count, dtype=torch.float64).reshape(*site.sizes, count)
        other[name] = correlation.T.cpu().reshape(*site.sizes, count)
        for dim, group in enumerate(site.groups):
            members[group].append((name, dim))
    seen = [Group(g.name, g.size, tuple(members[g.name]), g.within) for g in groups]
    return Problem([g for g in seen if g.members], layouts, mine, other)
