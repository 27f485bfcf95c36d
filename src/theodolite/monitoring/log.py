"""The rows of a monitored training: in memory, and in a folder where there is one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from theodolite.surveys.durable import ensure_writable, write_bytes
from theodolite.surveys.journal import Journal
from theodolite.surveys.monitored import LOG, Head, Row


@dataclass(eq=False)
class Log:
    """Rows in the order of steps. The file is begun at the first row.

    A file that is there already is another training's: it is set aside as ``monitor-1.jsonl``, so
    that nothing is lost.
    """

    folder: Path | None
    head: Head
    rows: list[Row] = field(default_factory=list)
    _begun: bool = False

    def append(self, row: Row) -> None:
        """Add a row, on disk when this returns; raises `StorageError` where the disk refuses."""
        anew = bool(self.rows) and self.rows[-1]["step"] >= row["step"]
        self.rows[:] = [r for r in self.rows if r["step"] < row["step"]]
        self.rows.append(row)
        if self.folder is None:
            return
        if anew or not self._begun:
            self._rewrite()
        else:
            Journal(self.folder / LOG).record(**_event("measured", row))

    def restore(self, rows: Sequence[Row], *, write: bool = True) -> None:
        """Go on from rows that were kept with a checkpoint; later ones are redone.

        Of several processes one may `write`.
        """
        self.rows[:] = [dict(r) for r in rows]
        if self.folder is not None and self.rows and write:
            self._rewrite(own=True)

    def close(self, **facts: Any) -> None:
        """Note that training has ended."""
        if self.folder is not None and self._begun:
            Journal(self.folder / LOG).record("end", **facts)

    def _rewrite(self, *, own: bool = False) -> None:
        """Write head and rows; a file not of this training is set aside first."""
        assert self.folder is not None
        ensure_writable(self.folder)
        path = self.folder / LOG
        if path.exists() and not self._begun and not own:
            path.rename(_free(self.folder))
        records = [self.head.record(), *(_event("measured", r) for r in self.rows)]
        write_bytes(path, "".join(json.dumps(r) + "\n" for r in records).encode())
        self._begun = True


def _event(event: str, row: Mapping[str, Any]) -> Row:
    return {"event": event, **row}


def _free(folder: Path) -> Path:
    """A name that no file has yet."""
    stem, _, end = LOG.partition(".")
    number = 1
    while (folder / f"{stem}-{number}.{end}").exists():
        number += 1
    return folder / f"{stem}-{number}.{end}"


def plain(value: Any) -> Any:
    """A number, or a list of them, as JSON can hold it: None for NaN and infinity."""
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    found = float(value)
    if not math.isfinite(found):
        return None
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else found
