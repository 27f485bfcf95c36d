"""Files that are either the old ones or the new ones, also after a crash or a full disk."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from theodolite.errors import StorageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


def storage_error(error: OSError, path: Path, doing: str = "writing") -> StorageError:
    """`error` as a named error about `path`; the original stays its cause."""
    reason = error.strerror or str(error)
    if error.errno in FULL:
        return StorageError(
            f"No space left while {doing} {path}.",
            why=reason,
            fix="free space and run the same command again: what is saved is kept.",
            code="E-K02",
        )
    if error.errno in REFUSED:
        return StorageError(
            f"{path} may not be written.",
            why=reason,
            fix="pass -o with a folder you may write to.",
            code="E-K01",
        )
    if error.errno in (errno.ENOENT, errno.ESTALE) and doing == "writing":
        return StorageError(
            f"{path} disappeared during the run.",
            why=reason,
            fix="do not move or delete a run's folder while it is written; run the command again.",
            code="E-K09",
        )
    return StorageError(
        f"{path} failed while {doing}: {reason}.",
        why=f"the system reported error {error.errno}",
        fix="check the disk, then run the same command again: what is saved is kept.",
        code="E-K03",
    )


@contextmanager
def naming(path: Path, doing: str = "writing") -> Iterator[None]:
    """Turn an error of the operating system into a named one about `path`."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(error, path, doing) from error


def sync(path: Path) -> None:
    """Ask the system to put a file, or the entries of a folder, on the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file as one step: after a crash it holds the old content or the new one.

    Writes beside the target, forces the bytes to disk, renames, forces the folder. Raises
    `StorageError` and leaves the old file and no temporary one behind.
    """
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    with naming(path):
        try:
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
            sync(path.parent)
        finally:
            beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` in UTF-8."""
    write_bytes(path, text.encode())


def sweep(folder: Path) -> int:
    """Remove what a killed writer left half done under `folder`; returns how many files."""
    left = list(folder.rglob("*.partial"))
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def check_writable(folder: Path) -> None:
    """As `ensure_writable`, of the nearest folder above that exists, and leaving no trace."""
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    ensure_writable(nearest)


def ensure_writable(folder: Path) -> None:
    """Create `folder` and prove it can be written, before anything is computed."""
    probe = folder / f".probe.{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"theodolite")
        probe.unlink()
    except FileExistsError as error:
        raise StorageError(
            f"{folder} is a file, not a folder.",
            fix="pass -o with the name of a folder.",
            code="E-K01",
        ) from error
    except OSError as error:
        if error.errno in FULL:
            raise storage_error(error, folder) from error
        raise StorageError(
            f"{folder} cannot be written: {error.strerror or error}.",
            why="results are stored there while they are computed, so this is checked first.",
            fix="pass -o with a folder you may write to.",
            code="E-K01",
        ) from error
    finally:
        if probe.exists():
            probe.unlink(missing_ok=True)
