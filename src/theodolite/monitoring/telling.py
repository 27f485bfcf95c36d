"""Telling others what was measured, and the user what went wrong, without stopping training."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from theodolite.engines.snapshot import preserved
from theodolite.errors import TheodoliteWarning
from theodolite.monitoring import lines
from theodolite.monitoring.measuring import attempted

if TYPE_CHECKING:
    from theodolite.monitoring.monitor import Monitor


def tell(monitor: Monitor, body: Callable[[], Any], heard: Sequence[str] = ()) -> bool:
    """Run `body`, random generators kept; returns whether it went well.

    A failure, and what was `heard`, is warned of once each.
    """
    trouble = attempted(lambda: preserved((), body))[1]
    for text in (*heard, *([f"{trouble} Training goes on without it."] if trouble else [])):
        if text not in monitor._told:
            monitor._told.add(text)
            attempted(lambda t=text: warnings.warn(t, TheodoliteWarning, stacklevel=6))  # type: ignore[misc]
    return not trouble


def publish(
    monitor: Monitor, row: dict[str, Any], values: Mapping[str, Any], heard: Sequence[str]
) -> None:
    """To the log, the trackers and the terminal; none of them may stop the training."""
    ranks = monitor.objective.ranks
    if ranks is not None and ranks.rank != 0:
        monitor._log.rows.append(row)
        return
    tell(monitor, lambda: monitor._log.append(row), heard)
    flat = {k: v for k, v in lines.flat(values).items() if math.isfinite(v)}
    for tracker in tuple(monitor.trackers):
        if not tell(monitor, lambda t=tracker: t(flat, row["step"])):  # type: ignore[misc]
            monitor.trackers.remove(tracker)
    if monitor.show:
        spent = monitor._schedule.account.measuring + row["measuring_seconds"]
        trained = row["training_seconds"]
        lines.say(lines.line_of(row, spent / trained if trained > 0 else math.nan))
