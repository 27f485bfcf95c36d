"""Does permuting leave the outputs as they were? Measured in float64, with negative controls."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from theodolite.symmetry.actions import permuted
from theodolite.symmetry.groups import Group
from theodolite.symmetry.running import Copy, generic, relative_change

if TYPE_CHECKING:
    from theodolite.symmetry.symmetry import Symmetries

NO_EFFECT = 1e-9
"""Relative changes below this are rounding."""


@dataclass(frozen=True)
class Row:
    """What the check of one group measured."""

    change: float
    control: float
    without_effect: int


@dataclass(frozen=True, eq=False)
class Proof:
    """A float64 copy of the model to test permutations on; `guarded` protects global state."""

    copy: Copy
    moving: frozenset[str]
    guarded: Callable[[Callable[[], Any]], Any]

    def state(self, seed: int) -> dict[str, Tensor]:
        """Generic values of everything the model holds."""
        return generic(self.copy, set(self.moving), seed)

    def aliases(self, names: set[str]) -> set[str]:
        """These names, and the other names of tied tensors among them."""
        tensors = self.copy.tensors()
        wanted = {id(tensors[name]) for name in names}
        return {name for name, tensor in tensors.items() if id(tensor) in wanted}

    def trial(self, seed: int) -> Trial:
        """The model at generic values, ready to be compared with permuted ones."""
        state = self.state(seed)
        return Trial(self, state, self.copy.outputs(state))


@dataclass(frozen=True, eq=False)
class Trial:
    """One state of the copy and its outputs."""

    proof: Proof
    state: Mapping[str, Tensor]
    before: list[Tensor]

    def moved(
        self, symmetries: Symmetries, permutations: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The tensors that `permutations` touch, permuted, under each of their names."""
        within = {g.name: g.within for g in symmetries.groups}
        touched = {n for g in symmetries.groups if g.name in permutations for n, _ in g.members}
        return {
            name: permuted(self.state[name], symmetries.layouts[name], permutations, within)
            for name in self.proof.aliases(touched)
        }

    def changed(self, moved: Mapping[str, Tensor]) -> float:
        """The relative change of the outputs when these tensors take their places."""
        after = self.proof.copy.outputs({**self.state, **moved})
        return relative_change(self.before, after)

    def change(self, symmetries: Symmetries, permutations: Mapping[str, Tensor]) -> float:
        """The relative change of the outputs under `permutations`."""
        return self.changed(self.moved(symmetries, permutations))

    def row(self, symmetries: Symmetries, group: Group, permutation: Tensor) -> Row:
        """One group permuted alone, and again with each of its tensors left out in turn."""
        moved = self.moved(symmetries, {group.name: permutation})
        change = self.changed(moved)
        tensors = self.proof.copy.tensors()
        members = {id(tensors[name]) for name in moved}
        if len(members) < 2:
            return Row(change, math.nan, 0)
        left_out = [
            self.changed({n: t for n, t in moved.items() if id(tensors[n]) != member})
            for member in members
        ]
        real = [c for c in left_out if c > NO_EFFECT]
        return Row(change, min(real, default=0.0), len(left_out) - len(real))
