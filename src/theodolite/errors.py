"""Every error a user can meet: what happened, where, why, what to do, and a stable code."""

from __future__ import annotations

from typing import Any


class TheodoliteError(Exception):
    """Base of all errors raised on purpose.

    ``what`` is one sentence with the numbers in it; ``where``, ``why`` and ``fix`` are one
    sentence each; ``code`` never changes between versions and is listed in ``docs/errors.md``.
    """

    def __init__(
        self, what: str, *, where: str = "", why: str = "", fix: str = "", code: str = "E-000"
    ) -> None:
        self.what, self.where, self.why, self.fix, self.code = what, where, why, fix, code
        super().__init__(what)

    def lines(self) -> list[str]:
        """The message as at most four lines, in the order what, where, why, fix."""
        named = (("Where", self.where), ("Why", self.why), ("Fix", self.fix))
        return [f"{self.what} [{self.code}]", *(f"{k}: {v}" for k, v in named if v)]

    def __str__(self) -> str:
        return "\n".join(self.lines())


class InvalidArgument(TheodoliteError, ValueError):
    """A value outside what a parameter allows."""


class InvalidType(TheodoliteError, TypeError):
    """An object of a kind a parameter does not take."""


class InvalidData(TheodoliteError, ValueError):
    """Data that define no objective: empty, all ignored, labels out of range, mismatched shapes."""


class UnsupportedModel(TheodoliteError, ValueError):
    """A model that cannot be seen as a differentiable function of its parameters."""


class NotDeterministic(TheodoliteError, RuntimeError):
    """Two passes over the same objective disagreed."""


class NotFinite(TheodoliteError, ArithmeticError):
    """A loss, gradient or product is NaN or infinite where it must be finite."""


class NotConverged(TheodoliteError, RuntimeError):
    """An iteration stopped before its tolerance; ``result`` carries what was reached."""

    def __init__(self, what: str, *, result: Any = None, **kw: str) -> None:
        super().__init__(what, **kw)
        self.result = result


class RankFailed(TheodoliteError, RuntimeError):
    """Another process that shares an objective failed, or the processes make different calls."""


class RunMismatch(TheodoliteError, ValueError):
    """A run folder was made by another configuration, checkpoint or data."""


class StorageError(TheodoliteError, OSError):
    """A result could not be written or read back."""

    def __str__(self) -> str:
        return "\n".join(self.lines())


class TheodoliteWarning(UserWarning):
    """Something the user can act on; the result is right as described."""
