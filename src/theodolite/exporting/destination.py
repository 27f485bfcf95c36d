"""Where exported files go: whole or not at all, and never over a file nobody said to replace."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from theodolite.errors import InvalidArgument
from theodolite.surveys.durable import naming, sync


def files_for(path: Path, names: Sequence[str], form: str) -> list[Path]:
    """One file a name: `path` itself where it ends in the format's suffix, else inside it.

    Raises ``InvalidArgument``: a file for several results (E-E02), a suffix of another format
    (E-E03).
    """
    suffix = path.suffix.lower()
    if suffix == f".{form}" and not path.is_dir():
        if len(names) > 1:
            raise InvalidArgument(
                f"path must be a folder for {len(names)} results; got the file name {path.name!r}.",
                why=f"each becomes a file of its own: {', '.join(names[:6])}"
                f"{', ...' if len(names) > 6 else '.'}",
                fix="pass a folder, or choose one result with `what` (--what).",
                code="E-E02",
            )
        return [path]
    return [path / f"{name}.{form}" for name in names]


def refuse_present(files: Sequence[Path]) -> None:
    """Raise ``InvalidArgument`` (E-E04) when one of the `files` is there already."""
    present = [f for f in files if f.exists() or f.is_symlink()]
    if present:
        more = f" and {len(present) - 1} more" if len(present) > 1 else ""
        raise InvalidArgument(
            f"{present[0]}{more} exists already.",
            fix="pass another path, or overwrite=True (--force) to replace it.",
            code="E-E04",
        )


def write_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` make a file beside `path`, force it to disk and move it into place.

    After a crash, a full disk or an error in `write` the place holds what it held before.
    Folders on the way are made. Raises ``StorageError`` (E-K01 to E-K09) where the system does.
    """
    beside = path.with_name(f".{path.name[:80]}.{uuid.uuid4().hex}.partial")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(beside)
            sync(beside)
            os.replace(beside, path)
            sync(path.parent)
        finally:
            beside.unlink(missing_ok=True)
    return path
