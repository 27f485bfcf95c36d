"""``theodolite study``: settings, plan, exit codes, and a run that goes on.

Oracle: the table of exit codes, and the files on disk.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from theodolite.cli.study import STUDIES

TARGET = """
import torch, theodolite as td
from torch import nn

def build():
    torch.manual_seed(0)
    x, y = torch.randn(12, 2), torch.randn(12, 1)
    return td.Objective(nn.Linear(2, 1), nn.MSELoss(), (x, y))
"""

COMMAND = ("study", "edge-of-stability", "bowl.py:build", "--rate", "0.1", "--rate", "0.2")
FEW = ("--steps", "12", "--every", "3", "-o", "runs/edge")


@pytest.fixture(autouse=True)
def bowl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bowl.py").write_text(TARGET)
    return tmp_path


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_help(call, name):
    said = call("study", name, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: theodolite study {name}")


def test_a_dry_run_writes_nothing(call, bowl):
    said = call(*COMMAND, *FEW, "--dry-run")
    assert said.code == 0
    assert "edge_of_stability" in said.err
    assert not (bowl / "runs").exists()


def test_a_run_stops_in_time_goes_on_and_ends_with_a_page(call, bowl):
    # Kills: the exit code of a nested command lost; settings of a preset in place of those given.
    first = call(*COMMAND, *FEW, "--time-budget", "1s", "--yes")
    assert first.code in (0, 3)
    said = call(*COMMAND, *FEW)
    assert said.code == 0
    assert said.out.strip().endswith("report.html")
    assert "late sharpness / threshold" in said.err
    settings = tomllib.loads((bowl / "runs/edge/config.toml").read_text())["settings"]
    assert settings["edge_of_stability"]["rates"] == [0.1, 0.2]
    assert settings["edge_of_stability"]["steps"] == 12
    assert call("resume", "runs/edge").code == 0


def test_wrong_settings_are_a_wrong_usage(call):
    assert call(*COMMAND, *FEW, "--momentum", "2").code == 2
    assert call("study", "nothing").code == 2
