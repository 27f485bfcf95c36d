"""Weights to connect: read from files, found in checkpoints, and proved to fit the model."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from theodolite.directions.checkpoints import bare
from theodolite.errors import InvalidArgument, TheodoliteWarning
from theodolite.objective import Objective
from theodolite.training import load_state
from theodolite.training.weights import read_plain

DEEPEST = 3
"""Levels of a checkpoint that are looked into for weights."""

SHOWN = 4
"""Names that an error lists."""

State = dict[str, Tensor]


def weights_of(objective: Objective, path: str | Path, *, told: bool = False) -> State:
    """The tensors of the objective's model in a file, by their names in the model.

    In a checkpoint that holds more (an optimizer, an epoch), the one entry that fits. What
    wrappers put before all names is taken off. Nothing in the file is run. Raises
    `InvalidArgument`, naming the file: for no weights in it (E-A19), several that fit (E-A17), and
    weights that do not fit (E-A07), with tensor and shapes. Where it is `told`, warns of
    tensors that the model does not have, and of statistics that are not there (E-A18).
    """
    path = Path(path)
    found = dict(_states(path))
    if not found:
        raise _nothing(path)
    fits = {k: renamed(objective, v) for k, v in found.items()}
    good = [k for k, state in fits.items() if not misfits(objective, state)]
    if len(good) > 1:
        raise InvalidArgument(
            f"{path.name} holds several sets of weights that fit: {', '.join(map(repr, good))}.",
            where=str(path),
            fix="save the one that is meant: torch.save(checkpoint[name], path).",
            code="E-A17",
        )
    if not good:
        name = max(fits, key=lambda k: _shared(objective, fits[k]))
        raise _misfit(objective, path, name, fits[name])
    state = fits[good[0]]
    if told:
        _tell(objective, path, state)
    return {k: v for k, v in state.items() if k in _names(objective)}


def _states(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping of names to tensors in a file, by the keys that lead to it."""
    if path.suffix == ".safetensors":
        yield "", load_state(path)
        return
    if not path.is_file():
        load_state(path)  # says so
    yield from _inside(read_plain(path), "", 0)


def _inside(content: Any, name: str, depth: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(content, Mapping) or not content:
        return
    if all(isinstance(k, str) for k in content) and any(
        isinstance(v, Tensor) for v in content.values()
    ):
        yield name, content
    if depth < DEEPEST:
        for key, value in content.items():
            yield from _inside(value, f"{name}.{key}" if name else str(key), depth + 1)


def renamed(objective: Objective, state: Mapping[str, Any]) -> State:
    """The tensors under the model's names: without what stands before every one of the model's.

    Trainers keep a model as "model.layer.weight" or "net.layer.weight".
    """
    held = {k: v for k, v in bare(state).items() if isinstance(v, Tensor)}
    wanted = [e.name for e in objective.space.entries]
    if not wanted or any(n in held for n in wanted):
        return held
    for full in held:
        before = full.removesuffix(wanted[0])
        if before != full and before.endswith(".") and all(before + n in held for n in wanted):
            return {k.removeprefix(before): v for k, v in held.items() if k.startswith(before)}
    return held


def misfits(objective: Objective, state: State) -> list[str]:
    """What is wrong with the parameters and statistics in `state`, one line each."""
    found = []
    for entry in objective.space.entries:
        name = next((n for n in (entry.name, *entry.aliases) if n in state), None)
        if name is None:
            found.append(f"{entry.name} is missing")
        else:
            found += _wrong(name, state[name], tuple(entry.shape))
    for name, value in _buffers(objective).items():
        if name in state:
            found += _wrong(name, state[name], tuple(value.shape))
    return found


def _wrong(name: str, value: Tensor, shape: tuple[int, ...]) -> list[str]:
    if tuple(value.shape) != shape:
        return [f"{name} has shape {tuple(value.shape)}, the model's {shape}"]
    if value.is_quantized or value.is_sparse or value.is_meta:
        return [f"{name} is quantized, sparse or without values"]
    if not value.is_floating_point() and not value.is_complex():
        return [f"{name} holds whole numbers ({value.dtype})"]
    return [] if bool(torch.isfinite(value).all()) else [f"{name} holds NaN or infinity"]


def _buffers(objective: Objective) -> dict[str, Tensor]:
    """The model's floating buffers by name."""
    named = objective.model.named_buffers(remove_duplicate=False)
    return {n: b for n, b in named if b.is_floating_point()}


def _names(objective: Objective) -> set[str]:
    model = objective.model
    return {
        *(n for n, _ in model.named_parameters(remove_duplicate=False)),
        *(n for n, _ in model.named_buffers(remove_duplicate=False)),
    }


def _shared(objective: Objective, state: State) -> int:
    return len(_names(objective) & state.keys())


def _tell(objective: Objective, path: Path, state: State) -> None:
    """Warn of what a file holds that the model does not have, and of what it lacks."""
    known = _names(objective)
    strange = [k for k in state if k not in known and not k.endswith("num_batches_tracked")]
    absent = [n for n in _buffers(objective) if n.rpartition(".")[2].startswith("running_")]
    absent = [n for n in absent if n not in state]
    for names, told in (
        (strange, "which the model does not have: they are left out"),
        (absent, "not in it: the target's own running statistics are used"),
    ):
        if names:
            verb = "holds" if names is strange else "lacks"
            warnings.warn(
                TheodoliteWarning(f"{path.name} {verb} {listed(names)}, {told}. [E-A18]"),
                stacklevel=4,
            )


def _misfit(objective: Objective, path: Path, name: str, state: State) -> InvalidArgument:
    wrong = misfits(objective, state)
    known = _names(objective)
    strange = [k for k in state if k not in known]
    under = f" (under {name!r})" if name else ""
    missing = [w.removesuffix(" is missing") for w in wrong if w.endswith(" is missing")]
    others = [w for w in wrong if not w.endswith(" is missing")]
    told = others[:SHOWN] + ([f"and {len(others) - SHOWN} more"] if len(others) > SHOWN else [])
    told += [f"{listed(missing)} missing"] if missing else []
    return InvalidArgument(
        f"{path.name}{under} does not fit the model: {'; '.join(told)}.",
        where=str(path),
        why=f"it holds {listed(strange)}, which the model does not have." if strange else "",
        fix="name weights of the target's own model, or build the target they belong to.",
        code="E-A07",
    )


def _nothing(path: Path) -> InvalidArgument:
    content = read_plain(path)
    keys = sorted(map(str, content)) if isinstance(content, Mapping) else []
    return InvalidArgument(
        f"{path.name} holds no weights: no mapping of names to tensors is in it.",
        where=str(path),
        why=f"its keys are {listed(keys, 8)}." if keys else f"it is a {type(content).__name__}.",
        fix="save the weights alone: torch.save(model.state_dict(), path).",
        code="E-A19",
    )


def listed(names: Sequence[str], most: int = SHOWN) -> str:
    """Names in a row, the rest counted.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
