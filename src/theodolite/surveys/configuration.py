"""``config.toml``: everything a survey was told, resolved, so that the file repeats it."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from theodolite.errors import InvalidArgument
from theodolite.surveys.durable import naming

_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Configuration:
    """A resolved survey: what is measured, on what, with which settings and seed.

    ``target`` is ``file.py:factory`` or ``package.module:factory``, or None for a target made in
    Python, which the command line cannot rebuild. ``settings`` holds one table a measure.
    """

    measures: tuple[str, ...]
    settings: Mapping[str, Mapping[str, Any]]
    preset: str = "quick"
    seed: int = 0
    limit: int | None = None
    target: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    device: str | None = None


KEYS = tuple(f.name for f in fields(Configuration))


def toml_key(name: str) -> str:
    return name if _BARE.fullmatch(name) else toml_text(name)


def toml_text(text: str) -> str:
    """A basic TOML string: JSON's escapes without those for surrogates, and one for DEL."""
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise InvalidArgument(
            f"{text!a} is not text: it holds bytes that are not UTF-8.",
            why="it could not be written to config.toml and read back.",
            fix="rename the file or pass another value.",
            code="E-S05",
        )
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_value(value: Any) -> str:
    """One TOML value; raises `InvalidArgument` for what TOML has no form for.

    >>> toml_value([(-1.0, 1), "a\\nb", True])
    '[[-1.0, 1], "a\\\\nb", true]'
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return toml_text(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{toml_key(str(k))} = {toml_value(v)}" for k, v in value.items())
        return "{" + inner + "}"
    raise InvalidArgument(
        f"a setting must be a number, text, true or false, or a list of them; got {value!r}.",
        why="it could not be written to config.toml and read back.",
        code="E-S05",
    )


def toml_table(name: str, table: Mapping[str, Any]) -> list[str]:
    """A table's lines; values that are None are left out, since absent means the same."""
    kept = {k: v for k, v in table.items() if v is not None}
    return [f"\n[{name}]", *(f"{toml_key(k)} = {toml_value(v)}" for k, v in kept.items())]


def to_toml(configuration: Configuration) -> str:
    """The text of ``config.toml``."""
    c = configuration
    flat = {k: getattr(c, k) for k in KEYS if k not in ("settings", "arguments")}
    lines = ["# Resolved settings of a survey: theodolite survey --config FILE repeats it."]
    if c.target is None:
        lines.append("# Its target was made in Python; run that program again to resume.")
    lines += [f"{k} = {toml_value(v)}" for k, v in flat.items() if v is not None]
    if c.arguments:
        lines += toml_table("arguments", c.arguments)
    for name in sorted(c.settings):
        lines += toml_table(f"settings.{toml_key(name)}", c.settings[name])
    return "\n".join(lines) + "\n"


def read_toml(path: Path) -> dict[str, Any]:
    """The settings in a file, checked by name; raises `InvalidArgument` naming file and key."""
    if not path.is_file():
        raise InvalidArgument(
            f"there is no file {path}.",
            where=str(Path.cwd()),
            fix="pass the config.toml that a run folder holds.",
            code="E-S46",
        )
    with naming(path, "reading"):
        content = path.read_bytes()
    try:
        found = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(
            f"{path} is not valid TOML: {error}.",
            fix="correct the line named, or start from the config.toml of a run.",
            code="E-S06",
        ) from error
    for key, value in found.items():
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            raise InvalidArgument(
                f"{path} has an unknown key {key!r}.",
                fix=f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(KEYS)}.",
                code="E-S06",
            )
        check_kind(path, key, value)
    return found


KINDS: dict[str, tuple[type, ...]] = {
    "measures": (list,),
    "settings": (dict,),
    "preset": (str,),
    "seed": (int,),
    "limit": (int,),
    "target": (str,),
    "arguments": (dict,),
    "checkpoint": (str,),
    "device": (str,),
}


def check_kind(path: Path, key: str, value: Any) -> None:
    """Raise unless `value` is of the kind `key` takes."""
    right = isinstance(value, KINDS[key]) and not isinstance(value, bool)
    inner: tuple[list[Any], type] = ([], object)
    if right and key == "measures":
        inner = (value, str)
    elif right and key == "settings":
        inner = (list(value.values()), dict)
    if not right or not all(isinstance(v, inner[1]) for v in inner[0]):
        allowed = {"measures": "a list of names", "settings": "tables, one a measure"}
        raise InvalidArgument(
            f"{key} in {path} must be {allowed.get(key, KINDS[key][0].__name__)}; got {value!r}.",
            code="E-S06",
        )


def from_table(table: Mapping[str, Any], path: Path | str = "config.toml") -> Configuration:
    """A table as `to_toml` writes it, as a configuration; raises `InvalidArgument` (E-D53) where
    it does not say what is measured."""
    if "measures" not in table:
        raise InvalidArgument(
            f"{path} does not say which measures the run makes.",
            fix="add the line measures = [...], with the names in its tables of settings.",
            code="E-D53",
        )
    table = {"settings": {}, **table}
    return Configuration(**{**table, "measures": tuple(table["measures"])})
