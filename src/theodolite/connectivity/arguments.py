"""What every measure of connectivity asks of its arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from theodolite.errors import InvalidArgument


def count(value: Any, name: str, *, least: int) -> int:
    """A whole number that is large enough."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise InvalidArgument(
            f"{name} must be a whole number, {least} or more; got {value!r}.", code="E-A01"
        )
    return int(value)


def share(value: Any, name: str) -> float:
    """A number above 0 and below 1."""
    number = isinstance(value, int | float | np.floating) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 < value < 1:
        raise InvalidArgument(f"{name} must lie between 0 and 1; got {value!r}.", code="E-A02")
    return float(value)
