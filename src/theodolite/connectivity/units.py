"""The units of an objective's model that may change places along paths of its parameters."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from theodolite.connectivity.ends import End
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.symmetry import Group, Symmetries, symmetries
from theodolite.symmetry.groups import Layout

FEW = 4
"""Examples that symmetries are traced and proved on."""


def units_of(objective: Objective, given: Any = None) -> Symmetries:
    """The symmetries that act on the objective's points: `given`, or those of its model.

    Groups that reach into a parameter that does not move with theta stay in place, since it is
    the objective's own at every point.
    """
    if given is not None and not isinstance(given, Symmetries):
        raise InvalidArgument(
            f"symmetries must be what td.symmetries returns; got {type(given).__name__}.",
            where="match",
            code="E-A55",
        )
    found = symmetries(objective.model, example_inputs(objective)) if given is None else given
    space = found.space
    moving = {n for e in objective.space.entries for n in (e.name, *e.aliases)}
    if space is None or not moving <= {n for e in space.entries for n in (e.name, *e.aliases)}:
        raise InvalidArgument(
            "symmetries are those of another model: its trainable parameters are not the "
            "objective's.",
            where="match",
            fix="pass td.symmetries(objective.model, inputs), or none.",
            code="E-A55",
        )
    still = set(found.parameters) - moving
    held = {g.name for g in found.groups if still & {n for n, _ in g.members}}
    kept = without_groups(found, held) if held else found
    return replace(kept, space=objective.space)


def without_groups(found: Symmetries, names: set[str]) -> Symmetries:
    """The same symmetries with some groups, and those within them, in place."""
    gone = {g.name for g in found.groups if {g.name, *g.within} & names}

    def stilled(each: Layout) -> Layout:
        group = "" if each.group in gone else each.group
        return replace(each, group=group, kids=tuple(map(stilled, each.kids)))

    layouts = {n: tuple(map(stilled, dims)) for n, dims in found.layouts.items()}
    kept: tuple[Group, ...] = tuple(g for g in found.groups if g.name not in gone)
    return replace(found, groups=kept, layouts=layouts)


def example_inputs(objective: Objective) -> Any:
    """What the model is called with on the first examples; one pass over the first batch."""
    caught: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    batch = next(iter(objective.data))
    model = objective.model

    def keep(_: Any, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        caught.append((args, keywords))

    def body() -> None:
        handle = model.register_forward_pre_hook(keep, with_kwargs=True)
        try:
            objective.terms.losses(model, batch)
        finally:
            handle.remove()

    objective.guarded(lambda: objective.forward.run(objective.start, body))
    if not caught:
        raise InvalidArgument(
            "the loss does not call the model itself, so that its inputs are not known.",
            where="match",
            fix="call model(...) in the loss, or pass symmetries=td.symmetries(model, inputs).",
            code="E-A56",
        )

    def few(leaf: Any) -> Any:
        long = isinstance(leaf, Tensor) and leaf.dim() > 0 and len(leaf) == batch.examples
        return leaf[:FEW] if long else leaf

    args, keywords = pytree.tree_map(few, caught[0])
    if not keywords:
        return args
    bound = inspect.signature(model.forward).bind(*args, **keywords)
    return {**bound.arguments.pop("kwargs", {}), **bound.arguments} if args else keywords


def moved_end(found: Symmetries, end: End, permutations: dict[str, Tensor]) -> End:
    """An end with its units permuted, and its running statistics with them."""
    named = {n.removeprefix("model."): t for n, t in end.statistics.items()}
    moved = found.apply(named, permutations)
    statistics = {n: moved[n.removeprefix("model.")] for n in end.statistics}
    return End(found.apply(end.theta, permutations), statistics, end.behind)
