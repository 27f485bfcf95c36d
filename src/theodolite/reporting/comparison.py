"""What two or more surveys say against each other: every adjective is a ratio with an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from theodolite.reporting import quantities as q
from theodolite.reporting.contents import Contents
from theodolite.reporting.numbers import Number
from theodolite.reporting.sentences import Cited, Named, Sentence, percent_of, unit_of
from theodolite.reporting.words import fitted, kinked, left_out, uncertified

SEPARATE = 2.0
"""Differences below this many combined standard errors are called undecided."""


def words_between(surveys: Sequence[Contents]) -> tuple[Sentence, ...]:
    """At most six comparing sentences, the largest separated ratio first; kinks are told last."""
    warnings = [uncertified(c, c.label) for c in surveys]
    found = [
        _rise(surveys),
        _compared(surveys, "largest", "The largest curvature is", q.largest_eigenvalue),
        _compared(surveys, "trace", "The curvatures sum to", q.trace_value),
        _compared(
            surveys,
            "negative_weight",
            "The share of the spectrum below zero is",
            q.negative_weight,
        ),
        _compared(
            surveys,
            "bend_share",
            "The share of places where the surface curves downward along its axes is",
            q.bend_share,
        ),
        _compared(surveys, "gap", "The loss on test data exceeds that on training data by", _gap),
    ]
    ranked = sorted((f for f in found if f is not None), key=lambda f: -f[0])
    sentences = [w for w in warnings if w is not None] + [s for _, s in ranked]
    return fitted(sentences, kinked(surveys))


Ranked = tuple[float, Sentence]


def _compared(
    surveys: Sequence[Contents],
    name: str,
    opening: str,
    measure: Callable[[Contents], Number | None],
) -> Ranked | None:
    numbers = [measure(c) for c in surveys]
    known = [n for n in numbers if n is not None and (n.exact or n.error is not None)]
    if len(known) < len(surveys):
        return None  # nothing is compared without an error bar on every side
    return _sentence(opening, name, [c.label for c in surveys], known)


def _sentence(
    opening: str, name: str, labels: Sequence[str], numbers: Sequence[Number], closing: str = ""
) -> Ranked:
    """``opening A for the lower and B for the higher: k times as much``, with its rank."""
    order = sorted(range(len(numbers)), key=lambda k: numbers[k].value)
    if len(numbers) > 2:
        return _rank(numbers, order), _extremes(opening, name, labels, numbers, order, closing)
    low, high = order
    listed: Sentence = (
        f"{opening} ",
        Cited(f"{name}[{low}]", numbers[low]),
        " for ",
        Named(labels[low], low),
        " and ",
        Cited(f"{name}[{high}]", numbers[high]),
        " for ",
        Named(labels[high], high),
    )
    ending = _verdict(name, numbers, order)
    return _rank(numbers, order), (*listed, *ending, f"{closing}.")


def _extremes(
    opening: str,
    name: str,
    labels: Sequence[str],
    numbers: Sequence[Number],
    order: Sequence[int],
    closing: str,
) -> Sentence:
    first, last = order[0], order[-1]
    return (
        f"{opening} between ",
        Cited(f"{name}[{first}]", numbers[first]),
        " (",
        Named(labels[first], first),
        ") and ",
        Cited(f"{name}[{last}]", numbers[last]),
        " (",
        Named(labels[last], last),
        f") over {len(labels)} models{closing}.",
    )


def _verdict(name: str, numbers: Sequence[Number], order: Sequence[int]) -> Sentence:
    low, high = numbers[order[0]], numbers[order[1]]
    if _separation(low, high) < SEPARATE:
        return (", which two standard errors do not separate",)
    factor = q.ratio(low, high)
    if factor is None:
        gap = q.difference(low, high)
        gap = replace(gap, unit="percentage points") if gap.unit == "%" else gap
        return (", a difference of ", Cited(f"{name}_difference", gap))
    return (": ", Cited(f"{name}_ratio", factor), " times as much")


def _separation(low: Number, high: Number) -> float:
    gap = q.difference(low, high)
    if gap.error is None or gap.error == 0:
        return math.inf if gap.value else 0.0
    return gap.value / gap.error


def _rank(numbers: Sequence[Number], order: Sequence[int]) -> float:
    """How telling: the log ratio of the extremes, nothing when they are not separated."""
    low, high = numbers[order[0]], numbers[order[-1]]
    if _separation(low, high) < SEPARATE:
        return 0.0
    if low.value <= 0:
        return 1.0
    return abs(math.log(high.value / low.value))


def _rise(surveys: Sequence[Contents]) -> Ranked | None:
    distances = [q.word_distance(c) for c in surveys]
    known = [d for d in distances if d is not None]
    kinds = {str(c.note("normalize", "none")) for c in surveys}
    if len(known) < len(surveys) or len(kinds) > 1:
        return None
    rises = [q.rise(c, max(known)) for c in surveys]
    found = [r for r in rises if r is not None]
    if len(found) < len(surveys) or any(r.number.error is None for r in found):
        return None
    counts = sorted({r.directions for r in found})
    over = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    gone = left_out([r.left_out for r in found])
    opening = f"Within {percent_of(max(known))} {unit_of(kinds.pop())} the loss rises by"
    labels = [c.label for c in surveys]
    closing = f", on average over {over} directions each{gone}"
    return _sentence(opening, "rise", labels, [r.number for r in found], closing)


def _gap(contents: Contents) -> Number | None:
    train, test = q.start_value(contents), q.start_value(contents, "test_loss")
    return None if train is None or test is None else q.difference(train, test)
