"""``theodolite volume`` and ``theodolite shape``: what they measure, print and refuse.

Oracle: the functions of the package on the same run.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

import theodolite as td
from theodolite.surveys.reading import load_run


def test_a_volume_is_measured_and_its_topology_printed(call) -> None:
    # kills: axes or steps dropped on the way; a volume nobody can read
    made = call("volume", "mine.py:build", "--axes", "3", "--steps", "5", "-o", "runs/v")
    assert made.code == 0, made.err
    tree = load_run("runs/v")
    cube = tree["volume_0"].to_dataset()
    assert cube.loss.shape == (5, 5, 5)
    assert not np.isnan(cube.loss.values).any()
    found = td.topology(cube)
    said = json.loads(call("shape", "runs/v", "--json").out)
    assert said["statistics"] == []
    assert list(said["topology"]) == ["volume_0"]
    pairs = said["topology"]["volume_0"]["pairs"]
    assert [p["birth"] for p in pairs] == found.birth.values.tolist()
    assert pairs[0]["death"] is None


def test_shape_prints_statistics_of_every_plane(call) -> None:
    # kills: one plane for all; levels ignored
    settings = ("--planes", "2", "--steps", "7", "-o", "runs/p")
    assert call("plane", "mine.py:build", *settings).code == 0
    planes = [load_run("runs/p")[f"plane_{k}"].to_dataset() for k in range(2)]
    said = json.loads(call("shape", "runs/p", "--json", "--level", "5").out)
    rows = {r["name"]: r for r in said["statistics"]}
    expected = td.shape(planes, levels=[5.0])
    assert rows["area"]["samples"] == expected.area.values[:, 0].tolist()
    assert rows["area"]["level"] == "5"
    assert rows["area"]["planes_error"] > 0
    text = call("shape", "runs/p").out
    assert "Shape of 2 planes in filter norms" in text
    assert "SMAD" in text


@pytest.mark.parametrize("bad", [("--neighbors", "eight"), ("--variable", "nothing")])
def test_what_cannot_be_is_refused(call, bad: tuple[str, str]) -> None:
    assert call("plane", "mine.py:build", "--steps", "3", "-o", "runs/q").code == 0
    said = call("shape", "runs/q", *bad)
    assert said.code == 2
    assert bad[1] in said.err


def test_a_run_without_surfaces_is_refused(call) -> None:
    assert call("line", "mine.py:build", "--lines", "1", "-o", "runs/l").code == 0
    said = call("shape", "runs/l")
    assert said.code != 0
    assert "E-Q14" in said.err
