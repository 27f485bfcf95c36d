"""Trackers by what they can do, each as its documentation has it.

Oracle: stand-ins that record their calls; the real ones have tests beside this one.
"""

from __future__ import annotations

from typing import Any

import pytest

from theodolite.errors import InvalidType
from theodolite.integrations.trackers import tracker_of


class Recording:
    """Records every call of the methods it is made with."""

    def __init__(self, *methods: str) -> None:
        self.calls: list[tuple[Any, ...]] = []
        for name in methods:
            setattr(self, name, self._recorder(name))

    def _recorder(self, name: str) -> Any:
        return lambda *args, **kw: self.calls.append((name, *args, *kw.items()))


VALUES = {"loss": 0.5, "sharpness": 3.0}
PREFIXED = {"theodolite/loss": 0.5, "theodolite/sharpness": 3.0}


def test_a_summary_writer_gets_one_scalar_a_value() -> None:
    writer = Recording("add_scalar", "log")
    tracker_of(writer)(VALUES, 10)
    assert writer.calls == [("add_scalar", name, value, 10) for name, value in PREFIXED.items()]


def test_mlflow_and_lightnings_loggers_get_all_metrics_at_once() -> None:
    logger = Recording("log_metrics")
    tracker_of(logger)(VALUES, 10)
    assert logger.calls == [("log_metrics", PREFIXED, ("step", 10))]


def test_a_wandb_run_gets_its_own_axis_and_no_step_of_its_own() -> None:
    # Kills: step= in run.log, after which W&B refuses what the user logs with an earlier one.
    run = Recording("log", "define_metric")
    tracker_of(run)(VALUES, 10)
    assert run.calls == [
        ("define_metric", "theodolite/step"),
        ("define_metric", "theodolite/*", ("step_metric", "theodolite/step")),
        ("log", {**PREFIXED, "theodolite/step": 10}),
    ]


def test_a_function_gets_the_names_as_they_are_and_others_are_refused() -> None:
    seen: list[Any] = []
    tracker_of(lambda *args: seen.append(args))(VALUES, 10)
    assert seen == [(VALUES, 10)]
    with pytest.raises(InvalidType, match="a tracker must be"):
        tracker_of(3)
