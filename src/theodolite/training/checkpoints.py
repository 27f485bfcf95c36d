"""A folder that a training can be continued from, and that says whose training it is."""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from theodolite.errors import RunMismatch, StorageError, TheodoliteWarning
from theodolite.training.recipe import Recipe
from theodolite.training.weights import load_weights, read_plain, save_state, write_whole

RECIPE, STATE = "recipe.json", "state.pt"
LATER = (
    "rho",
    "eta",
    "base_optimizer",
    "micro_batches",
    "averaging",
    "averaging_start",
    "averaging_decay",
)
"""Fields that older folders do not name: they were trained by the defaults."""


@dataclass(frozen=True)
class Progress:
    """What a continued training needs besides the weights."""

    history: list[dict[str, float]]
    diverged: int | None
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    callbacks: list[Any]


def weights_path(folder: Path, epoch: int) -> Path:
    """Where the weights after `epoch` epochs lie."""
    return folder / f"epoch_{epoch:04d}.safetensors"


def saved_weights(folder: Path) -> tuple[Path, ...]:
    """The weights there are, by epoch."""
    return tuple(sorted(folder.glob("epoch_*.safetensors")))


def claim(folder: Path, recipe: Recipe, model: nn.Module) -> None:
    """Mark `folder` as this recipe's, or refuse it as another's; warn of another machine.

    Raises `RunMismatch` with the differing settings, `StorageError` where it cannot be written.
    """
    identity = {
        "recipe": json.loads(json.dumps(recipe.settings(), default=str)),
        "start": _weights_digest(model),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    path = folder / RECIPE
    if not path.exists():
        write_whole(path, json.dumps(identity, indent=1).encode())
        return
    found = _read_identity(path)
    differences = _differences(found.get("recipe", {}), identity["recipe"])
    if not differences and found.get("start") != identity["start"]:
        differences = ["the initial weights"]
    if differences:
        raise RunMismatch(
            f"{folder} holds a training by another recipe: {'; '.join(differences[:5])}.",
            fix="choose another folder, or delete this one",
            code="E-T51",
        )
    moved = [k for k in ("torch", "threads") if found.get(k) != identity[k]]
    if moved:
        was = ", ".join(f"{k} {found.get(k)} (now {identity[k]})" for k in moved)
        warnings.warn(
            f"The training in {folder} began with {was}: "
            "its numbers may differ in the last digits from one made in one go.",
            TheodoliteWarning,
            stacklevel=2,
        )


def _read_identity(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path} cannot be read.", why=str(error), fix="delete the folder", code="E-T52"
        ) from error
    if not isinstance(found, dict) or not isinstance(found.get("recipe", {}), dict):
        raise StorageError(
            f"{path} is not the record of a recipe.",
            why="another program wrote it, or it was changed.",
            fix="delete the folder",
            code="E-T52",
        )
    return found


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    missing = object()
    later = {f.name: f.default for f in fields(Recipe) if f.name in LATER}
    found = {**later, **found}
    return [
        f"{name} is {wanted.get(name)!r} and was {found.get(name)!r}"
        for name in {**found, **wanted}
        if found.get(name, missing) != wanted.get(name, missing)
    ]


def _weights_digest(model: nn.Module) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(model.state_dict().items()):
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
            flat = value.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save(folder: Path, model: nn.Module, progress: Progress) -> None:
    """Write the weights of the last epoch, then the state that names them.

    Killed between the two, the folder still continues from the epoch before.
    """
    epoch = len(progress.history) - 1
    weights = save_state(model.state_dict(), weights_path(folder, epoch))
    buffer = io.BytesIO()
    content = {
        "epoch": epoch,
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "history": progress.history,
        "diverged": progress.diverged,
        "optimizer": progress.optimizer,
        "scheduler": progress.scheduler,
        "callbacks": progress.callbacks,
    }
    torch.save(content, buffer)
    write_whole(folder / STATE, buffer.getvalue())


STATE_KINDS: dict[str, tuple[type, ...]] = {
    "epoch": (int,),
    "weights_sha256": (str,),
    "history": (list,),
    "diverged": (int, type(None)),
    "optimizer": (dict,),
    "scheduler": (dict,),
    "callbacks": (list,),
}
"""What a state must hold, and of which kind: nothing else about it is believed."""


def _state_of(path: Path) -> dict[str, Any]:
    """The content of a state file; raises where it is not what `save` writes."""
    content = read_plain(path)
    state = {"callbacks": [], **content} if isinstance(content, dict) else {}  # older: without
    wrong = [k for k, kinds in STATE_KINDS.items() if not isinstance(state.get(k, path), kinds)]
    if wrong or state["epoch"] < 0:
        raise StorageError(
            f"{path.name} is not the state of a training: it lacks a valid "
            f"{', '.join(wrong) or 'epoch'}.",
            where=str(path.parent),
            why="another program wrote it, or it was changed.",
            fix="delete the folder and train again",
            code="E-T54",
        )
    return state


def restore(folder: Path, model: nn.Module) -> Progress | None:
    """Put the saved weights into `model`; None where nothing was saved yet.

    Raises `StorageError` where weights and state do not belong together.
    """
    path = folder / STATE
    if not path.exists():
        return None
    content = _state_of(path)
    weights = weights_path(folder, content["epoch"])
    if (
        not os.path.exists(weights)
        or hashlib.sha256(weights.read_bytes()).hexdigest() != content["weights_sha256"]
    ):
        raise StorageError(
            f"{weights.name} is missing or was changed since {STATE} was written.",
            where=str(folder),
            fix="delete the folder and train again",
            code="E-T53",
        )
    load_weights(model, weights)
    return Progress(**{f.name: content[f.name] for f in fields(Progress)})
