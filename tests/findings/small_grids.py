"""A grid of networks small enough to be trained within a test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from theodolite.findings.finding import Finding


def small_grid(finding: Finding) -> Any:
    """The quick preset of `finding`, with 24 networks at most and a loss soon reached."""
    return replace(
        finding.preset("quick"),
        seeds=1,
        widths=(16, 24),
        batch_sizes=(10,),
        rates=(0.04, 0.06, 0.09),
        decays=(0.0,),
        examples=60,
        target=0.3,
        steps=500,
        directions=2,
    )
