"""How long what is left of a run will take, from how long its units took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Pace:
    """Seconds a unit by group, seconds a forward pass, and the workers.

    ``passes`` is what a unit of each group costs in forward passes, also of groups not begun.
    ``per_pass`` is what was timed before the run began; without it, the mean over the units, in
    which a first unit of a pass or two counts what it had to load as well.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    passes: Mapping[str, float] = field(default_factory=dict)
    per_pass: float | None = None
    workers: int = 1


def pace(records: Iterable[Mapping[str, Any]]) -> Pace:
    """The pace that a log tells: the mean over all its units, by group.

    >>> log = [{"event": "plan", "workers": 2, "passes": {"a": 1.0, "b": 5.0}}]
    >>> log += [{"event": "unit", "group": "a", "unit": k, "seconds": 3.0} for k in range(2)]
    >>> pace(log).per_pass, pace(log).workers
    (3.0, 2)
    """
    passes: dict[str, float] = {}
    timed: float | None = None
    spent: dict[str, list[float]] = {}
    workers = 1
    for record in records:
        if record.get("event") == "plan":
            passes, workers = dict(record["passes"]), int(record["workers"])
            timed = record.get("per_pass") or timed
        elif record.get("event") == "unit":
            spent.setdefault(str(record["group"]), []).append(float(record["seconds"]))
    cost = sum(passes.get(name, 0.0) * len(times) for name, times in spent.items())
    known = sum(sum(times) for name, times in spent.items() if name in passes)
    seconds = {name: sum(times) / len(times) for name, times in spent.items()}
    if timed is None and cost:
        timed = known / cost
    return Pace(seconds, passes, timed, workers)


def seconds_left(left: Mapping[str, int], known: Pace) -> float | None:
    """Seconds for so many units of each group at a pace; None where the log cannot tell.

    Units of a group that has none yet are estimated from their cost in passes; workers are taken
    to be always busy, but a unit to be one worker's: it is never less than the longest takes. What
    else runs on the machine then is not known.

    >>> log = [{"event": "plan", "workers": 2, "passes": {"a": 1.0, "b": 5.0}}]
    >>> log += [{"event": "unit", "group": "a", "unit": 0, "seconds": 3.0}]
    >>> seconds_left({"a": 7, "b": 1}, pace(log))  # (7 * 3 + 5 * 3) / 2 workers
    18.0
    >>> seconds_left({"a": 1, "b": 1}, pace(log))  # one worker has b
    15.0
    """
    total = longest = 0.0
    for name, count in left.items():
        if not count:
            continue
        each = known.seconds.get(name)
        if each is None and known.per_pass is not None and name in known.passes:
            each = known.passes[name] * known.per_pass
        if each is None:
            return None
        total += count * each
        longest = max(longest, each)
    return max(total / known.workers, longest)
