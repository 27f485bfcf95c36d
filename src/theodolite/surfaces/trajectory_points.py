"""Checkpoints as points of parameter space, read from disk when they are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from theodolite.errors import InvalidType, StorageError
from theodolite.objective import Objective
from theodolite.parameters import ParameterSpace
from theodolite.training import load_state
from theodolite.training.weights import PREFIXES


@dataclass(frozen=True, eq=False)
class Checkpoints:
    """Points read from files, state dicts or flat tensors: a `theodolite.directions.Points`."""

    space: ParameterSpace
    sources: tuple[Any, ...]

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
            return self._from_file(source, start, stop)
        return self.theta(index)[start:stop]

    def theta(self, index: int) -> Tensor:
        """A whole point, in the precision of points."""
        source = self.sources[index]
        if isinstance(source, Tensor):
            self.space.check(source, f"checkpoint {index}")
            return source.detach().cpu().to(self.space.dtype)
        return self.space.flatten(self.state(index) or {})

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
            f"checkpoint {index} must be a file, a state dict or a flat tensor; "
            f"got {type(source).__name__}.",
            fix="pass model.state_dict(), or the path it was saved to.",
            code="E-J07",
        )

    def _renamed(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors without the prefix that a wrapper put before every name."""
        mapping = _names(list(state), self.space)
        return {mapping[k]: v for k, v in state.items()}

    def _from_file(self, path: Path, start: int, stop: int) -> Tensor:
        """Only the tensors that hold these coordinates, where the file has them as they are."""
        out = torch.empty(stop - start, dtype=self.space.dtype)
        wanted = [e for e in self.space.entries if e.offset < stop and e.stop > start]
        try:
            with safe_open(path, framework="pt") as file:
                held = {own: k for k, own in _names(list(file.keys()), self.space).items()}
                for e in wanted:
                    name = next((n for n in (e.name, *e.aliases) if n in held), None)
                    found = None if name is None else file.get_tensor(held[name])
                    if found is None or tuple(found.shape) != e.shape:
                        return self.space.flatten(self._renamed(load_state(path)))[start:stop]
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

    A BatchNorm's running statistics are part of what a checkpoint computes. The model is not
    touched: its buffers and frozen parameters are replaced in every pass anyway, and here by
    other copies.
    """
    forward = objective.forward
    changed: dict[str, dict[str, Tensor]] = {}
    for part in ("fixed", "pristine"):
        held: dict[str, Tensor] = getattr(forward, part)
        changed[part] = {
            name: _own((state or {}).get(name.removeprefix("model.")), tensor)
            for name, tensor in held.items()
        }
    found = any(changed[p][n] is not t for p in changed for n, t in getattr(forward, p).items())
    if not found:
        return objective, False
    working = {name: tensor.clone() for name, tensor in changed["pristine"].items()}
    moved = replace(forward, fixed=changed["fixed"], pristine=changed["pristine"], working=working)
    made = object.__new__(Objective)
    for name in objective.__dataclass_fields__:
        object.__setattr__(made, name, getattr(objective, name))
    object.__setattr__(made, "forward", moved)
    return made, True


def _own(theirs: Tensor | None, ours: Tensor) -> Tensor:
    """A checkpoint's tensor in our precision and place, or ours where it has none that fits."""
    if theirs is None or theirs.shape != ours.shape:
        return ours
    return theirs.detach().to(device=ours.device, dtype=ours.dtype)
