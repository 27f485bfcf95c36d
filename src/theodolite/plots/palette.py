"""The colors of every picture: one surface map, two signs, and the inks around them."""

from __future__ import annotations

INK = "#17212b"
"""Text and the marks that must be seen first."""
ON_FIELD = "#101824"
"""Lines and marks on a colored field: they stay dark when a page's ink turns light."""
MUTED = "#56616d"
"""Ticks, notes and second lines; 4.5 : 1 on white and on the light panels."""
RULE = "#d9dee4"
"""Thin rules."""
GAP = "#8b95a1"
"""Hatching of what has no value."""
NEGATIVE = "#b4500f"
POSITIVE = "#1f66ad"
"""The two ends of the map centered at zero: orange below, blue above."""
SERIES = ("#1f66ad", "#b4500f", "#a2317c", "#616b0d")
"""One color a compared model, in order; past the fourth they repeat with another dash."""
DASHES = (
    "solid",
    (0.0, (5.0, 2.0)),
    (0.0, (1.5, 1.5)),
    (0.0, (5.0, 1.5, 1.5, 1.5)),
)
SURFACE = "cividis"
"""Monotone in lightness and safe for color-blind readers."""


def series_color(index: int) -> str:
    """The color of the model at `index`.

    >>> series_color(0) == series_color(4)
    True
    """
    return SERIES[index % len(SERIES)]


def series_dash(index: int) -> str | tuple[float, tuple[float, ...]]:
    """The dash of the model at `index`: color alone never tells two lines apart."""
    return DASHES[(index + index // len(SERIES)) % len(DASHES)]
