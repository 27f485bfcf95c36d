"""When a monitor measures, and what it may cost.

Oracle: a clock made of numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from theodolite.errors import InvalidArgument
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
