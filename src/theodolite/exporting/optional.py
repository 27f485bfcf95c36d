"""Packages that only some formats need: imported when asked for, or the extra is named."""

from __future__ import annotations

import importlib
from types import ModuleType

from theodolite.errors import InvalidArgument


def needed(module: str, *, extra: str, purpose: str) -> ModuleType:
    """The imported `module`; raises ``InvalidArgument`` (E-E10) naming the extra without it."""
    try:
        return importlib.import_module(module)
    except ImportError as cause:
        raise InvalidArgument(
            f"exporting {purpose} needs the package {module!r}, which cannot be imported.",
            why=str(cause),
            fix=f'pip install "theodolite[{extra}]"',
            code="E-E10",
        ) from cause
