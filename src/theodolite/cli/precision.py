"""What the examples used say about the loss, before anything else is measured."""

from __future__ import annotations

import math

from theodolite.reporting.precision import known_to, more_would_give
from theodolite.surveys.target import Target


def precision_line(target: Target) -> str:
    """How well the loss is known at the start, and the examples that more would need."""
    made, design = target.objective.start_pass, target.objective.design
    loss, error = made.loss(), made.loss_error()
    if loss == 0 or not math.isfinite(error):
        return f"{'Examples':9}too few for an error of the loss"
    whole = None if design is None else design.population
    more = more_would_give(loss, error, len(made.losses), whole)
    how = "" if design is None else f" (sample {design.label})"
    return f"{'Examples':9}{known_to(loss, error)}{how}" + (f"; {more}" if more else "")
