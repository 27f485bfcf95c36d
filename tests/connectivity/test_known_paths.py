"""Graphs of minima from paths measured before. Oracle: the graph that measures them itself."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import nn

import theodolite as td
from theodolite.errors import InvalidArgument


class Wells(nn.Module):
    """Zero at whole numbers, and one half-way between."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sin(torch.pi * self.w)


def wells() -> td.Objective:
    one = torch.ones(2, 1, dtype=torch.float64)
    return td.Objective(Wells(), nn.MSELoss(), (one, 0 * one))


MINIMA = torch.tensor([[0.0], [1.0], [2.0], [4.0]], dtype=torch.float64)


def test_known_paths_are_taken_and_nothing_is_measured_again():
    """Kills: lines measured again, pairs mixed up, heights of one kind taken for another's."""
    own = wells()
    pairs = list(combinations(range(4), 2))
    known = {(i, j): [td.barrier(own, MINIMA[i], MINIMA[j])] for i, j in pairs}
    lower = td.curve(own, MINIMA[0], MINIMA[3], steps=8, learning_rate=1e-4, refine=0)
    lower["loss"] = 0.25 * lower["loss"]
    lower["saddle_excess"] = 0.25 * lower["saddle_excess"]
    known[0, 3].append(lower)
    found = td.minima_graph(own, MINIMA, paths=["line"], known=known)
    assert found.attrs["passes"] == 4  # the minima alone
    assert (found.attrs["lines"], found.attrs["curves"]) == (6, 1)
    assert found["height"].values[0, 3] == float(lower["loss"].max()) < 0.5
    assert found["kind"].values[0, 3] == 2
    assert found["curve_height"].values[0, 3] == found["height"].values[3, 0]
    others = [(i, j) for i, j in pairs if (i, j) != (0, 3)]
    anew = td.minima_graph(own, MINIMA, paths=["line"])
    for i, j in others:
        assert found["height"].values[i, j] == anew["height"].values[i, j]
        assert found["distance"].values[i, j] == float(abs(MINIMA[i] - MINIMA[j]))
    assert anew.attrs["passes"] > 100


def test_paths_of_others_are_refused():
    """Kills: a pair that is none, ends exchanged for others, another objective, no path at all."""
    own = wells()
    x = torch.full((2, 1), 2.0, dtype=torch.float64)
    other = td.Objective(Wells(), nn.MSELoss(), (x, 0 * x))
    line = td.barrier(own, MINIMA[0], MINIMA[1], steps=3, refine=0)
    away = td.barrier(own, MINIMA[0], MINIMA[1] + 0.3, steps=3, refine=0)
    for known, words in (
        ({(1, 0): [line]}, "none of the pairs"),
        ({(0, 1): [away]}, "whose losses are not those"),
        ({(0, 1): [td.barrier(other, MINIMA[0], MINIMA[1], steps=3)]}, "another objective"),
        ({(0, 1): [line.assign_attrs(quantity="plane")]}, "is no path"),
    ):
        with pytest.raises(InvalidArgument, match=words) as caught:
            td.minima_graph(own, MINIMA, paths=["line"], known=known)
        assert caught.value.code == "E-S51"


def test_progress_says_which_path_and_how_far():
    """Kills: pairs counted from zero, a band that is silent."""
    said: list[tuple[str, int, int]] = []
    td.minima_graph(
        wells(),
        MINIMA[:2],
        paths=["line", "band"],
        band_settings={"descent": "fire", "cycles": 1, "steps": 2, "pivots": 3},
        progress=lambda *told: said.append(told),
    )
    assert said[0] == ("line 1-2, place", 1, 25)
    assert ("band 1-2, cycle 1, step", 1, 2) in said
