"""The graph of several minima: their tree in words and as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import xarray as xr

from theodolite.reporting.connection_parts import Connections
from theodolite.reporting.connectivity_values import short

KINDS = {1: "straight line", 2: "curve", 3: "elastic band"}
"""What joins two minima, by the number in the result."""

BY_PAIR = (
    "height",
    "saddle",
    "saddle_excess",
    "saddle_excess_low",
    "saddle_excess_high",
    "line_height",
    "curve_height",
    "band_height",
    "distance",
)
"""Numbers of a pair, as programs get them."""

MOST_NAMED = 4
"""Pairs of a kind that are named; more are counted."""


def graph_words(found: Connections) -> tuple[str, ...]:
    """Edges against minima, and which pairs need more than the straight line."""
    graph = found.graph
    if graph is None:
        return ()
    minima, edges = (_spread(graph, n) for n in ("minimum_loss", "edge_height"))
    points = graph.sizes["first"]
    if not math.isfinite(float(graph["mean_edge_height"])):
        return (f"Not all of {points} minima are joined by a path on which the loss is finite.",)
    return (
        f"On the tree of the lowest paths between {points} minima the largest loss is {edges} on "
        f"the mean edge; the minima themselves have {minima}. {_lowest(found, graph)}",
    )


def _spread(graph: xr.Dataset, name: str) -> str:
    """A mean with the standard deviation behind it."""
    mean, spread = float(graph[f"mean_{name}"]), float(graph[f"{name}_spread"])
    return f"{short(mean)} (standard deviation {short(spread)})"


def _lowest(found: Connections, graph: xr.Dataset) -> str:
    """The lowest path of the pairs: a curve or a band where it gains the threshold on the line."""
    names = [str(n) for n in graph["first"].values]
    kinds: dict[int, list[str]] = {}
    pairs = list(combinations(range(len(names)), 2))
    for i, j in pairs:
        kind = int(graph["kind"][i, j])
        gain = float(graph["line_height"][i, j] - graph["height"][i, j])
        line = found.lines.get((i, j))
        threshold = 0.0 if line is None else float(line.attrs.get("threshold", 0.0))
        kind = 1 if kind > 1 and gain <= threshold else kind
        kinds.setdefault(kind, []).append(f"{names[i]} and {names[j]}")
    said = [_which(kind, each, len(pairs)) for kind, each in sorted(kinds.items(), reverse=True)]
    return " ".join(said)


def _which(kind: int, named: list[str], pairs: int) -> str:
    """Between which pairs a kind of path is the lowest."""
    where = "; ".join(named) if len(named) <= MOST_NAMED else f"{len(named)} of {pairs} pairs"
    where = "every pair" if len(named) == pairs else where
    if kind == 1:
        return f"Nothing is lower than the straight line, by the threshold, between {where}."
    return f"{'A curve' if kind == 2 else 'An elastic band'} is the lowest path between {where}."


def tree_edges(graph: xr.Dataset) -> list[dict[str, Any]]:
    """The edges of the tree, lowest first: ends, height, kind, and excess with its interval."""
    names = [str(n) for n in graph["first"].values]
    made = []
    for k in range(graph.sizes["edge"]):
        i, j = int(graph["edge_first"][k]), int(graph["edge_second"][k])
        excess = [float(graph[f"saddle_excess{e}"][i, j]) for e in ("", "_low", "_high")]
        made.append(
            {
                "first": names[i],
                "second": names[j],
                "height": float(graph["edge_height"][k]),
                "kind": int(graph["edge_kind"][k]),
                "excess": excess,
            }
        )
    return made


def graph_record(graph: xr.Dataset) -> Mapping[str, Any]:
    """Minima, edges and pairs as plain values, for programs."""
    names = [str(n) for n in graph["first"].values]
    pairs = []
    for i, j in combinations(range(len(names)), 2):
        pairs.append(
            {
                "first": names[i],
                "second": names[j],
                "path": KINDS.get(int(graph["kind"][i, j]), ""),
                **{n: _finite(graph[n].values[i, j]) for n in BY_PAIR},
            }
        )
    means = ("mean_minimum_loss", "minimum_loss_spread", "mean_edge_height", "edge_height_spread")
    return {
        "minima": [
            {"name": n, "loss": _finite(v)}
            for n, v in zip(names, graph["minimum_loss"].values, strict=True)
        ],
        **{n: _finite(graph[n].values) for n in means},
        "edges": [
            {
                "first": e["first"],
                "second": e["second"],
                "height": _finite(e["height"]),
                "path": KINDS[e["kind"]],
            }
            for e in tree_edges(graph)
        ],
        "pairs": pairs,
        **{n: int(graph.attrs[n]) for n in ("lines", "curves", "bands")},
    }


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(float(value)) else None
