"""Does permuting leave the outputs as they were? Measured in float64, with negative controls."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from theodolite.seeds import torch_generator
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

    def derivatives(
        self, names: list[str], seed: int
    ) -> tuple[dict[str, Tensor], list[Tensor], float]:
        """Generic values, derivatives of a random sum of the outputs by name, and its size.

        Zero for a tensor that no output depends on.
        """
        state = self.state(seed)
        leaves = {id(state[n]): state[n].requires_grad_(True) for n in names}
        outputs = [t for t in self.copy.outputs(state, grad=True) if t.requires_grad]
        noise = torch_generator(seed, "outputs")
        drawn = [torch.randn(t.shape, generator=noise, dtype=torch.float64) for t in outputs]
        total = sum(((t * w.to(t)).sum() for t, w in zip(outputs, drawn, strict=True)), 0.0)
        found = dict.fromkeys(leaves)
        size = sum(float(t.detach().abs().sum()) for t in outputs)
        if isinstance(total, Tensor):
            made = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
            found = dict(zip(leaves, made, strict=True))
        named = [found[id(state[n])] for n in names]
        plain = {n: t.detach() for n, t in state.items()}
        none = [torch.zeros_like(plain[n]) for n in names]
        return plain, [z if g is None else g for g, z in zip(named, none, strict=True)], size

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
