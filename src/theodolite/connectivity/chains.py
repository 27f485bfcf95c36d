"""Chains of points between two ends: tangents, arcs, equal spacing, and where to insert a point."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

Array = Float64[np.ndarray, "..."]


def tangents(
    chain: Float[Tensor, "point params"], losses: Float64[np.ndarray, " point"]
) -> Float[Tensor, "pivot params"]:
    r"""The unit tangents at the inner points, by the improved rule of Henkelman and Jonsson.

    .. math:: \tau_i \propto \begin{cases} \theta_{i+1} - \theta_i & L_{i+1} > L_i > L_{i-1} \\
        \theta_i - \theta_{i-1} & L_{i+1} < L_i < L_{i-1} \\
        s_+ (\theta_{i+1} - \theta_i) + s_- (\theta_i - \theta_{i-1}) & \text{else} \end{cases}

    At the tops and bottoms of the chain :math:`s_+` is the larger of both changes of the loss if
    the next point is higher than the one before, else the smaller, and :math:`s_-` the other.
    """
    before, here, after = losses[:-2], losses[1:-1], losses[2:]
    change = np.stack([np.abs(after - here), np.abs(before - here)])
    large, small = change.max(0), change.min(0)
    flat = large == 0
    forward = np.where(after > before, large, small) + flat
    backward = np.where(after > before, small, large) + flat
    rising, falling = (after > here) & (here > before), (after < here) & (here < before)
    forward = np.where(rising, 1.0, np.where(falling, 0.0, forward))
    backward = np.where(rising, 0.0, np.where(falling, 1.0, backward))
    scale = np.maximum(forward, backward)
    shares = torch.from_numpy(np.stack([forward, backward]) / scale).to(chain)
    steps = chain.diff(dim=0)
    made = shares[0, :, None] * steps[1:] + shares[1, :, None] * steps[:-1]
    length = torch.linalg.vector_norm(made, dim=1, keepdim=True)
    unit: Tensor = made / length.clamp(min=torch.finfo(made.dtype).tiny)
    return unit


def arcs(chain: Float[Tensor, "point params"]) -> Float64[np.ndarray, " point"]:
    """The length of the chain up to each point, in float64.

    >>> arcs(torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 5.0]])).tolist()
    [0.0, 5.0, 6.0]
    """
    steps = torch.stack([torch.linalg.vector_norm(step.double()) for step in chain.diff(dim=0)])
    made: Array = np.concatenate([[0.0], np.cumsum(steps.cpu().numpy())])
    return made


def places_of(chain: Float[Tensor, "point params"]) -> Float64[np.ndarray, " point"]:
    """The arc of every point as a share of the chain's length; exactly one at the end."""
    found = arcs(chain)
    made: Array = found / found[-1] if found[-1] > 0 else np.linspace(0.0, 1.0, len(found))
    return made


def chain_weights(
    nodes: Float64[np.ndarray, " point"], places: Array
) -> Float64[np.ndarray, "place point"]:
    """The shares of the points at places of the straight pieces between `nodes`.

    >>> chain_weights(np.array([0.0, 0.5, 1.0]), np.array([0.25, 1.0])).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    """
    rows = np.eye(len(nodes))
    made: Array = np.stack([np.interp(places, nodes, row) for row in rows], -1)
    return made


def spaced(
    chain: Float[Tensor, "point params"],
    shares: Float64[np.ndarray, " piece"],
    fixed: Sequence[int] = (),
) -> Float[Tensor, "point params"]:
    """The chain with its points moved along it until its pieces have these shares of its length.

    The ends and the points numbered in `fixed` stay where they are; between two of them the
    shares count in proportion.
    """
    made = chain.clone()
    stops = [0, *sorted(set(fixed) - {0, len(chain) - 1}), len(chain) - 1]
    for first, last in pairwise(stops):
        piece = chain[first : last + 1]
        wanted = np.cumsum(shares[first:last]) / shares[first:last].sum()
        weights = chain_weights(places_of(piece), wanted[:-1])
        made[first + 1 : last] = torch.from_numpy(weights).to(piece) @ piece
    return made


