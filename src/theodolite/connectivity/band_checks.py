"""What an elastic band asks of its settings, and the chain it begins with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Shaped
from torch import Tensor

from theodolite.connectivity.arguments import count
from theodolite.connectivity.band_cycles import Cycling
from theodolite.connectivity.chains import chain_weights, places_of
from theodolite.connectivity.pivot_gradients import check_way
from theodolite.connectivity.relaxing import Relaxation
from theodolite.errors import InvalidArgument, UnsupportedModel
from theodolite.objective import Objective

DESCENTS = ("sgd", "fire")


def check_band(objective: Objective, how: Relaxation, cycling: Cycling) -> None:
    """Raise for settings out of range."""
    if how.descent not in DESCENTS:
        raise InvalidArgument(
            f"descent must be one of {', '.join(map(repr, DESCENTS))}; got {how.descent!r}.",
            code="E-A23",
        )
    if cycling.climb and how.descent != "fire":
        raise InvalidArgument(
            f'climb needs descent="fire"; got descent={how.descent!r}.',
            why="the gradient of a batch has no saddle of the whole loss to climb to.",
            fix='pass descent="fire", climb=True.',
            code="E-A23",
        )
    count(how.steps, "steps", least=1)
    count(cycling.cycles, "cycles", least=1)
    count(cycling.between, "between", least=1)
    check_way(cycling.evaluation)
    for name, value, fits, allowed in (
        ("momentum", how.momentum, 0 <= how.momentum < 1, "at least 0 and below 1"),
        ("weight_decay", how.weight_decay, how.weight_decay >= 0, "0 or more"),
        ("longest", how.longest, how.longest > 1, "above 1, the straight line"),
        ("excess", cycling.excess, cycling.excess > 0, "positive, a share of the range"),
        ("tolerance", how.tolerance, how.tolerance >= 0, "0 or more"),
    ):
        if not fits or not np.isfinite(value):
            raise InvalidArgument(f"{name} must be {allowed}; got {value!r}.", code="E-A23")
    refuse_shared(objective, "an elastic band")


def refuse_shared(objective: Objective, what: str) -> None:
    """Raise for an objective that processes share: batches are drawn in one process."""
    if objective.ranks is not None:
        raise UnsupportedModel(
            f"{what} cannot be trained where processes share an objective.",
            fix="build the objective without process_group.",
            code="E-A22",
        )


def start_chain(a: Tensor, b: Tensor, start: Any, pivots: int) -> Shaped[Tensor, "point params"]:
    """The ends and so many inner points evenly along where the chain begins."""
    if torch.equal(a, b):
        raise InvalidArgument("a and b are one point: no path leads between.", code="E-A20")
    path = torch.stack([a, *_inner(start, a), b])
    even = np.linspace(0.0, 1.0, pivots + 2)
    made = torch.from_numpy(chain_weights(places_of(path), even)).to(path) @ path
    made[0], made[-1] = a, b
    return made


def _inner(start: Any, a: Tensor) -> list[Tensor]:
    """The inner points of a path that was found before, or of a tensor."""
    if start is None:
        return []
    if isinstance(start, xr.Dataset) and {"ends", "coefficients"} <= set(start.data_vars):
        inner = "control_points" if "control_points" in start else "pivots"
        first, last = start["ends"].values
        points = np.concatenate([first[None], start[inner].values, last[None]])
        found = torch.from_numpy(start["coefficients"].values[1:-1] @ points)
    else:
        found = start
    fits = isinstance(found, Tensor) and found.dim() == 2 and found.shape[1] == len(a)
    if not fits or not len(found) or not bool(torch.isfinite(found).all()):
        got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InvalidArgument(
            f"start must hold finite inner points of shape (point, {len(a)}); got {got}.",
            fix="pass the result of curve() or elastic_band() between the same ends, or a tensor.",
            code="E-A24",
        )
    return list(found.detach().to(a))
