"""``log.jsonl``: one JSON object a line, appended as things happen, tolerant of a torn end."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from theodolite.errors import TheodoliteWarning
from theodolite.surveys.durable import naming, write_bytes


@dataclass(frozen=True)
class Journal:
    """A log that forgets nothing it acknowledged; ``path`` is None for a survey in memory."""

    path: Path | None

    def record(self, event: str, **facts: Any) -> None:
        """Append one record and force it to disk; raises `StorageError` when that fails."""
        if self.path is None:
            return
        record = {"time": datetime.now(UTC).isoformat(), "event": event, **facts}
        line = (json.dumps(record, ensure_ascii=True) + "\n").encode()
        with naming(self.path):
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                written = os.write(handle, line)
                while written < len(line):
                    written += os.write(handle, line[written:])
                os.fsync(handle)
            finally:
                os.close(handle)


def parse(content: bytes) -> tuple[list[dict[str, Any]], int]:
    """The whole records in `content`, and where the last of them ends.

    A record counts once its line end is written; a torn line or a tail of zeros does not.

    >>> parse(b'{"event": "start"}\\n{"event": "un')
    ([{'event': 'start'}], 19)
    """
    records: list[dict[str, Any]] = []
    end = at = 0
    for line in content.splitlines(keepends=True):
        at += len(line)
        try:
            record = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
            end = at
    return records, end


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Every whole record of a log; a missing file is an empty log."""
    if not path.exists():
        return []
    with naming(path, "reading"):
        return parse(path.read_bytes())[0]


def open_journal(path: Path | None) -> Journal:
    """Continue a log: an incomplete end, left by a lost machine, is dropped with a warning."""
    if path is None or not path.exists():
        return Journal(path)
    with naming(path, "reading"):
        content = path.read_bytes()
    end = parse(content)[1]
    if end < len(content):
        write_bytes(path, content[:end])
        warnings.warn(
            TheodoliteWarning(
                f"1 incomplete record discarded at the end of {path}. Nothing that was saved is "
                "lost: results are read from the store, not from the log."
            ),
            stacklevel=2,
        )
    return Journal(path)
