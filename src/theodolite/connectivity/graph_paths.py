"""Paths between minima, tried from the cheapest: straight line, curve, elastic band."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import xarray as xr

from theodolite.connectivity.bands import elastic_band
from theodolite.connectivity.curves import curve
from theodolite.connectivity.linear import barrier
from theodolite.connectivity.segments import Advance
from theodolite.connectivity.spanning_trees import Edge, next_pair
from theodolite.objective import Objective
from theodolite.seeds import child_seed

KINDS = ("line", "curve", "band")
"""Kinds of paths, from the cheapest."""

QUANTITIES = {"barrier": "line", "curve": "curve", "elastic_band": "band"}
"""The kind of a path, by what its result calls itself."""


@dataclass(frozen=True)
class Trying:
    """How paths are tried: settings of each kind, what all share, and when a path is good."""

    settings: Mapping[str, Mapping[str, Any]]
    align: Any
    enough: float
    most_bands: int | None
    shared: Mapping[str, Any]
    seed: int
    progress: Advance | None = None


@dataclass(frozen=True)
class Height:
    """How high a path is: its largest loss, and its excess over the higher end with an interval."""

    loss: float
    excess: tuple[float, float, float]
    test_loss: float


@dataclass(eq=False)
class Tried:
    """Everything tried between n minima: the height of every path by kind and pair."""

    objective: Objective
    thetas: Sequence[Any]
    how: Trying
    heights: dict[str, dict[Edge, Height]] = field(default_factory=dict)
    curves: dict[Edge, xr.Dataset] = field(default_factory=dict)
    distances: dict[Edge, float] = field(default_factory=dict)
    passes: int = 0
    gradients: int = 0

    def matrix(self, kind: str) -> np.ndarray:
        """The heights of one kind, NaN where it was not tried."""
        made = np.full((len(self.thetas), len(self.thetas)), np.nan)
        for (i, j), height in self.heights.get(kind, {}).items():
            made[i, j] = made[j, i] = height.loss
        return made

    def best(self) -> dict[Edge, tuple[str, Height]]:
        """The lowest path of every pair that has one, the cheaper where two are alike."""
        made: dict[Edge, tuple[str, Height]] = {}
        for kind in KINDS:
            for pair, height in self.heights.get(kind, {}).items():
                if pair not in made or _finite(height) < _finite(made[pair][1]):
                    made[pair] = kind, height
        return made

    def lowest(self) -> np.ndarray:
        """The height of the lowest path by pair; infinite where none is finite."""
        found = np.stack([self.matrix(kind) for kind in KINDS])
        made: np.ndarray = np.where(np.isfinite(found), found, np.inf).min(0)
        return made

    def try_path(self, kind: str, pair: Edge) -> None:
        """Look for a path of this kind."""
        made = self._path(kind, pair)
        self.passes += int(made.attrs["passes"])
        steps = made.sizes.get("step", 0) if kind == "curve" else 0
        self.gradients += int(made.attrs.get("gradients", steps))
        self.keep(kind, pair, made)

    def keep(self, kind: str, pair: Edge, made: xr.Dataset) -> None:
        """Take a path that was measured."""
        self.heights.setdefault(kind, {})[pair] = height_of(made)
        if kind == "line":
            self.distances[pair] = float(made.attrs["distance"])
        elif kind == "curve":
            self.curves[pair] = made[["ends", "coefficients", "control_points"]]

    def _path(self, kind: str, pair: Edge) -> xr.Dataset:
        how = self.how
        a, b = (self.thetas[k] for k in pair)
        settings = dict(how.shared) | {"seed": child_seed(how.seed, kind, *pair)}
        settings["progress"] = self._advance(kind, pair)
        settings |= how.settings.get(kind, {})
        if kind == "band":
            before = self.curves.get(pair)
            if before is None:
                return elastic_band(self.objective, a, b, **settings)
            first, last = torch.from_numpy(before["ends"].values)
            return elastic_band(self.objective, first, last, **{"start": before} | settings)
        if how.align is not None:
            settings["align"] = how.align
        path = barrier if kind == "line" else curve
        return path(self.objective, a, b, **settings)

    def _advance(self, kind: str, pair: Edge) -> Advance | None:
        """Says for which pair and kind of path a count is."""
        told = self.how.progress
        if told is None:
            return None
        where = f"{kind} {pair[0] + 1}-{pair[1] + 1}"
        return lambda what, done, most: told(f"{where}, {what}", done, most)

    def improve(self, kind: str, floors: np.ndarray) -> None:
        """Try paths of this kind as long as one could still lower the spanning tree."""
        lines = self.matrix("line")
        known = np.isfinite(lines) & np.isfinite(floors)
        excess = np.where(known, lines, 0.0) - np.where(known, floors, 0.0)
        close = self.how.enough * excess
        most = self.how.most_bands if kind == "band" else None
        while most is None or len(self.heights.get(kind, {})) < most:
            done = np.isfinite(self.matrix(kind))
            for i, j in self.heights.get(kind, {}):
                done[i, j] = True
            pair = next_pair(self.lowest(), floors, close, done)
            if pair is None:
                return
            self.try_path(kind, pair)


def _finite(height: Height) -> float:
    """The largest loss of a path; infinite where it is not finite."""
    return height.loss if math.isfinite(height.loss) else math.inf


def height_of(path: xr.Dataset) -> Height:
    """The height of a path that was measured; NaN where a loss on it is not finite."""
    middle, low, high = (float(path[f"saddle_excess{end}"]) for end in ("", "_low", "_high"))
    test = float(path["test_loss"].max(skipna=False)) if "test_loss" in path else np.nan
    return Height(float(path["loss"].max(skipna=False)), (middle, low, high), test)
