"""Settings that a run's files lack because they were written before the settings existed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from theodolite.errors import InvalidArgument, TheodoliteWarning
from theodolite.surveys.configuration import Configuration, read_toml, toml_value
from theodolite.surveys.identity import flat
from theodolite.surveys.plan import Measure
from theodolite.surveys.tables import table_of

ORIGIN = "theodolite survey --config FILE -o NEW measures anew with its settings."


def with_later_settings(
    configuration: Configuration, path: Path, table: Mapping[str, Measure] | None = None
) -> Configuration:
    """The configuration read from `path` with what it lacks as the preset has it, and a warning.

    Raises `InvalidArgument` for a measure (E-D50), a preset (E-D51) or a setting (E-D52) that this
    version does not know.
    """
    table = table_of(configuration.measures) if table is None else table
    settings: dict[str, Mapping[str, Any]] = dict(configuration.settings)
    added: list[str] = []
    for name in configuration.measures:
        presets = _presets(name, configuration.preset, path, table)
        given = settings.get(name, {})
        stranger = next((k for k in given if k not in presets), None)
        if stranger is not None:
            raise InvalidArgument(
                f"{path} has a setting {stranger!r} of {name}, which this version does not know.",
                why="another version of Theodolite wrote it.",
                fix=f"resume with that version; {ORIGIN}",
                code="E-D52",
            )
        lacking = {k: v for k, v in presets.items() if k not in given and v is not None}
        unset = {k: None for k, v in presets.items() if v is None}  # TOML has no word for it
        settings[name] = {**unset, **given, **lacking}
        added += [f"{name}.{k} = {toml_value(v)}" for k, v in lacking.items()]
    if added:
        warnings.warn(
            TheodoliteWarning(
                f"{path} was written before these settings existed; the run goes on with their "
                f"usual values: {', '.join(added)}."
            ),
            stacklevel=2,
        )
    return replace(configuration, settings=settings)


def grown(
    recorded: Mapping[str, Any],
    identity: Mapping[str, Any],
    path: Path,
    table: Mapping[str, Measure] | None = None,
) -> dict[str, Any]:
    """A recorded identity with the settings it lacks, where the run goes on with usual values.

    A setting that it lacks and that now has another value is left out: that is a difference.
    """
    file = path / "config.toml"
    lacking = {k: v for k, v in identity.items() if k not in recorded and "." in k}
    if not lacking or not file.exists():
        return dict(recorded)
    table = table_of(identity["measures"]) if table is None else table
    preset = read_toml(file).get("preset", "quick")
    known = [m for m in identity["measures"] if m in table]
    usual = flat({m: table[m].presets.get(preset, {}) for m in known}, "")
    return {**recorded, **{k: v for k, v in lacking.items() if k in usual and usual[k] == v}}


def _presets(name: str, preset: str, path: Path, table: Mapping[str, Measure]) -> Mapping[str, Any]:
    if name not in table:
        raise InvalidArgument(
            f"{path} asks for a measure {name!r}, which this version does not know.",
            why="another version of Theodolite wrote it.",
            fix=f"resume with that version; {ORIGIN}",
            code="E-D50",
        )
    if preset not in table[name].presets:
        raise InvalidArgument(
            f"{path} names a preset {preset!r}; it must be one of "
            f"{', '.join(table[name].presets)}.",
            fix="correct that line of the file.",
            code="E-D51",
        )
    return table[name].presets[preset]
