"""What a survey is made of: the objective, and what belongs to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any

import xarray as xr
from torch import nn

from theodolite.errors import InvalidArgument, InvalidType
from theodolite.objective import Objective, making
from theodolite.surveys.sampling import sample
from theodolite.training import Recipe, load_weights


@dataclass(frozen=True, eq=False)
class Target:
    """What a factory returns: a training objective and what else the survey may use.

    ``test`` is the same model and loss on held-out data; it is evaluated at the same points.
    ``checkpoints`` are files of weights along a training, ``recipe`` how to train such a model
    anew, ``training`` the history of its training, shown in the report. ``name`` is what the
    report is called; by default the class of the model. ``examples_available`` is the number of
    training examples there are, where `objective` holds a sample of them.

    Raises `InvalidType` where a part is of another kind, `InvalidArgument` where ``test`` has
    other parameters than ``objective``.
    """

    objective: Objective
    _: KW_ONLY
    test: Objective | None = None
    checkpoints: tuple[str | Path, ...] = ()
    recipe: Recipe | Callable[..., Any] | None = None
    example_inputs: Any = None
    name: str | None = None
    training: xr.Dataset | None = None
    examples_available: int | None = None

    def __post_init__(self) -> None:
        for part in ("objective", "test"):
            value = getattr(self, part)
            if not isinstance(value, Objective) and not (part == "test" and value is None):
                raise InvalidType(
                    f"{part} must be a theodolite.Objective; got {type(value).__name__}.",
                    fix=f"wrap it: {part}=td.Objective(model, loss, data).",
                    code="E-S10",
                )
        if self.test is not None and layout(self.test) != layout(self.objective):
            raise InvalidArgument(
                "test must have the same parameters as objective; their names or shapes differ.",
                fix="build both from the same model.",
                code="E-S11",
            )
        object.__setattr__(self, "checkpoints", tuple(self.checkpoints))

    @property
    def title(self) -> str:
        """The name given, or the model's class."""
        return self.name or type(self.objective.model).__name__

    def facts(self) -> dict[str, Any]:
        """What identifies the numbers a survey of this target gives."""
        facts = self.objective.facts()
        return {
            "dtype": facts["dtype"],
            "device": str(facts["device"]).partition(":")[0],
            "objective": self.objective.fingerprint,
            "test": None if self.test is None else self.test.fingerprint,
        }


def layout(objective: Objective) -> list[tuple[str, tuple[int, ...]]]:
    return [(e.name, e.shape) for e in objective.space.entries]


def as_target(value: Any) -> Target:
    """A target, or an objective on its own as one."""
    if isinstance(value, Target | Objective):
        made = value if isinstance(value, Target) else Target(value)
        _refuse_shared(made)
        return made
    raise InvalidType(
        f"target must be a td.Target or a td.Objective; got {type(value).__name__}.",
        fix="return td.Target(td.Objective(model, loss, data)).",
        code="E-S10",
    )


def _refuse_shared(target: Target) -> None:
    if any(o is not None and o.ranks is not None for o in (target.objective, target.test)):
        raise InvalidArgument(
            "a survey needs an objective of one process; this one has a process_group.",
            why="the units of a survey run in any process and any order.",
            fix="build the objective without process_group and run `theodolite survey --shard auto`"
            " on every rank, or call the measurements themselves (td.plane, td.hessian).",
            code="E-S15",
        )


def adjusted(
    target: Target, *, checkpoint: str | Path | None = None, limit: int | None = None
) -> Target:
    """The target at other weights and on fewer examples.

    ``checkpoint`` is read without running anything in it and put into the target's own model.
    ``limit`` keeps one seeded sample of the training examples and one of the test examples, the
    same for every measure. Raises `InvalidArgument` for a limit below 1, and what `load_weights`
    raises.
    """
    if limit is not None and limit < 1:
        raise InvalidArgument(f"limit must be at least 1; got {limit}.", code="E-S12")
    if checkpoint is not None:
        load_weights(target.objective.model, checkpoint)
        if target.test is not None and target.test.model is not target.objective.model:
            load_weights(target.test.model, checkpoint)
    again = checkpoint is not None
    changed = rebuilt(target.objective, limit, again)
    all_examples = target.examples_available or target.objective.examples
    return replace(
        target,
        objective=changed,
        test=None if target.test is None else rebuilt(target.test, limit, again),
        examples_available=all_examples if changed.examples < all_examples else None,
    )


def rebuilt(objective: Objective, limit: int | None, again: bool) -> Objective:
    """The objective on a sample of its data, with its model read again where it has changed."""
    fewer = limit is not None and limit < objective.examples
    return (
        _anew(objective, objective.model, limit if fewer else None) if fewer or again else objective
    )


def with_model(objective: Objective, model: nn.Module) -> Objective:
    """The same loss on the same data of another network, which is not changed."""
    return _anew(objective, model, None)


def _anew(objective: Objective, model: nn.Module, limit: int | None) -> Objective:
    """The objective read again, of `model`, on a sample of its data if `limit` names one."""
    settings = objective.data.settings
    kept = objective.data.kept
    design = objective.design
    data: Any = objective.data.source if kept is None else [b.raw for b in kept]
    if limit is not None:
        data, design = sample(objective, limit)
    if limit is not None or kept is not None:
        settings = replace(settings, limit=None)
    made = object.__new__(Objective)
    making.fill(
        made,
        model,
        objective.terms,
        data,
        settings,
        objective.batch_norm,
        objective.mode,
    )
    return made if design is None else making.with_design(made, design)
