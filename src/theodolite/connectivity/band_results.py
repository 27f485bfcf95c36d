"""What an elastic band came to: its points and length, its peaks, and how it got there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from theodolite import results
from theodolite.connectivity.band_cycles import Found
from theodolite.connectivity.chains import arcs, chain_weights
from theodolite.connectivity.pivot_gradients import Way, whole_slopes
from theodolite.connectivity.relaxing import in_batches
from theodolite.connectivity.segments import Along
from theodolite.objective import Objective


def band_shape(path: Along, found: Found) -> dict[str, results.Variable]:
    """The band's points, its length, and where its loss is largest."""
    chain, nodes = found.dense.chain, found.dense.nodes
    length = float(arcs(chain)[-1])
    chord = float(torch.linalg.vector_norm(chain[-1].double() - chain[0].double()))
    losses = path.losses("")
    fine = bool(np.isfinite(losses).all())
    top = path.alphas[int(np.argmax(losses))] if fine else np.nan
    where = found.dense.point(float(top)) if fine else torch.full_like(chain[0], torch.nan)
    mean = np.trapezoid(losses, path.alphas) if fine else np.nan
    return {
        "arc": (("t",), length * path.alphas, {"long_name": "length of the band up to here"}),
        "length": ((), length, {"long_name": "length of the band"}),
        "length_ratio": ((), length / chord, {"long_name": "length over the straight line"}),
        "mean_loss": ((), mean, {"long_name": "mean loss over the length"}),
        "saddle_t": ((), top, {"long_name": "place of the largest loss"}),
        "saddle_point": (("parameter",), _numbers(where), {"long_name": "point of largest loss"}),
        "pivots": (("pivot", "parameter"), _numbers(chain[1:-1]), {"long_name": "inner points"}),
        "pivot_t": (("pivot",), nodes[1:-1], {"long_name": "places of the inner points"}),
        "ends": (("end", "parameter"), _numbers(chain[[0, -1]]), {"long_name": "both ends"}),
        "coefficients": (
            ("t", "point"),
            chain_weights(nodes, path.alphas),
            {"long_name": "shares of a, the inner points and b"},
        ),
    }


def band_peaks(objective: Objective, found: Found) -> dict[str, results.Variable]:
    """The pivots that climbed, with the gradient over all data that is left there."""
    if not found.climbed:
        return {}
    points = found.dense.chain[list(found.climbed)]
    losses, slopes = in_batches(objective, lambda: whole_slopes(objective, points, Way(0)))
    norms = torch.linalg.vector_norm(slopes.double(), dim=1)
    places = found.dense.nodes[list(found.climbed)]
    return {
        "peak_t": (("peak",), places, {"long_name": "places of the points that climbed"}),
        "peak_loss": (
            ("peak",),
            losses.numpy(),
            {"long_name": "losses of the points that climbed"},
        ),
        "peak_gradient_norm": (
            ("peak",),
            _numbers(norms),
            {"long_name": "norms of gradients there"},
        ),
        "peak_point": (
            ("peak", "parameter"),
            _numbers(points),
            {"long_name": "points that climbed"},
        ),
    }


def band_history(found: Found) -> dict[str, results.Variable]:
    """What the cycles and steps did."""
    history = found.history
    tops = np.concatenate([made.tops for made in history.relaxations])
    forces = np.concatenate([made.forces for made in history.relaxations])
    return {
        "cycle_max_loss": (("cycle",), history.tops, {"long_name": "largest loss after a cycle"}),
        "cycle_pivots": (
            ("cycle",),
            np.array(history.pivots, dtype=np.int64),
            {"long_name": "inner points in a cycle"},
        ),
        "training_loss": (("step",), tops, {"long_name": "largest loss of an inner point"}),
        "projected_gradient": (
            ("step",),
            forces,
            {"long_name": "largest norm of an inner point's projected gradient"},
        ),
    }


def _numbers(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy()
