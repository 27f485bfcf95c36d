"""What a survey can measure, by name."""

from __future__ import annotations

from collections.abc import Mapping

from theodolite.surveys.measures.start import background
from theodolite.surveys.plan import Measure

MEASURES: Mapping[str, Measure] = {}

__all__ = ["MEASURES", "background"]
