"""The log of a monitored training, and the result it is read as; without torch.

``monitor.jsonl`` holds a head and one row a measurement, appended as they come: a killed training
leaves at most a torn line, which does not count.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from theodolite.errors import StorageError
from theodolite.results import FAILED, OK, TODO, Variable, dataset, status_variable
from theodolite.surveys.durable import naming
from theodolite.surveys.journal import parse

LOG = "monitor.jsonl"
"""The file in a run folder."""

FORMAT = 1

Row = dict[str, Any]

CLOCK = {
    "epoch": "epochs done",
    "training_seconds": "seconds of training so far, without measuring",
    "measuring_seconds": "seconds this measurement took",
}
"""What every row holds beside its values."""


@dataclass(frozen=True)
class Head:
    """What is true of the whole training: settings, and what each value is called.

    ``names`` maps a value to its long name, ``measures`` the name of a measure to the values it
    gives.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def record(self) -> Row:
        """The first line of the log."""
        return {
            "event": "monitor",
            "format": FORMAT,
            "facts": dict(self.facts),
            "names": dict(self.names),
            "measures": {k: list(v) for k, v in self.measures.items()},
        }


def read_log(folder: str | Path) -> tuple[Head, list[Row]]:
    """The head and the rows in a folder, in the order of steps.

    Raises `StorageError` where there is no log (E-M31), or one of a newer version (E-M32).
    """
    path = Path(folder) / LOG
    if not path.is_file():
        raise StorageError(
            f"{folder} holds no monitored training.",
            why=f"there is no {LOG} in it.",
            fix="pass the folder given to td.Monitor(folder=...).",
            code="E-M31",
        )
    with naming(path, "reading"):
        records, _ = parse(path.read_bytes())
    heads = [r for r in records if r.get("event") == "monitor"]
    if not heads or heads[0].get("format") != FORMAT:
        raise StorageError(
            f"{path} cannot be read.",
            why="it does not begin as a monitor of this version writes it.",
            fix="install the version of theodolite that wrote it, or move the file away.",
            code="E-M32",
        )
    head = Head(*(heads[0].get(k, {}) for k in ("facts", "names", "measures")))
    rows = {int(r["step"]): r for r in records if r.get("event") == "measured"}
    return head, [rows[k] for k in sorted(rows)]


def history_of(head: Head, rows: Sequence[Row]) -> xr.Dataset:
    """Rows as a "monitor" result over ``time``, in optimizer steps; a missing number is NaN.

    ``status(time, measure)`` tells a measure that failed from one that was not made, and
    ``attrs["failures"]`` says why, as JSON by step and measure.
    """
    names = list(head.measures)
    found = {k for r in rows for k in r["values"]}
    order = [k for m in names for k in head.measures[m] if k in found]
    order += sorted(found - set(order))
    variables: dict[str, Variable] = {
        name: (("time",), _column([r.get(name) for r in rows]), {"long_name": words})
        for name, words in CLOCK.items()
    }
    for name in order:
        words = head.names.get(name, name.replace("_", " "))
        values = [r["values"].get(name) for r in rows]
        several = any(isinstance(v, list) for v in values)
        filled = _matrix(values) if several else _column(values)
        dims = ("time", "pair") if several else ("time",)
        variables[name] = (dims, filled, {"long_name": words})
    marks = [[_mark(r, m) for m in names] for r in rows]
    shaped = np.asarray(marks, np.uint8).reshape(len(rows), len(names))
    variables["status"] = status_variable(("time", "measure"), shaped)
    failures = {str(r["step"]): r["failures"] for r in rows if r.get("failures")}
    notes = list(dict.fromkeys(n for r in rows for n in r.get("notes", ())))
    rules = list(dict.fromkeys(r["rule"] for r in rows if r.get("rule")))
    made = dataset(
        "monitor",
        variables,
        {"measure": names},
        **head.facts,
        failures=json.dumps(failures),
        notes=json.dumps(notes),
        rule=" then ".join(rules),
    )
    time = np.asarray([r["step"] for r in rows], np.int64)
    return made.assign_coords(time=("time", time, {"long_name": "optimizer steps"}))


def _mark(row: Row, measure: str) -> int:
    if measure in row.get("failures", {}):
        return FAILED
    return OK if measure in row.get("measured", ()) else TODO


def _column(values: Sequence[Any]) -> np.ndarray:
    return np.asarray([math.nan if v is None else float(v) for v in values], np.float64)


def _matrix(values: Sequence[Any]) -> np.ndarray:
    """Lists of different lengths as rows, filled up with NaN."""
    lists = [v if isinstance(v, list) else [] if v is None else [v] for v in values]
    out = np.full((len(lists), max(len(v) for v in lists)), math.nan)
    for row, found in zip(out, lists, strict=True):
        row[: len(found)] = [math.nan if v is None else float(v) for v in found]
    return out
