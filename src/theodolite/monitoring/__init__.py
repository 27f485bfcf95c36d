"""The landscape during training: what is measured, when, and what it may cost."""

from __future__ import annotations

from theodolite.monitoring.measures import MEASURES, Measure
from theodolite.monitoring.moment import Moment
from theodolite.monitoring.monitor import Monitor
from theodolite.monitoring.stability import Stability, stability

__all__ = ["MEASURES", "Measure", "Moment", "Monitor", "Stability", "stability"]
