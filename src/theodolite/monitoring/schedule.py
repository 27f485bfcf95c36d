"""When to measure: by steps, epochs or a share of the time, and never beyond a budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from theodolite.errors import InvalidArgument

AHEAD = 2
"""Steps before a measurement at which parameters are kept, for the angle between steps."""


@dataclass(frozen=True)
class Every:
    """The wish: every so many `steps` (0: not by steps), every epoch, or as often as affordable.

    ``share`` is the largest share of the training time that measuring may take; None for no
    limit.
    """

    steps: int = 0
    epochs: bool = False
    share: float | None = None


def every_of(every: Any, budget: Any) -> Every:
    """What `every` and `budget` ask for; raises `InvalidArgument` (E-M01, E-M02).

    >>> every_of(100, 0.05), every_of("5%", None).share, every_of("epoch", None).epochs
    (Every(steps=100, epochs=False, share=0.05), 0.05, True)
    """
    limit = None if budget is None else _share(budget)
    if limit is not None and not 0 < limit < 1:
        raise InvalidArgument(
            "budget must be None, or a share of the training time between 0 and 1; "
            f"got {budget!r}.",
            fix="pass budget=0.05 or budget='5%'.",
            code="E-M02",
        )
    if isinstance(every, str) and every == "epoch":
        return Every(epochs=True, share=limit)
    if isinstance(every, int) and not isinstance(every, bool) and every >= 1:
        return Every(steps=every, share=limit)
    share = _share(every)
    if not 0 < share < 1:
        raise InvalidArgument(
            "every must be a whole number of steps, 'epoch', or a share of the training time "
            f"between 0 and 1; got {every!r}.",
            fix="pass every=100, every='epoch', every=0.05 or every='5%'.",
            code="E-M01",
        )
    return Every(share=share)


def _share(value: Any) -> float:
    """A share given as a number or in percent; NaN for anything else."""
    text = value.strip() if isinstance(value, str) else ""
    try:
        found = float(text[:-1]) / 100 if text.endswith("%") else math.nan
    except ValueError:
        found = math.nan
    return value if isinstance(value, float) else found


GRACE = 1.0
"""Seconds that a first measurement may always take: a short training shall have one."""


@dataclass(eq=False)
class Account:
    """Seconds of training and of measuring so far, and what the last measurement took.

    ``ahead`` is what it left out for want of time, which the next will take besides.
    """

    clock: Callable[[], float] = time.perf_counter
    measuring: float = 0.0
    last: float | None = None
    ahead: float = 0.0
    _began: float | None = None
    _earlier: float = 0.0
    _measured_here: float = 0.0

    def begin(self) -> None:
        """Training is under way; only the first call counts."""
        if self._began is None:
            self._began = self.clock()

    def training(self) -> float:
        """Seconds of training: all time since it began but that spent measuring."""
        if self._began is None:
            return self._earlier
        return self._earlier + max(0.0, self.clock() - self._began - self._measured_here)

    def spend(self, seconds: float, *, whole: bool) -> None:
        """Book seconds of measuring; `whole` for a measurement, not for a copy before one."""
        self.measuring += seconds
        self._measured_here += seconds
        if whole:
            self.last = seconds + self.ahead

    def affordable(self, share: float | None, ahead: float | int = 0.0) -> bool:
        """Whether one more measurement like the last stays within the share; the first always is,
        since it leaves out what does not fit into its `room`.

        `ahead` seconds of training are still to come before it.

        >>> Account(measuring=1.0, last=1.0, _earlier=39.0).affordable(0.05)
        False
        >>> Account(measuring=1.0, last=1.0, _earlier=40.0).affordable(0.05)
        True
        """
        if share is None or self.last is None:
            return True
        return self.measuring + self.last <= share * (self.training() + ahead)

    def room(self, share: float | None) -> float | None:
        """Seconds the first measurement may take; None where there is no limit, or one was made.

        >>> Account(_earlier=60.0).room(0.05), Account(_earlier=2.0).room(0.05)
        (3.0, 1.0)
        """
        if share is None or self.last is not None:
            return None
        return max(share * self.training() - self.measuring, GRACE)

    def share(self) -> float:
        """The share of the training time that measuring took so far."""
        trained = self.training()
        return self.measuring / trained if trained > 0 else math.nan

    def state(self) -> dict[str, float | None]:
        return {"measuring": self.measuring, "training": self.training(), "last": self.last}

    def restore(self, state: dict[str, Any]) -> None:
        self.measuring, self.last = float(state["measuring"]), state["last"]
        self._earlier, self._began, self._measured_here = float(state["training"]), None, 0.0


@dataclass(eq=False)
class Schedule:
    """Decides at every step whether to measure, to keep the parameters for it, or neither."""

    every: Every
    account: Account = field(default_factory=Account)
    skipped: int = 0
    epoch: int = 0
    target: int | None = None

    def due(self, step: int, epoch: float | int | None) -> bool:
        """Whether to measure now; a measurement that is due and too dear is counted and skipped."""
        if self.every.epochs:
            wanted = self._new_epoch(epoch)
        elif self.every.steps:
            wanted = step % self.every.steps == 0
        else:
            wanted = self.target is not None and step >= self.target
        if not wanted:
            return False
        self.target = None
        affordable = self.account.affordable(self.every.share)
        self.skipped += not affordable
        return affordable

    def room(self) -> float | None:
        """Seconds that the measurement now due may take, if it is the first."""
        return self.account.room(self.every.share)

    def nearing(self, step: int) -> bool:
        """Whether a measurement comes within `AHEAD` steps."""
        if self.every.epochs:
            return False
        if self.every.steps:
            away = -step % self.every.steps
            near = 0 < away <= AHEAD or self.every.steps <= AHEAD
            pace = self.account.training() / step if step else 0.0
            return near and self.account.affordable(self.every.share, pace * away)
        if self.target is None and self.account.affordable(self.every.share):
            self.target = step + AHEAD
        return self.target is not None

    def _new_epoch(self, epoch: float | int | None) -> bool:
        if epoch is None:
            raise InvalidArgument(
                "every='epoch' needs to be told the epoch.",
                fix="call monitor.step(optimizer, epoch=epoch).",
                code="E-M03",
            )
        now = math.floor(epoch + 1e-6)
        new, self.epoch = now > self.epoch, now
        return new
