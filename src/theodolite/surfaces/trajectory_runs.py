"""Checkpoints of one or several runs, whatever they came as, with their times and rates."""

from __future__ import annotations

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
UNITS = ("epoch", "step")
Source = str | Path | Tensor | Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Run:
    """One training: its checkpoints in order, when each was made and the rate at the time."""

    name: str
    sources: tuple[Any, ...]
    times: tuple[float, ...]
    rates: tuple[float, ...]
    unit: str
    available: int

    def thinned(self, most: int | None) -> Run:
        """At most `most` checkpoints, evenly spread, the first and the last among them.

        >>> run = run_of("a", [f"epoch_{k}.pt" for k in range(9)])
        >>> run.thinned(3).times
        (0.0, 4.0, 8.0)
        """
        if most is None or len(self.sources) <= most:
            return self
        kept = np.unique(np.linspace(0, len(self.sources) - 1, most).round().astype(int))
        sources, times, rates = (
            tuple(values[k] for k in kept) for values in (self.sources, self.times, self.rates)
        )
        return Run(self.name, sources, times, rates, self.unit, self.available)

    def drops(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """1 at the first checkpoint after the learning rate dropped from a level."""
        rate = np.asarray(self.rates)
        found = np.zeros(len(rate), dtype=np.uint8)
        for k in range(1, len(rate)):
            level = k == 1 or abs(rate[k - 1] - rate[k - 2]) <= LEVEL * rate[k - 2]
            found[k] = bool(level and rate[k] <= DROP * rate[k - 1])
        return found


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
    told = [x if several else {"": x} for x in (times, learning_rates)]
    parts = [x if isinstance(x, Mapping) else {} for x in told]
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
    rate = [np.nan] * len(sources) if rates is None else [np.nan if r is None else r for r in rates]
    for label, values in (("times", when), ("learning_rates", rate)):
        if len(values) != len(sources):
            raise InvalidArgument(
                f"{label} must have one value a checkpoint, {len(sources)}; got {len(values)}.",
                code="E-J08",
            )
    return Run(name, sources, tuple(map(float, when)), tuple(map(float, rate)), unit, len(sources))


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
            why="there is no file of weights in it." if folder.is_dir() else "no such folder.",
            fix="pass the folder of a td.training.Recorder or of train(checkpoints=...).",
            code="E-J07",
        )
    return in_order(files), None


def in_order(files: Sequence[Path]) -> list[Path]:
    """Files by the last number in their names; as they are where one has none.

    >>> [p.name for p in in_order([Path("w10.pt"), Path("w9.pt")])]
    ['w9.pt', 'w10.pt']
    """
    numbers = [_number(path) for path in files]
    if any(n is None for n in numbers):
        return list(files)
    return [p for _, p in sorted(zip(numbers, files, strict=True), key=lambda pair: pair[0] or 0)]


def _number(path: Any) -> int | None:
    found = re.findall(r"\d+", path.stem) if isinstance(path, Path) else []
    return int(found[-1]) if found else None


def _times(sources: Sequence[Any], given: Any) -> tuple[list[float], str]:
    """Times as given, or from the files' names; else the checkpoints are counted."""
    counted = [float(k) for k in range(len(sources))]
    if given is not None:
        when = [float(t) for t in given]
        if any(b <= a for a, b in pairwise(when)):
            raise InvalidArgument(
                "times must increase from checkpoint to checkpoint.", code="E-J08"
            )
        return when, "time"
    numbers = [_number(source) for source in sources]
    known = [float(n) for n in numbers if n is not None]
    rising = all(a < b for a, b in pairwise(known))
    if len(known) < len(sources) or not rising:
        return counted, "checkpoint"
    stem = str(sources[0].stem)
    return known, next((unit for unit in UNITS if unit in stem), "checkpoint")


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
