"""The permutation symmetries of a model: what may change places, and the proof that it may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.parameters import ParameterSpace
from theodolite.results import dataset
from theodolite.seeds import torch_generator
from theodolite.symmetry.actions import inverse
from theodolite.symmetry.applying import applied
from theodolite.symmetry.groups import Group, Layout
from theodolite.symmetry.proof import Proof, Row

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Frozen:
    """A dimension of a parameter, or a part of one, that stays in place, and why."""

    tensor: str
    dim: int
    size: int
    reason: str


@dataclass(frozen=True, eq=False)
class Symmetries:
    """The permutations of hidden units that leave a model's function as it is.

    ``groups`` are the sets of units that may change places; ``layouts`` say how each dimension
    of each tensor is made of them; ``coverage`` is the share of parameter entries in tensors
    that some group permutes; ``frozen`` lists what stays in place and why;
    ``unknown`` the operations without a rule, which froze all they touched; ``front_end`` is
    "export" or, where the model cannot be exported, "run" (one run on the example inputs).

    A permutation is a vector of indices: the unit at place i afterwards is the one that was at
    ``permutation[i]``. For a group that is ``within`` others it is an array with one row for
    every index of those.
    """

    groups: tuple[Group, ...]
    layouts: Mapping[str, tuple[Layout, ...]]
    frozen: tuple[Frozen, ...]
    coverage: float
    unknown: Mapping[str, str]
    front_end: str
    space: ParameterSpace | None = field(repr=False)
    parameters: tuple[str, ...] = field(repr=False)
    trainable: tuple[str, ...] = field(repr=False)
    _proof: Proof = field(repr=False)

    def group(self, name: str) -> Group:
        """The group called `name`."""
        for each in self.groups:
            if each.name == name:
                return each
        known = ", ".join(g.name for g in self.groups[:6]) or "none"
        raise InvalidArgument(
            f"no group is called {name!r}.",
            where="Symmetries",
            fix=f"the groups are {known}{' ...' if len(self.groups) > 6 else ''}.",
            code="E-A44",
        )

    def identity(self) -> dict[str, Tensor]:
        """The permutations that leave everything in place."""
        return {g.name: _identity(self, g) for g in self.groups}

    def random(self, seed: int = 0) -> dict[str, Tensor]:
        """A uniformly random permutation for every group."""
        return {g.name: _random(self, g, seed) for g in self.groups}

    def inverse(self, permutations: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The permutations that undo `permutations`."""
        return inverse(self.groups, self.checked(permutations))

    def checked(self, permutations: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`permutations`, or an error that names the first that is none of this model's."""
        return {name: _checked(self, self.group(name), p) for name, p in permutations.items()}

    def apply(self, state: Any, permutations: Mapping[str, Tensor]) -> Any:
        """`state` with its units permuted, as new tensors; what it is decides how it is read.

        A mapping of tensors by name is a state dict, gradients or masks (names that no parameter
        or buffer has are refused); a vector holds the trainable parameters in the order of
        `ParameterSpace`, and no buffers; the state dict of an optimizer holds averages of the
        parameters' shapes. Costs one copy.

        Raises `InvalidArgument` for permutations or tensors that do not fit the model.
        """
        return applied(self, state, self.checked(permutations))

    def verify(self, seed: int = 0) -> float:
        """The largest relative change of an output, a group at a time and all at once.

        Measured in float64 without the negative controls of `checks`; rounding is about 1e-15.
        Costs one forward pass a group.
        """
        drawn = self.random(seed)

        def worst() -> float:
            trial = self._proof.trial(seed)
            alone = [trial.change(self, {name: p}) for name, p in drawn.items()]
            return max([trial.change(self, drawn), *alone])

        return float(self._proof.guarded(worst))

    def checks(self, seed: int = 0) -> xr.Dataset:
        """Relative changes of the outputs in float64, a group at a time and all at once.

        ``change(group)`` permutes one group, ``change_all`` all of them: both are rounding.
        ``control(group)`` is the negative control, the smallest change when one member of the
        group is left out (NaN with a single member): far above rounding, or that member has no
        effect on the function, and ``without_effect`` counts such members (the bias of the keys
        under a softmax, for one). Parameters are moved off special values first, so that zero
        biases and unit scales hide nothing. Costs one forward pass a group and one a member. Not
        seen: what other inputs would reach, such as branches that the example does not take.
        """
        drawn = self.random(seed)

        def measured() -> tuple[list[Row], float]:
            trial = self._proof.trial(seed)
            each = [trial.row(self, group, drawn[group.name]) for group in self.groups]
            return each, trial.change(self, drawn)

        rows, both = self._proof.guarded(measured)
        columns: dict[str, Any] = {
            "change": (("group",), [r.change for r in rows], {"long_name": _CHANGE}),
            "control": (("group",), [r.control for r in rows], {"long_name": _CONTROL}),
            "without_effect": (
                ("group",),
                [r.without_effect for r in rows],
                {"long_name": "members whose permutation alone changes nothing"},
            ),
            "change_all": ((), both, {"long_name": "relative change, all groups permuted"}),
        }
        names = {"group": [g.name for g in self.groups]}
        return dataset("symmetry_checks", columns, names, seed=seed, tolerance=TOLERANCE)


_CHANGE = "relative change of the outputs, one group permuted"
_CONTROL = "smallest relative change with one member of the group left out"


def _shape(symmetries: Symmetries, group: Group) -> tuple[int, ...]:
    return (*(symmetries.group(name).size for name in group.within), group.size)


def _identity(symmetries: Symmetries, group: Group) -> Tensor:
    return torch.arange(group.size).expand(_shape(symmetries, group)).clone()


def _random(symmetries: Symmetries, group: Group, seed: int) -> Tensor:
    generator = torch_generator(seed, "permutation", group.name)
    keys = torch.rand(_shape(symmetries, group), generator=generator, dtype=torch.float64)
    made = keys.argsort(-1)
    still = (made == torch.arange(group.size)).all()
    return made.roll(1, -1) if still else made


def _checked(symmetries: Symmetries, group: Group, permutation: Tensor) -> Tensor:
    shape = _shape(symmetries, group)
    given = torch.as_tensor(permutation)
    fits = tuple(given.shape) == shape and not given.is_floating_point()
    if not fits or not torch.equal(
        given.long().sort(-1).values, torch.arange(shape[-1]).expand(shape)
    ):
        raise InvalidArgument(
            f"the permutation of {group.name!r} must hold every index below {group.size} once, in "
            f"shape {shape}; got {given.dtype} of shape {tuple(given.shape)}.",
            where="Symmetries",
            fix="take permutations from .identity() or .random(seed), and change those.",
            code="E-A45",
        )
    return given.long().cpu()
