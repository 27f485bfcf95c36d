"""Checkpoints of one or several runs, whatever they came as, with their times and rates."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from theodolite.errors import InvalidArgument, InvalidType
from theodolite.training import Recorder
from theodolite.training.checkpoints import STATE, saved_weights
from theodolite.training.recorder import INDEX
from theodolite.training.weights import read_plain

DROP = 0.5
"""A learning rate that was level and falls to this share of itself or less has dropped."""
LEVEL = 0.01
UNITS = ("step", "epoch")
"""What a number in a file's name counts, the finer one first."""
Source = str | Path | Tensor | Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Run:
    """One training: its checkpoints in order, when each was made and the rate at the time."""

    name: str
    sources: tuple[Any, ...]
    times: tuple[float, ...]
    rates: tuple[float, ...]
    dropped: tuple[bool, ...]
    unit: str
    available: int

    def thinned(self, most: int | None) -> Run:
        """At most `most` checkpoints, evenly spread, the first and the last among them.

        >>> run = run_of("a", [f"epoch_{k}.pt" for k in range(9)])
        >>> run.thinned(3).times
        (0.0, 4.0, 8.0)
        """
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 2):
            raise InvalidArgument(
                f"most must be a whole number of checkpoints, at least 2, or None; got {most!r}.",
                fix="pass 3 or more: fewer span no plane.",
                code="E-J07",
            )
        if most is None or len(self.sources) <= most:
            return self
        kept = np.unique(np.linspace(0, len(self.sources) - 1, most).round().astype(int))
        sources, times, rates = (
            tuple(values[k] for k in kept) for values in (self.sources, self.times, self.rates)
        )
        since = [0, *(kept[:-1] + 1)]  # what dropped at a checkpoint left out shows at the next
        dropped = tuple(any(self.dropped[a : b + 1]) for a, b in zip(since, kept, strict=True))
        return Run(self.name, sources, times, rates, dropped, self.unit, self.available)

    def drops(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """1 at the first checkpoint after the learning rate dropped from a level."""
        return np.asarray(self.dropped, dtype=np.uint8)

    def labels(self) -> tuple[str, ...]:
        """What an error calls the checkpoints: a file by its name, others by their time."""
        when = "checkpoint" if self.unit == "checkpoint" else f"the checkpoint at {self.unit}"
        whose = f" of run {self.name!r}" if self.name else ""
        return tuple(
            (source.name if isinstance(source, Path) else f"{when} {time:g}") + whose
            for source, time in zip(self.sources, self.times, strict=True)
        )


def runs_of(
    checkpoints: Any,
    *,
    times: Any = None,
    learning_rates: Any = None,
) -> tuple[Run, ...]:
    """One run, or several by name, from what `trajectory` takes."""
    several = isinstance(checkpoints, Mapping) and not _is_state(checkpoints)
    named = checkpoints if several else {"": checkpoints}
    if not named:
        raise InvalidArgument("there is no run.", fix="pass checkpoints.", code="E-J07")
    told = {"times": times, "learning_rates": learning_rates}
    parts = [_by_run(named, label, x) if several else {"": x} for label, x in told.items()]
    made = tuple(
        run_of(str(name), given, parts[0].get(name), parts[1].get(name))
        for name, given in named.items()
    )
    units = {run.unit for run in made}
    if len(units) > 1:
        raise InvalidArgument(
            f"the runs count time in different units: {', '.join(sorted(units))}.",
            fix="pass times= for every run.",
            code="E-J08",
        )
    return made


def _by_run(named: Mapping[Any, Any], label: str, given: Any) -> Mapping[Any, Any]:
    """What was told of several runs, refused where it names none of them."""
    if given is None:
        return {}
    known: Mapping[Any, Any] = given if isinstance(given, Mapping) else {}
    strange = [k for k in known if k not in named] if isinstance(given, Mapping) else [given]
    if strange:
        raise InvalidArgument(
            f"{label} of several runs must be a mapping from their names, "
            f"{', '.join(map(str, named))}; got {strange[0]!r:.80}.",
            fix=f"pass {label}={{name: [one number a checkpoint]}}.",
            code="E-J08",
        )
    return known


def run_of(name: str, given: Any, times: Any = None, rates: Any = None) -> Run:
    """One run: a folder, or a sequence of files, state dicts or flat tensors."""
    if isinstance(given, str | Path):
        given, found = _from_folder(Path(given))
        rates = found if rates is None else rates
    if isinstance(given, Tensor) and given.dim() == 2:
        given = list(given)
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise InvalidType(
            f"checkpoints must be a sequence of files, state dicts or flat tensors, or a folder; "
            f"got {type(given).__name__}.",
            fix="pass a list; several runs as a mapping from names to lists.",
            code="E-J07",
        )
    sources = tuple(Path(s) if isinstance(s, str) else s for s in given)
    if len(sources) < 2:
        raise InvalidArgument(
            f"a path needs at least 2 checkpoints; got {len(sources)}.",
            fix="record more of them, for example with td.training.Recorder.",
            code="E-J07",
        )
    if rates is None:
        rates = _rates_beside(sources)
    when, unit = _times(sources, times)
    rate = [np.nan] * len(sources) if rates is None else _floats("learning_rates", rates)
    for label, values in (("times", when), ("learning_rates", rate)):
        if len(values) != len(sources):
            raise InvalidArgument(
                f"{label} must have one value a checkpoint, {len(sources)}; got {len(values)}.",
                code="E-J08",
            )
    return Run(name, sources, tuple(when), tuple(rate), _dropped(rate), unit, len(sources))


def _dropped(rates: Sequence[float]) -> tuple[bool, ...]:
    """Where a rate that was level fell; checkpoints whose rate is not known are passed over.

    A first rate was level if the second is: a rate that falls at every checkpoint has no level.
    """
    found = [False] * len(rates)
    known = [k for k, rate in enumerate(rates) if math.isfinite(rate)]
    for place in range(1, len(known)):
        before, now = rates[known[place - 1]], rates[known[place]]
        if place > 1:
            level = _level(rates[known[place - 2]], before)
        else:
            level = len(known) == 2 or _level(now, rates[known[2]])
        found[known[place]] = level and now < before and now <= DROP * before
    return tuple(found)


def _level(first: float, second: float) -> bool:
    return abs(second - first) <= LEVEL * abs(first)


def _floats(label: str, values: Any) -> list[float]:
    """Numbers, NaN for None."""
    try:
        return [math.nan if v is None else float(v) for v in values]
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidArgument(
            f"{label} must be a sequence of numbers; got {values!r:.80}.",
            fix="pass one number a checkpoint.",
            code="E-J08",
        ) from error


def _is_state(value: Mapping[Any, Any]) -> bool:
    return bool(value) and all(isinstance(v, Tensor) and v.dim() != 2 for v in value.values())


def _from_folder(folder: Path) -> tuple[list[Path], list[float | None] | None]:
    """The checkpoints of a `Recorder`, of `train`, or all files of weights by their number."""
    if (folder / INDEX).is_file():
        made = Recorder.read(folder)
        return list(made.checkpoints), list(made.learning_rates)
    files = list(saved_weights(folder)) or [
        path for path in sorted(folder.glob("*")) if path.suffix in (".safetensors", ".pt", ".pth")
    ]
    if not files:
        raise InvalidArgument(
            f"{folder} holds no checkpoints.",
            why="there is no file of weights in it." if folder.is_dir() else "it is no folder.",
            fix="pass the folder of a td.training.Recorder or of train(checkpoints=...).",
            code="E-J07",
        )
    return in_order(files), None


def in_order(files: Sequence[Path]) -> list[Path]:
    """Files by the step or epoch in their names, else the last number; as they are without one.

    >>> [p.name for p in in_order([Path("w10.pt"), Path("w9.pt")])]
    ['w9.pt', 'w10.pt']
    >>> [p.name for p in in_order([Path("epoch_2_loss_0.5.pt"), Path("epoch_1_loss_0.9.pt")])]
    ['epoch_1_loss_0.9.pt', 'epoch_2_loss_0.5.pt']
    """
    numbers, _ = _numbers(files)
    if numbers is None:
        return list(files)
    every = [[int(n) for n in re.findall(r"\d+", path.stem)] for path in files]
    ranked = sorted(zip(numbers, every, files, strict=True), key=lambda row: row[:2])
    return [path for *_, path in ranked]


def _numbers(sources: Sequence[Any]) -> tuple[list[int] | None, str]:
    """When each file was written, by its name, and in what unit; None where one does not say."""
    if not all(isinstance(source, Path) for source in sources):
        return None, "checkpoint"
    stems = [source.stem for source in sources]
    for unit in UNITS:
        found = [re.search(rf"{unit}[^a-zA-Z0-9]*(\d+)", stem) for stem in stems]
        told = [int(match[1]) for match in found if match]
        if len(told) == len(stems):
            return told, unit
    last = [re.findall(r"\d+", stem)[-1:] for stem in stems]
    unit = next((unit for unit in UNITS if unit in stems[0]), "checkpoint")
    return ([int(n) for (n,) in last] if all(last) else None), unit


def _times(sources: Sequence[Any], given: Any) -> tuple[list[float], str]:
    """Times as given, or from the files' names; else the checkpoints are counted."""
    counted = [float(k) for k in range(len(sources))]
    if given is not None:
        when = _floats("times", given)
        if not all(map(math.isfinite, when)) or any(b <= a for a, b in pairwise(when)):
            raise InvalidArgument(
                "times must be finite and increase from checkpoint to checkpoint; "
                f"got {when!r:.80}.",
                fix="pass the steps or epochs at which the checkpoints were made.",
                code="E-J08",
            )
        return when, "time"
    numbers, unit = _numbers(sources)
    if numbers is None or any(b <= a for a, b in pairwise(numbers)):
        return counted, "checkpoint"
    return [float(n) for n in numbers], unit


def _rates_beside(sources: Sequence[Any]) -> list[float | None] | None:
    """Learning rates recorded in the folder of the files, by a `Recorder` or by `train`."""
    folders = {source.parent for source in sources if isinstance(source, Path)}
    if len(folders) != 1 or not all(isinstance(source, Path) for source in sources):
        return None
    folder = folders.pop()
    if (folder / INDEX).is_file():
        made = Recorder.read(folder)
        known = dict(zip((p.name for p in made.checkpoints), made.learning_rates, strict=True))
    elif (folder / STATE).is_file():
        content = read_plain(folder / STATE)
        history = content.get("history", []) if isinstance(content, dict) else []
        known = {
            f"epoch_{k:04d}.safetensors": row.get("learning_rate")
            for k, row in enumerate(history)
            if isinstance(row, dict)
        }
    else:
        return None
    return [known.get(source.name) for source in sources]
