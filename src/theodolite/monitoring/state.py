"""Everything a monitor needs to go on after a restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from theodolite.errors import InvalidArgument

if TYPE_CHECKING:
    from theodolite.monitoring.monitor import Monitor


def state_of(monitor: Monitor) -> dict[str, Any]:
    """Plain containers and tensors, all copies."""
    schedule = monitor._schedule
    return {
        "format": 1,
        "steps": monitor.steps,
        "account": schedule.account.state(),
        "skipped": schedule.skipped,
        "epoch": schedule.epoch,
        "rows": [dict(r) for r in monitor._log.rows],
        "start": monitor._start.clone(),
        "warm": {k: v.clone() for k, v in monitor._warm.items()},
    }


def restore(monitor: Monitor, state: Mapping[str, Any]) -> None:
    """Put a monitor where `state_of` was taken; raises `InvalidArgument` (E-M09)."""
    start, own = state.get("start") if state.get("format") == 1 else None, monitor._start
    if not isinstance(start, Tensor) or start.shape != own.shape:
        raise InvalidArgument(
            "the state is not one of a monitor of this model.",
            why=f"it must hold the start of {len(own)} parameters.",
            fix="pass what monitor.state_dict() returned for the same model.",
            code="E-M09",
        )
    schedule = monitor._schedule
    schedule.account.restore(dict(state["account"]))
    schedule.skipped, schedule.epoch = int(state["skipped"]), int(state["epoch"])
    schedule.target = None
    monitor._steps = int(state["steps"])
    monitor._start = start.clone().to(own)
    monitor._warm = {k: v.clone().to(own) for k, v in state["warm"].items()}
    monitor._kept.clear()
    monitor._log.restore(state["rows"], write=not monitor._passive())
