"""Trajectories that cannot be: each refusal by its code.

Oracle: the documented codes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import theodolite as td
from theodolite.errors import InvalidArgument, NotFinite, StorageError, TheodoliteError

from .formulas import quadratic
from .test_trajectory import CENTER, SIZE, planted


def test_what_is_refused(tmp_path: Path) -> None:
    path = planted()[0]
    objective = quadratic(CENTER, start=path[-1])
    torch.save({"other": torch.ones(2)}, tmp_path / "a_1.pt")
    torch.save({"other": torch.ones(2)}, tmp_path / "a_2.pt")
    (tmp_path / "b_1.safetensors").write_bytes(b"nothing")
    damaged = [tmp_path / "b_1.safetensors"] * 2
    rows: list[tuple[dict[str, object], type[TheodoliteError], str]] = [
        ({"checkpoints": {}}, InvalidArgument, "E-J07"),
        ({"checkpoints": path[:1]}, InvalidArgument, "E-J07"),
        ({"checkpoints": 3}, TheodoliteError, "E-J07"),
        ({"checkpoints": [3, 4]}, TheodoliteError, "E-J07"),
        ({"checkpoints": tmp_path / "none"}, InvalidArgument, "E-J07"),
        ({"checkpoints": path, "times": [1, 2]}, InvalidArgument, "E-J08"),
        ({"checkpoints": path, "times": [0] * 8}, InvalidArgument, "E-J08"),
        ({"checkpoints": path, "learning_rates": [0.1]}, InvalidArgument, "E-J08"),
        ({"checkpoints": path, "learning_rates": 0.1}, InvalidArgument, "E-J08"),
        ({"checkpoints": path, "times": ["first"] * 8}, InvalidArgument, "E-J08"),
        ({"checkpoints": path, "times": [*range(7), torch.inf]}, InvalidArgument, "E-J08"),
        ({"checkpoints": path, "times": [0, torch.nan, *range(6)]}, InvalidArgument, "E-J08"),
        ({"checkpoints": path, "most": 1}, InvalidArgument, "E-J07"),
        ({"checkpoints": path, "most": -1}, InvalidArgument, "E-J07"),
        ({"checkpoints": [path[0]] * 4}, InvalidArgument, "E-J04"),
        ({"checkpoints": path, "directions": "random"}, InvalidArgument, "E-J13"),
        ({"checkpoints": path, "directions": torch.ones(2, 3)}, InvalidArgument, "E-J13"),
        ({"checkpoints": path, "directions": torch.ones(2, SIZE)}, InvalidArgument, "E-J05"),
        ({"checkpoints": path, "center": "first"}, InvalidArgument, "E-J03"),
        ({"checkpoints": path, "null_walks": 1}, InvalidArgument, "E-J06"),
        ({"checkpoints": [tmp_path / "a_1.pt"] * 2}, InvalidArgument, "E-P02"),
        ({"checkpoints": damaged}, StorageError, "E-T62"),
    ]
    for arguments, kind, code in rows:
        with pytest.raises(kind) as caught:
            td.trajectory(objective, **arguments)
        assert caught.value.code == code, arguments


def test_numbers_told_of_several_runs_are_not_passed_over() -> None:
    # Kills: a list for several runs, or a run's name with a slip, taken for nothing told.
    path = planted()[0]
    runs = {"sgd": path, "adam": path + 1}
    for told in ([0.1] * 8, {"SGD": [0.1] * 8}):
        with pytest.raises(InvalidArgument, match="must be a mapping from their names, sgd, adam"):
            td.trajectory(quadratic(CENTER), runs, learning_rates=told)


def test_a_checkpoint_that_is_none_is_named() -> None:
    # Kills: the place in a thinned list of all runs given for the checkpoint.
    path = planted()[0].clone()
    path[6] = torch.nan
    for runs, name in (
        ({"a": planted()[0], "b": path}, "checkpoint 6 of run 'b' holds"),
        (path, "^checkpoint 6 holds"),
    ):
        with pytest.raises(NotFinite, match=name):
            td.trajectory(quadratic(CENTER), runs, most=7)


def test_directions_are_used_in_the_precision_of_points() -> None:
    # In float32 they vanish. Kills: coordinates along axes that the shadows do not have.
    far = 1e-60 * torch.eye(2, SIZE, dtype=torch.float64)
    with pytest.raises(InvalidArgument, match="E-J05"):
        td.trajectory(quadratic(CENTER.float()), planted()[0].float(), directions=far)
