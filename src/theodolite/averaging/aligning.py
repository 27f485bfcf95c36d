"""Points brought into one order of units, that of the first, before they are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.symmetry import Symmetries, symmetries, weight_matching

WAYS = ("weights", "activations", "straight-through")
"""What `align` may name; anything else is permutations, one mapping a point after the first."""

FEW = 8
"""Examples that the symmetries of a model are traced and proved on."""


def aligned(objective: Objective, values: Sequence[Any], align: Any, seed: int) -> list[Any]:
    """The points with the units of all but the first permuted to match the first's.

    State dicts take their buffers along; the functions stay.
    """
    if isinstance(align, str) and align not in WAYS:
        raise InvalidArgument(
            f"align must be None, one of {', '.join(WAYS)}, or permutations for every point after "
            f"the first; got {align!r}.",
            code="E-A86",
        )
    if isinstance(align, str):
        found = symmetries_of(objective)
        given = [permutations(found, objective, values[0], v, align, seed) for v in values[1:]]
    else:
        given = [getattr(one, "permutations", one) for one in given_list(align, len(values) - 1)]
        found = symmetries_of(objective)
    moved = [found.apply(v, p) for v, p in zip(values[1:], given, strict=True)]
    return [values[0], *moved]


def given_list(align: Any, count: int) -> list[Any]:
    """Permutations as given: a mapping for a pair, or a list of one for every later point."""
    single = isinstance(align, Mapping) or hasattr(align, "permutations")
    listed = [align] if single else list(align) if isinstance(align, Sequence) else None
    if listed is None or len(listed) != count:
        told = type(align).__name__ if listed is None else f"{len(listed)} of them"
        raise InvalidArgument(
            f"align must hold permutations for each of the {count} points after the first; "
            f"got {told}.",
            fix='pass align="weights", or [weight_matching(symmetries, thetas[0], other), ...].',
            code="E-A86",
        )
    return listed


def permutations(
    found: Symmetries, objective: Objective, first: Any, other: Any, way: str, seed: int
) -> Mapping[str, Tensor]:
    """The permutations of `other` that match it to `first`."""
    if way == "weights":
        return weight_matching(found, first, other, seed=seed).permutations
    import theodolite as td

    if not hasattr(td, "match"):
        raise InvalidArgument(
            f"align={way!r} is not to be had in this version.",
            fix='pass align="weights".',
            code="E-A86",
        )
    matching = td.match(objective, first, other, symmetries=found, method=way, seed=seed)
    made: Mapping[str, Tensor] = matching.permutations
    return made


def symmetries_of(objective: Objective) -> Symmetries:
    """The permutation symmetry of the model, from the first few examples."""
    batch = next(iter(objective.data))

    def few(leaf: Any) -> Any:
        long = isinstance(leaf, Tensor) and leaf.dim() > 0 and len(leaf) == batch.examples
        return leaf[:FEW] if long else leaf

    inputs = pytree.tree_map(few, tuple(batch.inputs))
    keywords = pytree.tree_map(few, dict(batch.keywords))
    if bool(inputs) == bool(keywords):
        raise InvalidArgument(
            "the model's inputs cannot be told from its batches, and align needs them.",
            fix="pass permutations: td.symmetries(model, inputs) and td.weight_matching find them.",
            code="E-A86",
        )
    return symmetries(objective.model, inputs or keywords)
