"""The headline numbers a survey wrote, read back and checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from theodolite.errors import InvalidData
from theodolite.reporting.numbers import Number


@dataclass(frozen=True)
class Headline:
    """One headline number; ``samples`` are the draws behind it where they were kept.

    ``note`` is said beside the number, of this survey alone.
    """

    name: str
    label: str
    number: Number
    explain: str
    samples: tuple[float, ...] = ()
    note: str = ""


def written_headline(attrs: Mapping[str, Any]) -> tuple[Headline, ...]:
    """The headline of a survey's root attributes; empty where it has none."""
    return tuple(_row(row) for row in json_attr(attrs, "headline", list))


def json_attr(attrs: Mapping[str, Any], name: str, kind: type) -> Any:
    """The attribute `name`, kept as JSON text, read back; an empty `kind` where it is missing."""
    if name not in attrs:
        return kind()
    try:
        value = json.loads(attrs[name]) if isinstance(attrs[name], str) else attrs[name]
    except json.JSONDecodeError as cause:
        raise InvalidData(
            f"attribute {name!r} of the survey is not JSON text: {cause}.",
            fix="run the survey again, or restore its results from a copy.",
            code="E-H02",
        ) from cause
    if not isinstance(value, kind):
        raise InvalidData(
            f"attribute {name!r} of the survey must hold a {kind.__name__}; "
            f"got {type(value).__name__}.",
            code="E-H02",
        )
    return value


def _row(row: Any) -> Headline:
    if not isinstance(row, Mapping) or not {"name", "label", "value"} <= row.keys():
        raise InvalidData(
            f"a headline number needs name, label and value; got {row!r}.",
            where="attribute 'headline' of the survey",
            code="E-H02",
        )
    number = Number(
        math.nan if row["value"] is None else float(row["value"]),
        None if row.get("error") is None else float(row["error"]),
        bool(row.get("exact", False)),
        str(row.get("unit") or ""),
    )
    explain, note = (str(row.get(key) or "") for key in ("explain", "note"))
    return Headline(str(row["name"]), str(row["label"]), number, explain, note=note)
