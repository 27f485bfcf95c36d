"""Writing a file so that it appears whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from theodolite.errors import StorageError


def write_text(path: Path, content: str) -> Path:
    """Write `content` as UTF-8 beside `path` and move it into place; return `path`.

    Folders on the way are made. The file gets the permissions of any new file. Raises
    ``StorageError`` when the place cannot be written; an existing file is then left as it was.
    """
    return write_bytes(path, content.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> Path:
    """As ``write_text`` for bytes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    except OSError as cause:
        raise _cannot(path, cause) from cause
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except OSError as cause:
        Path(name).unlink(missing_ok=True)
        raise _cannot(path, cause) from cause
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def _umask() -> int:
    """The process's mask; the system offers no other way to read it than to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _cannot(path: Path, cause: OSError) -> StorageError:
    return StorageError(
        f"cannot write {path.name!r}: {cause.strerror or cause}.",
        where=str(path.parent),
        fix="choose a folder that exists or can be made, with free space.",
        code="E-H05",
    )
