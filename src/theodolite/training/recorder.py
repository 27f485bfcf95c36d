"""Checkpoints of the user's own training loop, written to disk as it goes."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, SupportsIndex

from torch import nn

from theodolite.errors import InvalidArgument, StorageError
from theodolite.training.weights import save_state, write_whole

INDEX = "index.json"
Row = dict[str, Any]


@dataclass(frozen=True)
class Recording:
    """What a recorder left in a folder: files in the order of steps, and what was told of each.

    ``learning_rates`` has None where none was given; ``metrics`` one mapping a checkpoint, with
    None for a number that was not finite.
    """

    folder: Path
    steps: tuple[int, ...]
    checkpoints: tuple[Path, ...]
    learning_rates: tuple[float | None, ...]
    metrics: tuple[dict[str, float | None], ...]


@dataclass(frozen=True, eq=False)
class Recorder:
    """Write a model's weights and buffers at some steps of a training loop.

    Parameters
    ----------
    folder
        Where ``step_00000100.safetensors`` and ``index.json`` go; made if it is not there.
    model
        Read and never written; nothing is drawn from any random generator.
    every
        Record steps divisible by it; None for those of `at` alone.
    at
        Further steps to record.

    Raises
    ------
    InvalidArgument
        For an `every` below 1, steps in `at` that are none, or neither of the two (E-J10), or
        steps, rates and metrics that are no numbers (E-J11).
    StorageError
        Where the disk refuses (E-T67), or the folder's index is damaged (E-J12).

    Notes
    -----
    A checkpoint is written whole or not at all, then the index, so a killed program leaves at
    most a file that is not listed. Begun again in the same folder, a step that is recorded anew
    replaces its file and its row, and first it and later steps leave the index, since they belong
    to a history that is being redone; their files stay until they are overwritten. Holds three
    copies of the weights in main memory while it writes, nothing between.

    Examples
    --------
    >>> import tempfile
    >>> model = nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder, Recorder(folder, model, every=2) as recorder:
    ...     made = [recorder(step, learning_rate=0.1, loss=1.0) for step in range(4)]
    ...     made, [path.name for path in recorder.checkpoints]
    ([True, False, True, False], ['step_00000000.safetensors', 'step_00000002.safetensors'])
    """

    folder: str | Path
    model: nn.Module
    every: int | None = 1
    at: Iterable[SupportsIndex] | None = None
    _rows: list[Row] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        whole = isinstance(self.every, int) and not isinstance(self.every, bool)
        if self.every is not None and not (whole and self.every >= 1):
            raise InvalidArgument(
                f"every must be a whole number of steps, at least 1, or None; got {self.every!r}.",
                code="E-J10",
            )
        object.__setattr__(self, "folder", Path(self.folder))
        object.__setattr__(self, "at", _wanted(self.at))
        if self.every is None and not self.at:
            raise InvalidArgument(
                "every=None records the steps of `at` alone, and there is none.",
                fix="pass every=100, or at=[0, 10, 100].",
                code="E-J10",
            )
        self._rows.extend(_read_rows(Path(self.folder)))

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is left to do: every checkpoint is on disk when the call that made it returns."""

    def __call__(
        self, step: SupportsIndex, *, learning_rate: float | None = None, **metrics: Any
    ) -> bool:
        """Record the model if `step` is one of those wanted; returns whether it was."""
        now = _whole(step, "step", "E-J11")
        due = self.every is not None and now % self.every == 0
        if not due and not (isinstance(self.at, frozenset) and now in self.at):
            return False
        row = {
            "step": now,
            "file": f"step_{now:08d}.safetensors",
            "learning_rate": None
            if learning_rate is None
            else _number(learning_rate, "learning_rate"),
            "metrics": {name: _number(value, name) for name, value in metrics.items()},
        }
        kept = [r for r in self._rows if r["step"] < now]
        if len(kept) < len(self._rows):  # before a file of theirs is another history's
            self._list(kept)
        save_state(self.model.state_dict(), Path(self.folder) / str(row["file"]))
        self._list([*kept, row])
        return True

    def _list(self, rows: list[Row]) -> None:
        """Make these the rows of the index."""
        content = {"format": 1, "checkpoints": rows}
        write_whole(Path(self.folder) / INDEX, json.dumps(content, indent=1).encode())
        self._rows[:] = rows

    @property
    def checkpoints(self) -> tuple[Path, ...]:
        """The files recorded so far, in the order of steps."""
        return tuple(Path(self.folder) / r["file"] for r in self._rows)

    @staticmethod
    def read(folder: str | Path) -> Recording:
        """What was recorded in `folder`; raises `StorageError` where nothing was (E-J12)."""
        path = Path(folder)
        if not (path / INDEX).is_file():
            raise StorageError(
                f"{path} holds no recording.",
                why=f"there is no {INDEX} in it.",
                fix="pass the folder given to td.training.Recorder.",
                code="E-J12",
            )
        rows = _read_rows(path)
        return Recording(
            path,
            tuple(r["step"] for r in rows),
            tuple(path / r["file"] for r in rows),
            tuple(r["learning_rate"] for r in rows),
            tuple(r["metrics"] for r in rows),
        )


def _wanted(steps: Any) -> frozenset[int] | None:
    """The steps to record besides every so many."""
    if steps is None:
        return None
    if isinstance(steps, str) or not isinstance(steps, Iterable):
        raise InvalidArgument(
            f"at must be a list of steps; got {type(steps).__name__}.",
            fix="pass at=[0, 10, 100].",
            code="E-J10",
        )
    return frozenset(_whole(step, "every step of at", "E-J10") for step in steps)


def _whole(step: Any, name: str, code: str) -> int:
    """A step as a plain int: numpy's and torch's whole numbers are as good."""
    try:
        found = -1 if isinstance(step, bool) else operator.index(step)
    except TypeError:
        found = -1
    if found < 0:
        raise InvalidArgument(
            f"{name} must be a whole number from 0; got {step!r:.80}.",
            fix="count optimizer steps from 0.",
            code=code,
        )
    return found


def _number(value: Any, name: str) -> float | None:
    """A number as JSON can hold it: None for NaN and infinity."""
    try:
        found = float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidArgument(
            f"{name} must be one number; got {type(value).__name__}.",
            fix="pass float(value).",
            code="E-J11",
        ) from error
    return found if math.isfinite(found) else None


def _read_rows(folder: Path) -> list[Row]:
    """The rows of an index, none where there is no index; raises where they are not ours."""
    path = folder / INDEX
    if not path.is_file():
        return []
    try:
        content = json.loads(path.read_text())
        rows: Any = content["checkpoints"] if content["format"] == 1 else None
        good = isinstance(rows, list) and all(map(_is_row, rows))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged(path, str(error)) from error
    if not good:
        raise _damaged(path, "its entries are not those a Recorder writes.")
    return sorted(rows, key=lambda r: int(r["step"]))


def _is_row(row: Any) -> bool:
    """Whether a row of an index is one: a file's bare name, and numbers."""
    if not isinstance(row, dict) or set(row) != {"step", "file", "learning_rate", "metrics"}:
        return False
    name, rate = row["file"], row["learning_rate"]
    plain = isinstance(name, str) and Path(name).name == name
    return (
        plain
        and isinstance(row["step"], int)
        and isinstance(rate, int | float | None)
        and isinstance(row["metrics"], dict)
    )


def _damaged(path: Path, why: str) -> StorageError:
    return StorageError(
        f"{path} is not the index of a recording.",
        why=why or "it cannot be read.",
        fix="delete it; the checkpoints beside it can be passed as files.",
        code="E-J12",
    )
