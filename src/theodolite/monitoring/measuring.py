"""One measurement: every measure on its own, under the guard, with what failed and why."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from theodolite.engines.snapshot import preserved
from theodolite.errors import InvalidArgument
from theodolite.monitoring.log import plain
from theodolite.monitoring.measures import Measure
from theodolite.monitoring.moment import Moment
from theodolite.monitoring.reading import at_present, parameters_of, source_of
from theodolite.monitoring.stability import Stability, stability
from theodolite.surveys.units import described

if TYPE_CHECKING:
    from theodolite.monitoring.monitor import Monitor

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Place:
    """Where training stands: steps and epochs done, optimizer, model, and parameters kept.

    ``room`` are the seconds that a first measurement may take, None for no limit.
    """

    step: int
    epoch: float | int | None
    optimizer: Any
    model: nn.Module | None
    start: Tensor
    kept: Mapping[int, Tensor]
    room: float | None = None


def measured(monitor: Monitor, place: Place) -> tuple[Row, dict[str, Any], list[str]]:
    """The row of a measurement, its values, and the warnings heard; the model is left as it was."""
    source = source_of(monitor.objective, place.model)
    modules = (monitor.objective.model, source)

    def body() -> tuple[Row, dict[str, Any], list[str]]:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            row, values = _row(monitor, place, source)
        return row, values, list(dict.fromkeys(str(w.message) for w in heard))

    buffers = {id(b): (b, b.detach().clone()) for m in modules for b in m.buffers()}
    try:
        return preserved(modules, body)
    finally:
        with torch.no_grad():
            for buffer, value in buffers.values():  # BatchNorm writes without a trace in versions
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


@dataclass(eq=False)
class Pace:
    """Seconds a pass takes in the first measurement, and what would not fit into its room."""

    room: float | None
    clock: Callable[[], float]
    left_out: float = 0.0
    _passes: float = 0.0
    _costed: float = 0.0
    _began: float = 0.0
    _last: float = 0.0

    def __post_init__(self) -> None:
        self._began = self._last = self.clock()

    def book(self, measure: Measure) -> None:
        """A measure has been made: what it took."""
        now = self.clock()
        if measure.passes:
            self._passes, self._costed = (
                self._passes + measure.passes,
                self._costed + now - self._last,
            )
        self._last = now

    def too_dear(self, measure: Measure, moment: Moment) -> str:
        """Why a measure must wait, or an empty text where it fits or nothing is known."""
        if self.room is None or not self._passes or not measure.passes:
            return ""
        if measure.name == "threshold" and "Hessian" in moment.warm and _plain(moment):
            return ""  # the eigenvalues are there already
        wanted = measure.passes * self._costed / self._passes
        spent = self.clock() - self._began
        if spent + wanted <= self.room:
            return ""
        self.left_out += wanted
        return (
            f"left out of the first measurement: about {wanted:.2g} s, and the budget leaves "
            f"{max(0.0, self.room - spent):.2g} s."
        )


def _plain(moment: Moment) -> bool:
    rule = attempted(moment.stability)[0]
    return rule is not None and rule.units is None and isinstance(rule.decay, float)


def _row(monitor: Monitor, place: Place, source: nn.Module) -> tuple[Row, dict[str, Any]]:
    values: dict[str, Any] = {}
    failures: dict[str, str] = {}
    found, trouble = attempted(lambda: _moment(monitor, place, source))
    pace = Pace(place.room, monitor._schedule.account.clock)
    for measure in monitor.measures:
        dear = "" if found is None else pace.too_dear(measure, found)
        if found is None or dear:
            failures[measure.name] = trouble or dear
            continue
        made, reason = attempted(lambda m=measure: dict(m.function(found)))  # type: ignore[misc]
        pace.book(measure)
        odd = attempted(lambda made=made: [plain(v) for v in (made or {}).values()])[1]  # type: ignore[misc]
        if reason or odd:
            failures[measure.name] = reason or odd
        else:
            values |= made
    notes = [] if found is None else found.notes
    row = {
        "step": place.step,
        "epoch": None if place.epoch is None else float(place.epoch),
        "values": {k: plain(v) for k, v in values.items()},
        "measured": [m.name for m in monitor.measures if m.name not in failures],
        "failures": failures,
        "notes": notes,
        "rule": _rule(found),
    }
    monitor._schedule.account.ahead = pace.left_out
    return row, values


def _moment(monitor: Monitor, place: Place, source: nn.Module) -> Moment:
    objective = at_present(monitor.objective, source)
    before = [place.kept.get(place.step - k) for k in (1, 2)]

    def stable() -> Stability:
        if place.optimizer is None:
            raise InvalidArgument(
                "there is no threshold without the optimizer.",
                fix="call monitor.step(optimizer).",
                code="E-M16",
            )
        return stability(place.optimizer, source, objective.space)

    return Moment(
        objective,
        parameters_of(objective, source),
        place.start,
        place.step,
        monitor.settings,
        stable,
        None if before[0] is None or before[1] is None else (before[0], before[1]),
        monitor._warm,
        verify=not monitor._log.rows,
    )


def _rule(moment: Moment | None) -> str | None:
    made = None if moment is None else attempted(moment.stability)[0]
    return None if made is None else made.rule


def attempted(body: Callable[[], Any]) -> tuple[Any, str]:
    """What `body` gives and an empty text, or None and why it failed.

    A training must not end because a measure did, whatever it raised; what is no failure (Ctrl-C,
    the end of the program) passes.
    """
    try:
        return body(), ""
    except BaseException as error:
        if isinstance(error, Exception):
            return None, described(error)
        raise
