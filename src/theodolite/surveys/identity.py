"""What makes two runs the same run, and the refusal to mix two that are not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from theodolite.errors import InvalidArgument, RunMismatch
from theodolite.results import SCHEMA
from theodolite.surveys.configuration import Configuration
from theodolite.surveys.provenance import sha256

SHOWN = 5

NAMES = {
    "objective": "training objective (model, weights, data, loss)",
    "test": "test objective (model, weights, data, loss)",
    "checkpoint": "checkpoint (SHA-256)",
    "sharpness.origin": "origin of sharpness (SHA-256)",
    "connectivity.files": "files of weights to connect (SHA-256)",
    "averaging.files": "files of weights to average (SHA-256)",
}


FILES = (("sharpness", "origin"), ("connectivity", "files"), ("averaging", "files"))
"""Settings that are paths of files, or of one, whose content the numbers depend on."""


def hashed_files(configuration: Configuration) -> dict[str, str | list[str]]:
    """SHA-256 of every file of weights that a setting names, by measure and setting."""
    found: dict[str, str | list[str]] = {}
    for measure, setting in FILES:
        path = configuration.settings.get(measure, {}).get(setting)
        if measure in configuration.measures and path:
            name = f"{measure}.{setting}"
            one = isinstance(path, str)
            files = [Path(p) for p in ([path] if one else path)]
            hashes = [sha256(existing(file, name)) for file in files]
            found[name] = hashes[0] if one else hashes
    return found


def existing(file: Path, setting: str) -> Path:
    """A file of weights that a setting names; raises `InvalidArgument` where there is none."""
    if not file.is_file():
        raise InvalidArgument(
            f"there is no file {file}, which {setting} names.",
            where=str(Path.cwd()),
            fix="name a file of weights: .safetensors, or of torch.save.",
            code="E-S48",
        )
    return file


def flat(table: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Nested tables as one, keys joined by dots; tuples as lists, as JSON gives them back."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        elif value is not None:
            found[f"{prefix}{key}"] = json.loads(json.dumps(value))
    return found


def identity(
    configuration: Configuration,
    facts: Mapping[str, Any],
    checkpoint: str | None = None,
    files: Mapping[str, str | list[str]] | None = None,
) -> dict[str, Any]:
    """Everything the numbers depend on: settings by name, and hashes of what is measured.

    ``facts`` are the target's (fingerprints of its objectives, precision, device), ``files`` the
    hashes of files that settings name, which stand for their paths. Not part of it: paths, names
    and versions, since moving a file changes no number.
    """
    c = configuration
    chosen = {
        "schema": SCHEMA,
        "measures": list(c.measures),
        "seed": c.seed,
        "limit": c.limit,
        "checkpoint": checkpoint,
        **facts,
    }
    return {
        **flat(chosen, ""),
        **flat(c.arguments, "argument "),
        **flat({m: c.settings[m] for m in c.measures if m in c.settings}, ""),
        **(files or {}),
    }


def shown(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        value = ", ".join(value)
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One line a setting that differs, as ``name: old -> new``; settings before hashes."""
    keys = [k for k in {**old, **new} if old.get(k) != new.get(k)]
    keys.sort(key=lambda k: k in NAMES)
    return [
        f"{NAMES.get(k, k)}: {shown(abridged(k, old.get(k)))} -> {shown(abridged(k, new.get(k)))}"
        for k in keys
    ]


def abridged(key: str, value: Any) -> Any:
    """The first twelve digits of a hash, other values as they are."""
    return value[:12] if key in NAMES and isinstance(value, str) else value


def refuse_mismatch(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Raise `RunMismatch`, with at most five differences shown, unless the runs are the same."""
    lines = differences(old, new)
    if not lines:
        return
    found = len(lines)
    if found > SHOWN:
        lines = [*lines[: SHOWN - 1], f"and {found - SHOWN + 1} more"]
    raise RunMismatch(
        f"{folder} was made with another configuration, checkpoint or data: "
        f"{found} difference{'s' if found > 1 else ''}.",
        where="\n  ".join(lines),
        why="its results would be mixed with different ones.",
        fix="pass another -o to keep both, or --fresh to start this one anew.",
        code="E-K05",
    )
