"""Checkpoints as points of parameter space, read from disk when they are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from theodolite.errors import InvalidArgument, InvalidType, NotFinite, StorageError
from theodolite.objective import Objective
from theodolite.parameters import ParameterSpace
from theodolite.training import load_state
from theodolite.training.weights import PREFIXES

RUNNING = ("running_mean", "running_var")


@dataclass(frozen=True, eq=False)
class Checkpoints:
    """Points read from files, state dicts or flat tensors: a `theodolite.directions.Points`."""

    space: ParameterSpace
    sources: tuple[Any, ...]
    labels: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return self.space.size

    def __len__(self) -> int:
        return len(self.sources)

    def piece(self, index: int, start: int, stop: int) -> Tensor:
        """Coordinates `start` to `stop`; of a ``.safetensors`` file only their tensors are read."""
        source = self.sources[index]
        if (
            isinstance(source, Path)
            and source.suffix == ".safetensors"
            and stop - start < self.size
        ):
            found = self._from_file(index, source, start, stop)
        else:
            found = self.theta(index)[start:stop]
        if not bool(torch.isfinite(found).all()):
            raise NotFinite(
                f"{self._label(index)} holds NaN or infinity.",
                fix="leave out the checkpoints of a training after it diverged.",
                code="E-J02",
            )
        return found

    def theta(self, index: int) -> Tensor:
        """A whole point, in the precision of points."""
        source = self.sources[index]
        if isinstance(source, Tensor):
            self.space.check(source, self._label(index))
            return source.detach().cpu().to(self.space.dtype)
        try:
            return self.space.flatten(self.state(index) or {})
        except InvalidArgument as error:
            place = str(source) if isinstance(source, Path) else ""
            what = f"{self._label(index)}: {error.what}"
            raise InvalidArgument(what, where=place, fix=error.fix, code=error.code) from error

    def _label(self, index: int) -> str:
        return self.labels[index] if self.labels else f"checkpoint {index}"

    def state(self, index: int) -> dict[str, Tensor] | None:
        """All tensors of a checkpoint by the model's own names; None for a flat tensor."""
        source = self.sources[index]
        if isinstance(source, Tensor):
            return None
        if isinstance(source, Path):
            return self._renamed(load_state(source))
        if isinstance(source, Mapping):
            tensors = {str(k): v for k, v in source.items() if isinstance(v, Tensor)}
            return self._renamed({k: v.detach().cpu() for k, v in tensors.items()})
        raise InvalidType(
            f"{self._label(index)} must be a file, a state dict or a flat tensor; "
            f"got {type(source).__name__}.",
            fix="pass model.state_dict(), or the path it was saved to.",
            code="E-J07",
        )

    def _renamed(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors without the prefix that a wrapper put before every name."""
        mapping = _names(list(state), self.space)
        return {mapping[k]: v for k, v in state.items()}

    def _from_file(self, index: int, path: Path, start: int, stop: int) -> Tensor:
        """Only the tensors that hold these coordinates, where the file has them as they are."""
        out = torch.empty(stop - start, dtype=self.space.dtype)
        wanted = [e for e in self.space.entries if e.offset < stop and e.stop > start]
        try:
            with safe_open(path, framework="pt") as file:
                held = {own: k for k, own in _names(list(file.keys()), self.space).items()}
                for e in wanted:
                    name = next((n for n in (e.name, *e.aliases) if n in held), None)
                    found = None if name is None else file.get_tensor(held[name])
                    if (
                        found is None
                        or tuple(found.shape) != e.shape
                        or not found.is_floating_point()
                    ):
                        return self.theta(index)[start:stop]
                    low, high = max(start, e.offset), min(stop, e.stop)
                    flat = found.reshape(-1)[low - e.offset : high - e.offset]
                    out[low - start : high - start] = flat.to(out.dtype)
        except (SafetensorError, OSError) as error:
            raise StorageError(
                f"{path.name} is not a whole checkpoint.",
                where=str(path),
                why=str(error),
                fix="copy or save it again, or leave it out.",
                code="E-J09",
            ) from error
        return out


def _names(given: Sequence[str], space: ParameterSpace) -> dict[str, str]:
    """From the names in a file to the model's: what wrappers put before every name is taken off."""
    own = [n for e in space.entries for n in (e.name, *e.aliases)]
    found = {k: k for k in given}
    for _ in PREFIXES:
        for prefix in PREFIXES:
            theirs = bool(found) and all(k.startswith(prefix) for k in found.values())
            if theirs and not all(k.startswith(prefix) for k in own):
                found = {k: v.removeprefix(prefix) for k, v in found.items()}
    return found


def with_state(objective: Objective, state: Mapping[str, Tensor] | None) -> tuple[Objective, bool]:
    """The objective with a checkpoint's own buffers and frozen parameters, and if it had any.

    A BatchNorm's running statistics are part of what a checkpoint computes; a layer's mean and
    variance are taken together or not at all, and it has its own state only if it has all of them.
    The model is not touched: its buffers and frozen parameters are replaced in every pass anyway,
    and here by other copies.
    """
    forward = objective.forward
    given = {f"model.{name}": tensor for name, tensor in (state or {}).items()}
    ours = {**forward.fixed, **forward.pristine}
    fits = {n for n, t in ours.items() if n in given and given[n].shape == t.shape}
    halves = {n for n in ours if _attribute(n) in RUNNING and not _both(n, ours, fits)}
    taken = fits - halves
    if not taken:
        return objective, False
    changed = {
        part: {n: _own(given[n], t) if n in taken else t for n, t in held.items()}
        for part, held in (("fixed", forward.fixed), ("pristine", forward.pristine))
    }
    working = {name: tensor.clone() for name, tensor in changed["pristine"].items()}
    moved = replace(forward, fixed=changed["fixed"], pristine=changed["pristine"], working=working)
    made = object.__new__(Objective)
    for name in objective.__dataclass_fields__:
        object.__setattr__(made, name, getattr(objective, name))
    object.__setattr__(made, "forward", moved)
    return made, not halves


def _attribute(name: str) -> str:
    return name.rpartition(".")[2]


def _both(name: str, ours: Mapping[str, Tensor], fits: set[str]) -> bool:
    """Whether a layer's running mean and variance, whichever the model has, are all there."""
    layer = name.rpartition(".")[0]
    return all(f"{layer}.{a}" in fits for a in RUNNING if f"{layer}.{a}" in ours)


def _own(theirs: Tensor, ours: Tensor) -> Tensor:
    """A checkpoint's tensor in our precision and place."""
    return theirs.detach().to(device=ours.device, dtype=ours.dtype)
