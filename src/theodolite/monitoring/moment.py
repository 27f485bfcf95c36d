"""One moment of a training, and what several measures need of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor

from theodolite.linalg.following import following_pairs
from theodolite.linalg.operator import Operator
from theodolite.linalg.thick_restart import RitzPairs
from theodolite.monitoring.stability import Stability
from theodolite.objective import Objective
from theodolite.operators import hessian

Values = Mapping[str, Any]
"""Numbers, or lists of them, by name."""


@dataclass(frozen=True)
class Settings:
    """How the measures are made; see `Monitor`."""

    eigenvalues: int = 2
    tolerance: float = 1e-2
    batch_size: int | None = None
    batches: int = 8
    engine: str = "kept"
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Moment:
    """One moment of a training, and what several measures need of it, computed once.

    ``objective`` has the model's present buffers and ``theta`` its present parameters;
    ``before`` holds the parameters one and two steps ago where they were kept. ``warm`` are
    the eigenvectors of the last measurement, by operator, replaced by the new ones. ``notes`` takes
    what a reader of the numbers should know.
    """

    objective: Objective
    theta: Tensor
    start: Tensor
    step: int
    settings: Settings
    stable: Callable[[], Stability]
    before: tuple[Tensor, Tensor] | None = None
    warm: dict[str, Tensor] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    verify: bool = False
    _made: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, body: Callable[[], Any]) -> Any:
        """`body()`, made once; what it raises is raised again at every call."""
        if name not in self._made:
            try:
                self._made[name] = body(), None
            except (ArithmeticError, RuntimeError, ValueError, TypeError) as error:
                self._made[name] = None, error
        value, trouble = self._made[name]
        if trouble is not None:
            raise trouble
        return value

    def stability(self) -> Stability:
        """What decides whether the optimizer's update is stable."""
        return cast(Stability, self.once("stability", self.stable))

    def hessian(self) -> Operator:
        """The Hessian here; one for all measures, so that kept graphs are made once."""

        def made() -> Operator:
            engine = self.settings.engine
            return hessian(self.objective, self.theta, engine=engine, verify=self.verify)

        return cast(Operator, self.once("hessian", made))

    def pairs(self, name: str, operator: Callable[[], Operator]) -> RitzPairs:
        """The largest eigenpairs of an operator, begun from those of the last measurement."""
        return cast(RitzPairs, self.once(f"pairs {name}", lambda: self._solved(name, operator())))

    def _solved(self, name: str, operator: Operator) -> RitzPairs:
        found, trouble = following_pairs(
            operator,
            count=self.settings.eigenvalues,
            tolerance=self.settings.tolerance,
            seed=self.settings.seed,
            start=self.warm.pop(name, None),
        )
        if trouble:
            self.notes.append(f"step {self.step}, eigenvalues of the {name}: {trouble}")
        self.warm[name] = found.vectors
        return found
