"""One writer a run folder: a lock that names its owner and does not outlive it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from theodolite.errors import StorageError
from theodolite.surveys.durable import naming

try:
    import fcntl
except ImportError:  # Windows: the content of the file alone decides
    fcntl = None  # type: ignore[assignment]


def started(pid: int) -> str | None:
    """When process `pid` started, in clock ticks since boot; None where nothing tells."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()[19]


def owner(content: bytes) -> dict[str, Any]:
    """What a lock file says about its owner; empty when it says nothing that can be read."""
    try:
        facts = json.loads(content)
    except ValueError:
        return {}
    valid = isinstance(facts, Mapping) and isinstance(facts.get("pid"), int) and facts["pid"] > 0
    return dict(facts) if valid else {}


def holds(facts: Mapping[str, Any]) -> bool:
    """Whether the owner named by a lock file can still be at work.

    A dead process, or another process that was given the same number later, holds nothing. The
    owner on another machine is believed.
    """
    if not facts:
        return False
    if facts.get("host") != platform.node():
        return True
    pid = facts["pid"]
    if pid == os.getpid() or not psutil.pid_exists(pid):
        return False
    began = started(pid)
    return began is None or facts.get("started") in (None, began)


def refusal(folder: Path, facts: Mapping[str, Any]) -> StorageError:
    who = f"process {facts.get('pid', 'unknown')} on {facts.get('host', 'this machine')}"
    return StorageError(
        f"{folder} is being written by {who} since {facts.get('since', 'an unknown time')}.",
        why="two writers would compute the same units twice.",
        fix=f"wait for it, pass another -o, or delete {folder / 'lock'} if that process is gone.",
        code="E-K04",
    )


def claim(handle: int) -> bool:
    """Take the kernel's lock on an open file; False when another holds it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: the content of the file decides
        return True
    return True


def acquire(path: Path) -> int:
    """Open and hold the lock file at `path`; raises `StorageError` when somebody else does."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        kept = False
        try:
            claimed = claim(handle)
            held = owner(os.pread(handle, 4096, 0))
            if not claimed or holds(held):
                raise refusal(path.parent, held)
            # False when its last owner removed the file between our open and our lock
            kept = path.exists() and os.path.samestat(os.fstat(handle), path.stat())
            if kept:
                write_owner(handle)
                return handle
        finally:
            if not kept:
                os.close(handle)


def write_owner(handle: int) -> None:
    pid = os.getpid()
    facts = {"pid": pid, "host": platform.node(), "started": started(pid)}
    content = json.dumps({**facts, "since": datetime.now(UTC).isoformat(timespec="seconds")})
    os.ftruncate(handle, 0)
    os.pwrite(handle, content.encode(), 0)
    os.fsync(handle)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for writing; a second live process is refused, a dead one's lock taken over."""
    path = folder / "lock"
    with naming(path):
        handle = acquire(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def lock_holder(folder: Path) -> dict[str, Any]:
    """Who is writing `folder` now; empty when nobody is."""
    path = folder / "lock"
    try:
        facts = owner(path.read_bytes())
    except OSError:
        return {}
    return facts if facts.get("pid") == os.getpid() or holds(facts) else {}
