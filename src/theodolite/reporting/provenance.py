"""Where the numbers came from, as groups of facts a person can read, and the command to redo."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

Facts = tuple[tuple[str, str], ...]

TITLES = {
    "identity": "Configuration",
    "config": "Configuration",
    "git": "Source",
    "cost": "Cost",
    "hashes": "Hashes",
}
APART = ("command", "stretches", "schema")


def command_text(provenance: Mapping[str, Any]) -> str:
    """The command that makes the same numbers again, as it would be typed; empty without one."""
    command = provenance.get("command", "")
    if isinstance(command, str):
        return command
    return shlex.join(str(word) for word in command) if isinstance(command, Sequence) else ""


def fact_groups(provenance: Mapping[str, Any]) -> tuple[tuple[str, Facts], ...]:
    """Each group as (title, rows); facts outside a group come first, the cost last."""
    loose = tuple(
        (_name(k), fact_text(v))
        for k, v in provenance.items()
        if not isinstance(v, Mapping) and k not in APART
    )
    groups = [("Run", loose)] if loose else []
    for key, value in provenance.items():
        if isinstance(value, Mapping) and value:
            title = TITLES.get(str(key), _name(key).capitalize())
            groups.append((title, tuple((_name(k), fact_text(v)) for k, v in value.items())))
    cost = _cost(provenance.get("stretches", ()))
    return tuple([*groups, ("Cost", cost)] if cost else groups)


def fact_text(value: Any) -> str:
    """A recorded value as text.

    >>> fact_text([51, 51]), fact_text(True), fact_text({"a": None})
    ('51, 51', 'yes', 'a = none')
    """
    if isinstance(value, list | tuple):
        parts = [
            f"({fact_text(v)})" if isinstance(v, list | tuple) else fact_text(v) for v in value
        ]
        return ", ".join(parts)
    if isinstance(value, Mapping):
        return ", ".join(f"{k} = {fact_text(v)}" for k, v in value.items())
    if value is None:
        return "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _name(key: object) -> str:
    return str(key).replace("_", " ")


def _cost(stretches: Any) -> Facts:
    """Wall and processor time, summed over the stretches of work a run was made in."""
    known = [s for s in stretches if isinstance(s, Mapping) and "wall_seconds" in s]
    if not known:
        return ()
    wall, cpu = (sum(float(s.get(f"{k}_seconds", 0)) for s in known) for k in ("wall", "cpu"))
    rows = [("wall time", _time(wall)), ("processor time", _time(cpu))]
    if len(known) > 1:
        rows.append(("stretches of work", str(len(known))))
    return tuple(rows)


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
