"""Spans of time as people write and read them."""

from __future__ import annotations

import math
import re

from theodolite.errors import InvalidArgument

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FORM = re.compile(r"(?:(\d+(?:\.\d+)?)([smhd]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def parse_duration(text: str) -> float:
    """Seconds in ``90``, ``90s``, ``10m``, ``1h30m`` or ``2d``.

    >>> parse_duration("1h30m"), parse_duration("90")
    (5400.0, 90.0)
    """
    cleaned = text.strip().lower()
    if re.fullmatch(r"\d+(?:\.\d+)?", cleaned):
        return float(cleaned)
    if not _FORM.fullmatch(cleaned):
        raise InvalidArgument(
            f"a span of time must look like 90s, 10m or 1h30m; got {text!r}.", code="E-I02"
        )
    return float(sum(float(n) * SECONDS[unit] for n, unit in _PART.findall(cleaned)))


def about(seconds: float) -> str:
    """A span of time in words, rounded as an estimate deserves.

    >>> about(0.3), about(42.0), about(200.0), about(9000.0)
    ('less than 1 s', 'about 42 s', 'about 3 min', 'about 2.5 h')
    """
    if not math.isfinite(seconds):
        return "an unknown time"
    if seconds < 1:
        return "less than 1 s"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.2g} h"


def clock(seconds: float) -> str:
    """A span of time as ``1:24`` or ``1:02:03``.

    >>> clock(84.0), clock(3723.0)
    ('1:24', '1:02:03')
    """
    if not math.isfinite(seconds):
        return "-:--"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    tail = f"{whole % 60:02d}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"
