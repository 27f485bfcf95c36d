"""Basins that flow together as the level rises: persistence pairs, and the tree they form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from theodolite.shapes.basins import Basins

NEVER = -1


@dataclass(frozen=True, eq=False)
class Joins:
    """For each minimum, in order of height, where it joins a lower one.

    ``saddle`` is the flat index of the point where that happens and ``elder`` the number of the
    lower minimum, both -1 for the lowest of a connected region; ``order`` are the minima that do
    join, the first to join first.
    """

    minima: Int[np.ndarray, " minimum"]
    saddle: Int[np.ndarray, " minimum"]
    elder: Int[np.ndarray, " minimum"]
    order: Int[np.ndarray, " join"]


@dataclass(frozen=True, eq=False)
class Tree:
    """The merge tree: ``point`` and ``parent`` of every node, leaves (the minima) first.

    A node that two basins reach at the same point is one node; the parent of a root is -1.
    """

    point: Int[np.ndarray, " node"]
    parent: Int[np.ndarray, " node"]


def joins(found: Basins) -> Joins:
    """Which basins join, by the elder rule: of two that meet the one with the higher minimum ends.

    Passes are taken in rising order; each either joins two basins or closes a ring, and then it
    changes nothing.
    """
    count = len(found.minima)
    home = np.arange(count)
    saddle = np.full(count, NEVER, dtype=np.int64)
    elder = np.full(count, NEVER, dtype=np.int64)
    order: list[int] = []

    def root(k: int) -> int:
        while home[k] != k:
            home[k] = home[home[k]]
            k = int(home[k])
        return k

    for at, a, b in zip(found.passes, found.left, found.right, strict=True):
        low, high = sorted((root(int(a)), root(int(b))))
        if low != high:
            home[high] = low
            saddle[high], elder[high] = at, low
            order.append(high)
            if len(order) == count - 1:
                break
    return Joins(found.minima, saddle, elder, np.array(order, dtype=np.int64))


def without(found: Basins, made: Joins, gone: Bool[np.ndarray, " minimum"]) -> tuple[Basins, Joins]:
    """Both with some minima left out, their basins counted to those they join.

    For minima that join at their own height, as a terrace has many of: nothing joins them later.
    """
    into = np.arange(len(gone))
    for k in made.order[::-1]:
        if gone[k]:
            into[k] = into[made.elder[k]]
    number = np.cumsum(~gone) - 1
    basin = np.where(found.basin >= 0, number[into[found.basin]], NEVER)
    kept = ~gone
    elder = np.where(made.elder[kept] >= 0, number[made.elder[kept]], NEVER)
    order = number[made.order[~gone[made.order]]]
    slim = Joins(made.minima[kept], made.saddle[kept], elder, order)
    left, right = number[into[found.left]], number[into[found.right]]
    return Basins(slim.minima, basin, found.passes, left, right), slim


def first_saddles(
    made: Joins, kept: Bool[np.ndarray, " minimum"] | None = None
) -> Int[np.ndarray, " minimum"]:
    """The point where each minimum's basin first meets another: the upper end of its leaf.

    With `kept`, the tree is simplified first: minima not kept are filled up, and what they join
    is no meeting. -1 for a minimum that meets none.
    """
    first = np.full(len(made.minima), NEVER, dtype=np.int64)
    for k in made.order:
        if kept is not None and not kept[k]:
            continue
        for one in (int(k), int(made.elder[k])):
            if first[one] == NEVER:
                first[one] = made.saddle[k]
    return first


def tree(made: Joins) -> Tree:
    """The merge tree of joins, two or more branches a node."""
    point = [int(v) for v in made.minima]
    parent = [NEVER] * len(point)
    top = list(range(len(point)))
    leaves = len(point)
    for k in made.order:
        low, at = int(made.elder[k]), int(made.saddle[k])
        ends = (top[low], top[k])
        same = [n for n in ends if n >= leaves and point[n] == at]
        if not same:
            point.append(at)
            parent.append(NEVER)
        node = same[0] if same else len(point) - 1
        for end in ends:
            if end != node:
                parent[end] = node
        top[low] = node
    return Tree(np.array(point, dtype=np.int64), np.array(parent, dtype=np.int64))
