"""How far the probabilities of a classifier travel along a path."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from jaxtyping import Float
from torch import Tensor

from theodolite import results
from theodolite.connectivity.answers import Answers, answers
from theodolite.connectivity.ends import End
from theodolite.connectivity.functions import jensen_shannon_distances
from theodolite.objective import Objective

FISHER_RAO = 8.0**0.5
"""The length in Fisher's metric of a small step, over its root of Jensen-Shannon divergence."""


def function_lengths(
    objective: Objective,
    places: Iterable[float],
    point: Callable[[float], Float[Tensor, " params"]],
) -> dict[str, results.Variable]:
    """The way of the probabilities along a path, and from end to end; none without class labels."""
    if objective.start_pass.hits is None:
        return {}

    def here(place: float) -> Answers:
        return answers(objective, End(point(place), {}), ())

    first, *later = places
    begun = before = here(float(first))
    length = 0.0
    for place in later:
        after = here(float(place))
        length += FISHER_RAO * jensen_shannon_distances(before, after)
        before = after
    chord = FISHER_RAO * jensen_shannon_distances(begun, before)
    return {
        "function_length": ((), length, {"long_name": "length of the way of the probabilities"}),
        "function_chord": ((), chord, {"long_name": "distance of the ends' probabilities"}),
    }
