"""The merge tree in a plane: minima as leaves, each branch as high as the loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import palette
from theodolite.plots.barcode import ceiling, wide
from theodolite.plots.dress import dress, plain_ticks, require
from theodolite.plots.height_scale import plain

MOST_LEAVES = 16
"""Leaves beyond these, the least persistent, are pruned and counted in the title."""
MOST_LABELS = 8


@dataclass(frozen=True, eq=False)
class Layout:
    """Places of the nodes that are drawn: sideways, in units of leaves; and their parents."""

    x: dict[int, float]
    parent: dict[int, int]
    leaves: tuple[int, ...]


def plot_merge_tree(topology: xr.Dataset, ax: Axes, *, log: bool | None = None) -> Axes:
    """Draw the merge tree of `topology`; return `ax`.

    Height is the loss. Leaves are minima, named by their depth (the persistence) where there is
    room; hollow ones lie on the border of the grid, gray ones within two standard errors. The
    stem at the top is the lowest minimum's, which joins no other; it ends above all saddles.
    """
    require(topology, "topology", "pair", "node")
    layout = arranged(topology)
    log = wide(topology) if log is None else log
    height, highest = topology["height"].values, ceiling(topology, log)
    for node, x in layout.x.items():
        above = layout.parent[node]
        top = highest if above < 0 else float(height[above])
        ax.plot([x, x], [float(height[node]), top], color=palette.MUTED, linewidth=1.4)
        if above >= 0:
            ax.plot([x, layout.x[above]], [top, top], color=palette.MUTED, linewidth=1.4)
    for node in layout.leaves:
        _leaf(ax, topology, node, layout.x[node], len(layout.leaves) <= MOST_LABELS)
    if log:
        ax.set_yscale("log")
        plain_ticks(ax.yaxis)
    ax.set_xlim(-0.8, max(len(layout.leaves) - 0.2, 0.8))
    ax.margins(y=0.2)
    ax.set_xticks([])
    ax.set_xlabel("minima and their depths, not to scale")
    ax.set_ylabel(str(topology.attrs.get("variable", "loss")).replace("_", " "))
    left = topology.sizes["pair"] - len(layout.leaves)
    if left:
        ax.set_title(f"{left:,} shallower minima are not drawn")
    return dress(ax)


def arranged(topology: xr.Dataset, most: int = MOST_LEAVES) -> Layout:
    """Places without crossings: every subtree side by side, that of the lower minimum first."""
    leaf, parent = topology["leaf"].values, topology["parent"].values
    lowest = {k: int(p) for k, p in enumerate(leaf) if 0 <= p < most}
    birth = topology["birth"].values
    below: dict[int, list[int]] = {}
    up: dict[int, int] = {}
    for node in np.argsort(topology["height"].values, kind="stable").tolist():
        children = below.get(node, [])
        if node not in lowest and len(children) > 1:
            lowest[node] = min((lowest[c] for c in children), key=lambda p: float(birth[p]))
            up |= dict.fromkeys(children, node)
        if node in lowest:
            below.setdefault(int(parent[node]), []).append(node)
        elif children:  # a pruned branch left one way through
            below.setdefault(int(parent[node]), []).extend(children)
    kept = {n: [c for c, p in up.items() if p == n] for n in lowest}
    roots = sorted((n for n in lowest if n not in up), key=lambda n: float(birth[lowest[n]]))
    order = [n for root in roots for n in _depth_first(root, kept, lowest, birth)]
    leaves = [n for n in order if not kept[n]]
    x = {n: float(k) for k, n in enumerate(leaves)}
    for node in sorted(kept, key=lambda n: float(topology["height"].values[n])):
        if kept[node]:
            x[node] = float(np.mean([x[c] for c in kept[node]]))
    return Layout(x, {n: up.get(n, -1) for n in lowest}, tuple(leaves))


def _depth_first(
    root: int, kept: dict[int, list[int]], lowest: dict[int, int], birth: np.ndarray
) -> list[int]:
    out, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        out.append(node)
        waiting += sorted(kept[node], key=lambda c: -float(birth[lowest[c]]))
    return out


def _leaf(ax: Axes, topology: xr.Dataset, node: int, x: float, named: bool) -> None:
    pair = topology.isel(pair=int(topology["leaf"].values[node]))
    sure, hollow = bool(pair["significant"]), bool(pair["at_edge"])
    color = palette.POSITIVE if sure else palette.GAP
    face = "none" if hollow else color
    y = float(pair["birth"])
    ax.plot([x], [y], marker="o", markersize=7, color=color, markerfacecolor=face, zorder=3)
    depth = float(pair["persistence"])
    text = "lowest" if not np.isfinite(depth) else plain(float(f"{depth:.2g}"))
    if named:
        ax.annotate(
            text,
            (x, y),
            (0, -9),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=9,
            color=palette.MUTED,
        )
