"""What a graph of minima holds: numbers by pair, by edge of the tree, and of the minima."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from theodolite import results
from theodolite.connectivity.graph_paths import KINDS, Tried
from theodolite.connectivity.pairs import BOTH
from theodolite.connectivity.spanning_trees import Edge, saddles


def matrices(
    tried: Tried, heights: np.ndarray, tree: list[Edge], losses: dict[str, np.ndarray]
) -> dict[str, results.Variable]:
    """Everything there is a number of for each pair."""
    shown = np.where(np.isfinite(heights), heights, np.nan)
    between = saddles(heights, tree)
    made: dict[str, results.Variable] = {
        "height": (BOTH, shown, {"long_name": "largest loss on the lowest path"}),
        "saddle": (
            BOTH,
            np.where(np.isfinite(between), between, np.nan),
            {"long_name": "lowest saddle between two minima"},
        ),
        "tree": (BOTH, _filled(heights, dict.fromkeys(tree, 1), 0), {"long_name": "1 in the tree"}),
    }
    best = tried.best()
    codes = {pair: KINDS.index(kind) + 1 for pair, (kind, _) in best.items()}
    told = "kind of the lowest path: 1 line, 2 curve, 3 band"
    made["kind"] = (BOTH, _filled(heights, codes, 0), {"long_name": told})
    for kind in KINDS:
        values = tried.matrix(kind)
        made[f"{kind}_height"] = (BOTH, values, {"long_name": f"largest loss on the {kind}"})
    words = "largest loss on the lowest path minus the larger of the ends"
    for k, (end, word) in enumerate((("", ""), ("_low", "lower"), ("_high", "upper"))):
        values = _filled(heights, {p: h.excess[k] for p, (_, h) in best.items()}, 0.0)
        long_name = f"{word} end of the {words}" if word else words
        made[f"saddle_excess{end}"] = (BOTH, values, {"long_name": long_name})
    distances = _filled(heights, tried.distances, 0.0)
    made["distance"] = (BOTH, distances, {"long_name": "distance"})
    if "test_" in losses:
        values = _filled(heights, {p: h.test_loss for p, (_, h) in best.items()}, 0.0)
        np.fill_diagonal(values, losses["test_"])
        made["test_height"] = (BOTH, values, {"long_name": "largest test loss on that path"})
    ok = np.where(np.isfinite(heights), results.OK, results.DIVERGED)
    made["status"] = results.status_variable(BOTH, ok)
    return made


def _filled(
    like: np.ndarray, values: Mapping[Edge, float | int], diagonal: float | int
) -> np.ndarray:
    """A symmetric matrix of the numbers of pairs."""
    made = np.full(like.shape, diagonal)
    for (i, j), value in values.items():
        made[i, j] = made[j, i] = value
    return made


def edges(tried: Tried, heights: np.ndarray, tree: list[Edge]) -> dict[str, results.Variable]:
    best = tried.best()
    kinds = [KINDS.index(best[edge][0]) + 1 for edge in tree]
    return {
        "edge_first": (("edge",), [i for i, _ in tree], {"long_name": "first end of an edge"}),
        "edge_second": (("edge",), [j for _, j in tree], {"long_name": "second end of an edge"}),
        "edge_height": (
            ("edge",),
            [heights[e] if np.isfinite(heights[e]) else np.nan for e in tree],
            {"long_name": "largest loss on an edge of the tree"},
        ),
        "edge_kind": (("edge",), kinds, {"long_name": "kind of path: 1 line, 2 curve, 3 band"}),
    }


def minima(
    losses: dict[str, np.ndarray], heights: np.ndarray, tree: list[Edge]
) -> dict[str, results.Variable]:
    """The minima's losses, and means over minima and edges with their spread."""
    made: dict[str, results.Variable] = {}
    for prefix, values in losses.items():
        split = "test " if prefix else ""
        name = f"{prefix}minimum_loss"
        made[name] = (("first",), values, {"long_name": f"{split}loss of the minima"})
    edges = np.array([heights[edge] for edge in tree])
    for name, values, words in (
        ("minimum_loss", losses[""], "loss of the minima"),
        ("edge_height", edges, "largest loss of the tree's edges"),
    ):
        finite = bool(np.isfinite(values).all())
        mean = values.mean() if finite else np.nan
        spread = values.std(ddof=1) if finite and len(values) > 1 else np.nan
        made[f"mean_{name}"] = ((), mean, {"long_name": f"mean {words}"})
        told = f"standard deviation of the {words}"
        made[f"{name}_spread"] = ((), spread, {"long_name": told})
    return made
