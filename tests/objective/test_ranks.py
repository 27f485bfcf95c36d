"""Objectives shared by two processes under torchrun, against the same objective in one.

Oracle: the objective of a single process on the same batches, in the same two processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from theodolite.errors import InvalidArgument

ROOT = Path(__file__).parents[2]
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")


def run(program: str, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What both ranks found."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *TORCHRUN, "-m", "tests.objective.shared_programs", program, folder]
    made = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=100
    )
    assert made.returncode == 0, made.stderr[-4000:]
    first, second = (json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1))
    return first, second


def test_values_have_the_bits_of_one_process_and_derivatives_its_numbers(tmp_path: Path) -> None:
    # Kills: batches joined in the order of ranks; the weight of a rank's own batches as the whole;
    # gradients or products of a rank's own batches; every batch on every rank.
    first, second = run("numbers", tmp_path)
    assert len(first) > 30
    for name, found in first.items():
        for same in ("bits", "value", "metrics", "fingerprint"):
            assert found[same], (name, same)
        assert found["examples"] == 12, name
        assert [found["batches"], second[name]["batches"]] == [2, 1], name
        assert found["gradient"] < 1e-14, name
        assert found["hessian"] < 1e-13, name
        assert found["ggn"] < 1e-13 or np.isnan(found["ggn"]), name  # NaN: 0 / 0, a linear loss


def test_surfaces_and_spectra_are_those_of_one_process(tmp_path: Path) -> None:
    # Kills: statistics pooled over a rank's own batches; a certificate of few examples that adds
    # up those of all ranks.
    first, second = run("surfaces", tmp_path)
    assert first["certificates"][0] == first["certificates"][1]
    assert first == second
    for kind in ("frozen dense", "frozen adaptive", "recompute dense"):
        assert first[f"{kind} bits"], kind
    assert first["frozen line"]
    assert first["recompute line"]
    assert first["recompute way"] == "by layer"
    for name in ("recompute adaptive", "eigenvalues", "trace", "nodes"):
        alone, shared = np.asarray(first[name])
        np.testing.assert_allclose(shared, alone, rtol=1e-5, atol=1e-5 * np.abs(alone).max())


def test_every_form_of_data_is_shared_out_once(tmp_path: Path) -> None:
    # Kills: a limit for each rank; data read anew in full on each rank; a rank that weighs batches
    # as its own first one suggests (the second batch of "by batch" cannot tell).
    first, second = run("forms", tmp_path)
    for name, found in first.items():
        other = second[name]
        assert found["examples"][0] == found["examples"][1], name
        assert found["kept"] + other["kept"] == found["examples"][0], name
        assert min(found["kept"], other["kept"]) > 0, name
        assert max(found["value"], other["value"]) < 1e-7, name
        assert max(found["gradient"], other["gradient"]) < 1e-6, name


FELL = "rank 1 failed: RuntimeError: the kernel fell over"
BOTH = {
    "theta": ("E-O62", "theta differs"),
    "vector": ("E-O62", "the vector to multiply by differs"),
    "directions": ("E-O62", "the pair of directions differs"),
    "calls": ("E-O65", "rank 0: sum of derivatives, rank 1: pass over the data"),
    "weights": ("E-O63", "the objective differs"),
    "data": ("E-O63", "the objective differs"),
    "order": ("E-O64", "different orders"),
    "few": ("E-O66", "1 batch for 2 ranks"),
    "group": ("E-O60", "'everyone'"),
    "survey": ("E-S15", "process_group"),
}


def test_what_fails_on_one_rank_is_told_on_all_and_the_next_call_is_in_step(tmp_path: Path) -> None:
    # Kills: a rank left waiting for one that failed (the run would not end); an exchange left out
    # after an error, so that the next call reads its numbers.
    first, second = run("failures", tmp_path)
    for call in ("value", "gradient", "product"):
        assert first[call] == ["RankFailed", "E-O61", FELL]
        assert second[call] == ["RuntimeError", "", "the kernel fell over"]
    for name, (code, words) in BOTH.items():
        for found in (first, second):
            assert found[name][1] == code, name
            assert words in found[name][2], name
    assert first["broken from the start"][:2] == ["RankFailed", "E-O61"]
    assert second["broken from the start"][:2] == ["InvalidData", "E-O42"]
    for found in (first, second):
        assert found["afterwards"]
        assert found["alone"]
        assert found["in step"]


def test_a_rank_that_is_gone_is_told_as_such(tmp_path: Path) -> None:
    # Kills: the transport's own words for it.
    first, _ = run("lost", tmp_path)
    assert first["told"][:2] == ["RankFailed", "E-O67"]
    assert "the contact to the other ranks was lost" in first["told"][2]


def test_sharing_needs_processes_that_know_of_each_other() -> None:
    # Kills: an objective silently of one process where the group was never made.
    with pytest.raises(InvalidArgument, match=r"torch\.distributed, which is not") as caught:
        td.Objective(
            nn.Linear(2, 1),
            nn.MSELoss(),
            (torch.ones(4, 2), torch.ones(4, 1)),
            process_group="world",
        )
    assert caught.value.code == "E-O60"
