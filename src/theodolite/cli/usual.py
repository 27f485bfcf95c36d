"""What a command measures beyond its preset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEFT_OUT = (False, 0, "basic")
"""Values of a preset that leave a part of a measure out."""


def beyond(preset: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in `usual` that `preset` leaves out; what the preset measures stays.

    >>> beyond({"tails": 0, "probes": 64}, {"tails": 8, "probes": 32})
    {'tails': 8}
    """
    return {name: value for name, value in usual.items() if preset.get(name) in LEFT_OUT}
