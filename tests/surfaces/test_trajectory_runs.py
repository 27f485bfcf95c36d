"""Checkpoints of runs: their order, times, rates and drops.

Oracles: schedules whose drops are known; names as common trainers write them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from theodolite.surfaces.trajectory_runs import in_order, run_of, runs_of

POINT = torch.zeros(2)
NAN = float("nan")
COSINE = [(1 + np.cos(np.pi * k / 10)) / 2 for k in range(11)]
STEPS = [1.0] * 5 + [0.1] * 3 + [0.01] * 3


def drops(rates: list[float], most: int | None = None) -> list[int]:
    run = run_of("", [POINT] * len(rates), None, rates).thinned(most)
    return [k for k, found in enumerate(run.drops()) if found]


def test_a_rate_that_is_zero_or_falls_at_every_checkpoint_has_not_dropped() -> None:
    # Kills: zero taken for half of zero; a first rate taken for a level whatever follows.
    assert drops([0.0, 0.0, 0.0]) == []
    assert drops([0.0, 0.0, 0.1, 0.1]) == []
    assert drops([1.0, 0.5, 0.25, 0.125]) == []
    assert drops([1.0, 0.1, 0.1]) == drops([1.0, 0.1]) == [1]
    assert drops(STEPS) == [5, 8]


def test_a_rate_that_is_not_known_hides_no_drop() -> None:
    # Kills: comparisons with NaN, which are all false.
    assert drops([1.0, 1.0, NAN, 0.1]) == [3]
    assert drops([1.0, NAN, 1.0, 0.1]) == [3]
    assert drops([NAN, NAN]) == []


@pytest.mark.parametrize("most", [2, 3, 4, 6])
def test_leaving_out_checkpoints_adds_no_drop_and_hides_none(most: int) -> None:
    # Kills: drops looked for among the rates of the checkpoints that are kept.
    assert drops(COSINE, most) == []
    kept = run_of("", [POINT] * 11, None, STEPS).thinned(most).times
    assert drops(STEPS, most) == [
        k for k in range(1, most) if any(kept[k - 1] < d <= kept[k] for d in (5, 8))
    ]


def test_files_are_ordered_and_timed_by_their_step_or_epoch() -> None:
    # Kills: the last number of a name, digits of a loss, taken for its time.
    names = ["epoch_1_loss_0.9.pt", "epoch_2_loss_0.5.pt", "epoch_10_loss_0.25.pt"]
    paths = [Path(name) for name in names]
    assert in_order(paths[::-1]) == paths
    assert (run_of("", names).times, run_of("", names).unit) == ((1, 2, 10), "epoch")
    both = run_of("", [f"epoch={k}-step={50 * k}.pt" for k in (1, 2)])
    assert (both.times, both.unit) == ((50, 100), "step")
    batches = [Path(f"epoch_1_batch_{k}.pt") for k in (200, 1000)]
    assert in_order(batches[::-1]) == batches


def test_numbers_of_several_runs_reach_the_run_they_name() -> None:
    # Kills: names of runs that are no strings passed over.
    made = runs_of({1: [POINT] * 2, 2: [POINT] * 2}, learning_rates={2: [0.5, None]})
    assert np.isnan(made[0].rates).all()
    assert made[1].rates[0] == 0.5
    assert np.isnan(made[1].rates[1])
