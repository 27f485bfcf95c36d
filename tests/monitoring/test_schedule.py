"""When a monitor measures, and what it may cost.

Oracle: a clock made of numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

import theodolite as td
from theodolite.errors import InvalidArgument
from theodolite.monitoring import schedule
from theodolite.monitoring.measures import Measure
from theodolite.monitoring.schedule import Account, Every, Schedule, every_of


@dataclass
class Clock:
    """Seconds that pass when told to."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def played(
    wish: Every, steps: int, *, cost: float, pace: float = 1.0
) -> tuple[list[int], Schedule, list[int]]:
    """Steps measured and steps kept in a training of `pace` seconds a step."""
    clock = Clock()
    schedule = Schedule(wish, Account(clock))
    measured, kept = [], []
    schedule.account.begin()
    for step in range(1, steps + 1):
        clock.now += pace
        if schedule.due(step, None):
            clock.now += cost
            schedule.account.spend(cost, whole=True)
            measured.append(step)
            if wish.share is not None and len(measured) > 1:
                spent, trained = schedule.account.measuring, schedule.account.training()
                assert spent <= wish.share * trained + 1e-9
        elif schedule.nearing(step):
            kept.append(step)
    return measured, schedule, kept


def test_every_so_many_steps_without_a_budget() -> None:
    measured, schedule, kept = played(Every(steps=5), 20, cost=100.0)
    assert measured == [5, 10, 15, 20]
    assert kept == [3, 4, 8, 9, 13, 14, 18, 19]
    assert schedule.skipped == 0


def test_what_is_too_dear_is_skipped_and_counted() -> None:
    # Kills: a budget that looks at the last measurement alone; time spent measuring counted as
    # training; skipped measurements not counted. By hand: 2 seconds each, 5 %: 40 steps apart.
    measured, schedule, kept = played(Every(steps=10, share=0.05), 200, cost=2.0)
    assert measured == [10, 80, 120, 160, 200]
    assert schedule.skipped == 20 - 5
    assert {8, 9, 78, 79, 118, 119} <= set(kept)
    assert 18 not in kept


def test_a_share_is_used_up_and_not_exceeded() -> None:
    # Kills: a first measurement that is never made; a rate that does not adapt to its cost.
    cheap, _, _ = played(Every(share=0.05), 1000, cost=0.5)
    dear, schedule, kept = played(Every(share=0.05), 1000, cost=5.0)
    assert len(cheap) == pytest.approx(1000 * 0.05 / 0.5, rel=0.25)
    assert len(dear) == pytest.approx(1000 * 0.05 / 5.0, abs=1)
    assert all({s - 1, s - 2} <= set(kept) for s in dear)
    assert schedule.skipped == 0


def test_epochs() -> None:
    schedule = Schedule(Every(epochs=True))
    told = [0.0, 0.5, 1.0, 1.5, 1.9999999, 2.5, 3.0, 3.0]
    assert [schedule.due(k, e) for k, e in enumerate(told)] == [
        *(False, False, True, False, True, False, True, False)
    ]
    with pytest.raises(InvalidArgument, match="every='epoch' needs"):
        schedule.due(9, None)


def test_an_account_is_kept_across_a_restart() -> None:
    # Kills: a fresh budget after every restart.
    clock = Clock()
    first = Account(clock)
    first.begin()
    clock.now = 30.0
    first.spend(2.0, whole=True)
    second = Account(Clock(now=7.0))
    second.restore(first.state())
    second.begin()
    assert (second.training(), second.measuring, second.last) == (28.0, 2.0, 2.0)
    assert not second.affordable(0.05)


@pytest.mark.parametrize("every", [0, -3, True, "often", "0%", "150%", 1.5, None, float("nan")])
def test_wishes_that_mean_nothing_are_refused(every: object) -> None:
    with pytest.raises(InvalidArgument, match="every must be a whole number of steps") as caught:
        every_of(every, None)
    assert caught.value.code == "E-M01"


def test_a_budget_that_means_nothing_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="budget must be None, or a share"):
        every_of(10, 2)


def test_a_first_measurement_leaves_out_what_does_not_fit_its_share(monkeypatch):
    """Kills: a budget that the first measurement does not keep, dear measures left out for good,
    a second of a short training that is not given, explicit measurements cut."""
    monkeypatch.setattr(schedule, "GRACE", 0.0)
    time = [0.0]

    def taking(seconds: float) -> Callable[[Any], dict[str, float]]:
        def made(_: Any) -> dict[str, float]:
            time[0] += seconds
            return {"value": seconds}

        return made

    measures = [
        Measure("cheap", {"cheap": "c"}, taking(0.5), passes=1),
        Measure("dear", {"dear": "d"}, taking(40.0), passes=80),
        Measure("own", {"own": "o"}, taking(0.25)),
    ]
    data = torch.randn(8, 2), torch.randn(8, 1)
    objective = td.Objective(torch.nn.Linear(2, 1), torch.nn.MSELoss(), data)
    monitor = td.Monitor(objective, every=1, budget=0.05, measures=measures)
    monitor._schedule.account.clock = lambda: time[0]
    monitor.step()
    row = monitor._log.rows[0]
    assert set(row["measured"]) == {"cheap", "own"}
    assert "about 40 s, and the budget leaves 0 s" in row["failures"]["dear"]
    time[0] += 100.0
    assert monitor.step() is None  # 5 s are not enough for 40.75
    time[0] += 900.0
    monitor.step()
    assert set(monitor._log.rows[1]["measured"]) == {"cheap", "dear", "own"}
    assert monitor.share <= 0.05
    other = td.Monitor(objective, every=1, budget=0.05, measures=measures)
    other._schedule.account.clock = lambda: time[0]
    other.measure()
    assert set(other._log.rows[0]["measured"]) == {"cheap", "dear", "own"}
