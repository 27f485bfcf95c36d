"""Trajectories that cannot be: each refusal by its code.

Oracle: the documented codes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import theodolite as td
from theodolite.errors import InvalidArgument, StorageError, TheodoliteError

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
