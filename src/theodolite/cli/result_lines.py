"""What a run says of its results on the terminal beside the headline numbers."""

from __future__ import annotations

from collections.abc import Iterator

import xarray as xr

from theodolite.cli import (
    average_lines,
    connect_lines,
    edge_lines,
    noise_lines,
    sharpness_lines,
    spectrum_lines,
    study_lines,
)

FAMILIES = (
    spectrum_lines,
    sharpness_lines,
    noise_lines,
    connect_lines,
    average_lines,
    edge_lines,
    study_lines,
)


def told(tree: xr.DataTree) -> Iterator[str]:
    """The tables and sentences of every family that has any."""
    return (text for family in FAMILIES if (text := family.lines(tree)))
