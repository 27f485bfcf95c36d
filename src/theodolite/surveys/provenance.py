"""``provenance.json``: where the numbers came from and what they cost."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from theodolite.surveys.durable import naming

PACKAGES = ("theodolite", "torch", "numpy", "scipy", "xarray", "zarr")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with naming(path, "reading"), path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def git_state(folder: Path) -> dict[str, Any]:
    """Commit and whether files differ from it; empty outside a repository or without git."""
    found = []
    for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain"]):
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments],
                capture_output=True,
                text=True,
                timeout=10,
                check=False,
                env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            )
        except (OSError, subprocess.TimeoutExpired):
            return {}
        if done.returncode:
            return {}
        found.append(done.stdout.strip())
    return {"commit": found[0], "dirty": bool(found[1])}


def versions() -> dict[str, str]:
    """The versions of Python and of the packages the numbers depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def machine(threads: int | None = None) -> dict[str, Any]:
    """The machine, its cores and memory, and the threads torch uses."""
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "threads": threads,
    }


def provenance(
    identity: Mapping[str, Any],
    *,
    command: Sequence[str] | None = None,
    threads: int | None = None,
    old: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What is recorded beside the results; `old` is the record of the run that is continued."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "schema": 1,
        "created": (old or {}).get("created", now),
        "command": list(command if command is not None else sys.argv),
        "folder": str(Path.cwd()),
        "git": git_state(Path.cwd()),
        "versions": versions(),
        "machine": machine(threads),
        "identity": dict(identity),
        "stretches": list((old or {}).get("stretches", [])),
    }


def stretch(started: str, wall: float, cpu: float, ended: str) -> dict[str, Any]:
    """One uninterrupted piece of work: when it began, how long it took, how it ended."""
    return {
        "started": started,
        "wall_seconds": round(wall, 3),
        "cpu_seconds": round(cpu, 3),
        "ended": ended,
    }


def changed_environment(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Versions and thread counts that differ: numbers may differ in their last digits."""
    before = {**old.get("versions", {}), "threads": old.get("machine", {}).get("threads")}
    after = {**new.get("versions", {}), "threads": new.get("machine", {}).get("threads")}
    return [
        f"{k} {before[k]} -> {after[k]}" for k in after if before.get(k) not in (None, after[k])
    ]