def between_nodes(
    nodes: Float64[np.ndarray, " point"], between: int
) -> Float64[np.ndarray, " place"]:
    """The nodes, and so many even places inside each piece, in rising order.

    >>> between_nodes(np.array([0.0, 0.5, 1.0]), 1).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    index = np.arange((len(nodes) - 1) * (between + 1) + 1) / (between + 1)
    made: Array = np.interp(index, np.arange(len(nodes)), nodes)
    return made


def inserted(
    chain: Float[Tensor, "point params"],
    shares: Float64[np.ndarray, " piece"],
    places: Float64[np.ndarray, " place"],
    losses: Float64[np.ndarray, " place"],
    excess: float,
) -> tuple[Float[Tensor, "longer params"], Float64[np.ndarray, " pieces"], int]:
    """The chain with a point more in every piece whose loss rises far above its straight line.

    `places` and `losses` are those of a dense look at the chain, its points among the places.
    Far is `excess` times the range of all losses. A new point lies where the rise is largest and
    parts its piece's share. Also how many were put in.
    """
    nodes, span = places_of(chain), float(losses.max() - losses.min())
    rise = losses - np.interp(places, nodes, np.interp(nodes, places, losses))
    made, parts = [chain[0]], list[float]()
    for k, (low, high) in enumerate(pairwise(nodes)):
        inside = np.flatnonzero((places > low) & (places < high))
        top = int(inside[np.argmax(rise[inside])]) if len(inside) else -1
        if top >= 0 and span > 0 and rise[top] > excess * span:
            share = float((places[top] - low) / (high - low))
            made.append(torch.lerp(chain[k], chain[k + 1], share))
            parts += [shares[k] * share, shares[k] * (1 - share)]
        else:
            parts.append(float(shares[k]))
        made.append(chain[k + 1])
    return torch.stack(made), np.array(parts), len(made) - len(chain)


def peaks(losses: Float64[np.ndarray, " point"], least: float) -> list[int]:
    """The inner points higher than both neighbors by a valley of `least` on each side.

    The height of a peak is taken from the lowest loss between it and the nearest higher point,
    on each side where there is one (its topographic prominence).

    >>> peaks(np.array([0.0, 3.0, 1.0, 1.1, 0.5, 2.0, 0.0]), 0.5)
    [1, 5]
    """
    found = []
    for k in range(1, len(losses) - 1):
        if not (losses[k] > losses[k - 1] and losses[k] >= losses[k + 1]):
            continue
        sides = (losses[:k][::-1], losses[k + 1 :])
        drops = []
        for side in sides:
            higher = np.flatnonzero(side > losses[k])
            stretch = side[: int(higher[0])] if len(higher) else side
            drops.append(float(losses[k] - stretch.min()))
        if min(drops) >= least and min(drops) > 0:
            found.append(k)
    return found


def zoomed(
    nodes: Float64[np.ndarray, " point"], tops: Sequence[float], near: float
) -> tuple[Float64[np.ndarray, " place"], list[int]]:
    """Nodes with each top among them and a place beside it on both sides, and where the tops are.

    Nodes nearer to a top than one and a half times `near` give way, except the ends.

    >>> zoomed(np.array([0.0, 0.5, 1.0]), [0.25], 0.05)[0].tolist()
    [0.0, 0.2, 0.25, 0.3, 0.5, 1.0]
    """
    at = np.asarray(tops, dtype=np.float64)
    inner = nodes[1:-1]
    free = (np.abs(inner[:, None] - at) > 1.5 * near).all(1)
    beside = np.concatenate([at - near, at, at + near])
    inside = beside[(beside > 0) & (beside < 1)]
    made: Array = np.unique(np.concatenate([[0.0, 1.0], inner[free], inside]))
    return made, [int(k) for k in np.searchsorted(made, at)]
