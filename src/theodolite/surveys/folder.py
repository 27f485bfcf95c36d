"""The run folder: opened by one writer, for one configuration, and never mixed."""

from __future__ import annotations

import json
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from theodolite.errors import InvalidArgument, RunMismatch, StorageError, TheodoliteWarning
from theodolite.surveys import provenance as origin
from theodolite.surveys.configuration import Configuration, to_toml
from theodolite.surveys.durable import ensure_writable, naming, write_text
from theodolite.surveys.identity import refuse_mismatch
from theodolite.surveys.journal import Journal, open_journal
from theodolite.surveys.later_settings import grown
from theodolite.surveys.lock import locked
from theodolite.surveys.monitored import LOG
from theodolite.surveys.store import Store, open_store

PARTS = (
    "config.toml",
    "provenance.json",
    "results.zarr",
    "summary.json",
    "summary.md",
    "log.jsonl",
    "report.html",
    "figures",
    "shards",
)
"""What a run folder holds; ``fresh`` removes these and nothing else."""

RESERVED = {"con", "prn", "aux", "nul"} | {f"{d}{k}" for d in ("com", "lpt") for k in range(1, 10)}


@dataclass(frozen=True, eq=False)
class Run:
    """A survey's place: a folder, or memory when ``path`` is None."""

    path: Path | None
    store: Store
    journal: Journal
    provenance: Mapping[str, Any] = field(default_factory=dict)


def run_path(text: str | Path) -> Path:
    """A run folder's path, refused where some system could not hold it or it leads elsewhere.

    Raises `InvalidArgument` for NUL and control characters, names over 255 bytes, names reserved
    or ending in a dot or a space (Windows), and for a symbolic link in the folder's own place.
    """
    name = str(text)
    problem = ""
    parts = [p for p in Path(name).parts if p not in ("/", "..")]
    if not parts:
        problem = "it names no folder of its own"
    elif any(ord(c) < 32 or ord(c) == 127 for c in name):
        problem = "it holds a control character"
    elif any(len(p.encode(errors="surrogateescape")) > 255 for p in parts):
        problem = "a part of it is longer than 255 bytes"
    elif any(p.partition(".")[0].lower() in RESERVED or p[-1] in ". " for p in parts):
        problem = "a part of it is a reserved name, or ends in a dot or a space"
    elif _is_link(Path(name)):
        problem = "it is a symbolic link, and results would be written where it leads"
    if problem:
        shown = repr(name) if len(name) <= 80 else repr(name[:77]) + "..."
        raise InvalidArgument(
            f"{shown} cannot be a run folder: {problem}.",
            fix="pass -o with a plain path, for example -o runs/first.",
            code="E-S30",
        )
    return Path(name)


def _is_link(path: Path) -> bool:
    """Whether a symbolic link is there; raises `StorageError` where one may not even look."""
    with naming(path):
        return path.is_symlink()


def recorded(path: Path) -> dict[str, Any] | None:
    """What ``provenance.json`` says, or None where there is none yet."""
    file = path / "provenance.json"
    if not file.exists():
        return None
    with naming(file, "reading"):
        content = file.read_text()
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("identity"), dict):
        raise StorageError(
            f"{file} cannot be read.",
            why="it is not the JSON that was written.",
            fix="pass another -o, or --fresh to start this run anew.",
            code="E-K08",
        )
    return found


def check_kind(path: Path) -> None:
    """Raise when a folder holds other files and no run: they are not to be mixed."""
    inside = {p.name for p in path.iterdir()} - {"lock", LOG} if path.is_dir() else set()
    if inside and not inside & set(PARTS):
        raise InvalidArgument(
            f"{path} holds other files and no run.",
            where=", ".join(sorted(inside)[:5]),
            fix="pass -o with a new folder, for example -o runs/first.",
            code="E-S31",
        )


def continued(path: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of the run to continue, None for a new one; raises `RunMismatch` for another."""
    old = recorded(path)
    if old is None and (path / "results.zarr").exists():
        raise RunMismatch(
            f"{path} holds results without a record of what made them.",
            why="provenance.json is missing, so they cannot be told from those of another run.",
            fix="pass another -o, or --fresh to start this one anew.",
            code="E-K05",
        )
    if old is not None:
        refuse_mismatch(path, grown(old["identity"], identity, path), identity)
    return old


def clear(path: Path) -> None:
    """Remove a run's own parts, leaving any other file alone."""
    for name in PARTS:
        part = path / name
        with naming(part):
            if part.is_dir() and not part.is_symlink():
                shutil.rmtree(part)
            else:
                part.unlink(missing_ok=True)


@contextmanager
def opened_run(
    path: Path | None,
    configuration: Configuration,
    identity: Mapping[str, Any],
    *,
    fresh: bool = False,
    command: Sequence[str] | None = None,
    threads: int | None = None,
) -> Iterator[Run]:
    """Hold a run folder: created, or continued where it was left, or refused.

    Refused before anything is computed: a folder that cannot be written, that another live
    process writes, that holds something else, or another run (with the difference shown).
    """
    if path is None:
        record = origin.provenance(identity, command=command, threads=threads)
        yield Run(None, open_store(None), Journal(None), record)
        return
    check_kind(path)
    if not fresh:
        continued(path, identity)
    ensure_writable(path)
    with locked(path):
        if fresh:
            clear(path)
        old = continued(path, identity)
        record = origin.provenance(identity, command=command, threads=threads, old=old)
        warn_changes(path, old, record)
        if old is None:
            write_text(path / "config.toml", to_toml(configuration))
        write_text(path / "provenance.json", json.dumps(record, indent=1))
        run = Run(path, open_store(path / "results.zarr"), open_journal(path / "log.jsonl"), record)
        with accounted(run):
            yield run


def warn_changes(path: Path, old: Mapping[str, Any] | None, record: Mapping[str, Any]) -> None:
    changes = [] if old is None else origin.changed_environment(old, record)
    if changes:
        warnings.warn(
            TheodoliteWarning(
                f"{path} was begun with {', '.join(changes)}. What is computed now may differ in "
                "its last digits from what is saved."
            ),
            stacklevel=3,
        )


@contextmanager
def accounted(run: Run) -> Iterator[None]:
    """Log a stretch of work and add its time to ``provenance.json``, however it ends."""
    assert run.path is not None
    began = datetime.now(UTC).isoformat(timespec="seconds")
    wall, cpu = time.monotonic(), time.process_time()
    run.journal.record("begin", command=run.provenance.get("command"))
    how = "end"
    try:
        yield
    except BaseException as error:
        how = type(error).__name__
        raise
    finally:
        spent = origin.stretch(began, time.monotonic() - wall, time.process_time() - cpu, how)
        stretches = [*run.provenance["stretches"], spent]
        try:
            run.journal.record(how, seconds=spent["wall_seconds"])
            record = {**run.provenance, "stretches": stretches}
            write_text(run.path / "provenance.json", json.dumps(record, indent=1))
        except StorageError:
            if how == "end":
                raise
