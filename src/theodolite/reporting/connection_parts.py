"""What a survey holds of the connections between weights, by pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import xarray as xr

from theodolite.intervals.verdicts import (
    UNDECIDED,
    VERDICTS,
    Evidence,
    Verdict,
    claim,
    gathered,
    grounds,
    verdict,
)

Pair = tuple[int, int]
Parts = Mapping[Pair, xr.Dataset]

ALIGNED = "aligned_"
"""How the names of paths begin that lead to the second point with its units matched."""


@dataclass(frozen=True)
class Connections:
    """Results by pair of points; those that were not measured are not there."""

    lines: Parts = field(default_factory=dict)
    aligned: Parts = field(default_factory=dict)
    matchings: Parts = field(default_factory=dict)
    curves: Parts = field(default_factory=dict)
    aligned_curves: Parts = field(default_factory=dict)
    functions: Parts = field(default_factory=dict)
    graph: xr.Dataset | None = None

    @property
    def found(self) -> bool:
        """Whether there is anything to show."""
        return any((self.lines, self.curves, self.aligned_curves, self.functions))


@dataclass(frozen=True)
class Related:
    """Two points, the verdict on them, and what it rests on."""

    first: str
    second: str
    pair: Pair
    evidence: Evidence
    verdict: Verdict
    claim: str
    grounds: str
    origin: str


def connections_of(
    results: Sequence[tuple[str, xr.Dataset]], usable: Callable[[xr.Dataset, str], bool]
) -> Connections:
    """Sorted by pair; of a line measured twice the one with recomputed statistics."""

    def parts(quantity: str, *, aligned: bool = False) -> Parts:
        kept = [(n, r) for n, r in results if usable(r, quantity)]
        return {pair_of(r): r for n, r in kept if n.startswith(ALIGNED) == aligned}

    return Connections(
        lines=parts("barrier"),  # a name that ends in _recomputed comes after the other
        aligned=parts("barrier", aligned=True),
        matchings=parts("unit_matching"),
        curves=parts("curve"),
        aligned_curves=parts("curve", aligned=True),
        functions=parts("function_distance"),
        graph=next((r for _, r in results if usable(r, "minima_graph")), None),
    )


def pair_of(found: xr.Dataset) -> Pair:
    """The places of the two ends among the points."""
    first, second = found.attrs.get("pair", (0, 1))
    return int(first), int(second)


def relations_of(found: Connections) -> tuple[Related, ...]:
    """A verdict on every pair whose line was judged by a threshold."""
    made = []
    for pair, line in sorted(found.lines.items()):
        if "threshold" not in line.attrs:
            continue
        functions = found.functions.get(pair)
        evidence = gathered(
            line,
            float(line.attrs["threshold"]),
            aligned=found.aligned.get(pair),
            unaligned=_why_not(found, pair),
            curve=found.curves.get(pair),
            aligned_curve=found.aligned_curves.get(pair),
            functions=functions,
        )
        names = (str(line.attrs.get("first", "a")), str(line.attrs.get("second", "b")))
        split = "" if functions is None else str(functions.attrs.get("split", ""))
        said = claim(evidence, *names), grounds(evidence, f"{split} examples" if split else "")
        origin = str(line.attrs.get("threshold_from", ""))
        made.append(Related(*names, pair, evidence, verdict(evidence), *said, origin))
    return tuple(made)


def _why_not(found: Connections, pair: Pair) -> str:
    """Why units were not matched, where the model has none that could be."""
    matching = found.matchings.get(pair)
    return "" if matching is None else str(matching.attrs.get("not_measured", ""))


def counted(relations: Sequence[Related]) -> str:
    """How many pairs have which verdict, in one sentence."""
    words = [r.verdict.word for r in relations]
    parts = [f"{words.count(w)} {w}" for w in (*VERDICTS, UNDECIDED) if w in words]
    return f"Of {len(words)} pairs: {', '.join(parts)}."
