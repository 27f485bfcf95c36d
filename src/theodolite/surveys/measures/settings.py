"""Settings of measures as they come from a preset, a file or a command line, checked by name."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from theodolite.errors import InvalidArgument, TheodoliteWarning
from theodolite.linalg.thick_restart import BASIS, NUMBERS

PRODUCT = 6.0
"""A Hessian-vector product costs about as much as so many forward passes."""

DOUBLE = 3.0
"""A pass in float64 costs about as much as so many in float32 (two of a transformer, three of
convolutions on a CPU)."""

HOLDS = 14
"""Vectors of the network's size that a Hessian-vector product holds: point, vector, product, and
what a graph of the gradient saves of the parameters."""


def basis_of(count: int, size: int) -> int:
    """Vectors that `ritz_pairs` holds by default for so many pairs."""
    return max(2 * count + 30, min(size, BASIS, NUMBERS // size))


FIX = "leave it out for the usual value; theodolite list measures shows those of every preset."
"""What to do about a setting that is out of range."""

MOST = 1_000_000
"""Counts beyond which a number is taken for a mistake: a plan holds one entry for each."""


def count_of(settings: Mapping[str, Any], measure: str, name: str, least: int = 1) -> int:
    """A whole number of at least `least` and at most `MOST`."""
    value = settings[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidArgument(
            f"{name} of {measure} must be a whole number, at least {least}; got {value!r}.",
            fix=FIX,
            code="E-S07",
        )
    if value > MOST:
        raise InvalidArgument(
            f"{name} of {measure} must be at most {MOST:,}; got {value:,}.",
            fix="use fewer; theodolite list measures shows usual numbers.",
            code="E-S07",
        )
    return value


def warn_of_fewer(asked: int, size: int, setting: str, usual: Iterable[int]) -> None:
    """Say that fewer eigenvalues are found than were asked for; nothing for `usual` numbers.

    A preset is made for networks of any size: nobody asked for its number.
    """
    if asked > size and asked not in usual:
        warnings.warn(
            TheodoliteWarning(
                f"{setting} asks for {asked:,}, and a model of {size:,} parameters has no more "
                f"than {size:,} eigenvalues: all of them are found."
            ),
            stacklevel=2,
        )


def share_of(settings: Mapping[str, Any], measure: str, name: str) -> float:
    """A number above 0 and below 1."""
    value = settings[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise InvalidArgument(
            f"{name} of {measure} must lie between 0 and 1; got {value!r}.", code="E-S07"
        )
    return float(value)


def normalization_of(settings: Mapping[str, Any], measure: str) -> str | None:
    """One of the ways to normalize directions; "none" is None."""
    value = settings["normalize"]
    allowed = ("filter", "layer", "model", "none")
    if value not in allowed:
        raise InvalidArgument(
            f"normalize of {measure} must be one of {', '.join(allowed)}; got {value!r}.",
            code="E-S07",
        )
    return None if value == "none" else str(value)


def flag_of(settings: Mapping[str, Any], measure: str, name: str) -> bool:
    """True or false."""
    value = settings[name]
    if not isinstance(value, bool):
        raise InvalidArgument(
            f"{name} of {measure} must be true or false; got {value!r}.", code="E-S07"
        )
    return value
