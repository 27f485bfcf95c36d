"""Independent runs and snapshots of runs.

Oracle: the schedule written out, networks that must be one, and ensembles counted by hand.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from theodolite.findings.modes import (
    Modes,
    ensemble,
    falling_then_cycles,
    looks_of,
    probabilities,
    trained_modes,
)

SMALL = Modes(members=2, groups=2, width=8, examples=60, epochs=6, cycle=2, batch_size=20)


def same(a: nn.Module, b: nn.Module) -> bool:
    """Whether two networks have the same weights."""
    return all(torch.allclose(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def far(a: nn.Module, b: nn.Module) -> float:
    """The distance of the weights of two networks."""
    ends = [nn.utils.parameters_to_vector(each.parameters()).detach() for each in (a, b)]
    return float((ends[0] - ends[1]).norm())


def test_the_first_snapshot_of_a_run_is_where_it_ended() -> None:
    # kills: groups that share networks, runs exchanged, snapshots before the end, cycles at the
    # first rate, whole cycles that are short.
    made = trained_modes(SMALL, 1)
    everyone = [n for group in made.independent for n in group]
    assert [len(group) for group in made.independent] == [2, 2]
    assert not any(same(a, b) for i, a in enumerate(everyone) for b in everyone[:i])
    for run in range(2):
        assert same(made.snapshots[run][0], everyone[run])
        assert same(made.whole_cycles[run][0], everyone[run])
        moved = [far(ends[0], ends[1]) for ends in (made.snapshots[run], made.whole_cycles[run])]
        assert 0 < moved[0] < moved[1]


def test_new_data_are_all_that_were_not_trained_on() -> None:
    made = trained_modes(replace(SMALL, epochs=1), 1, whole_cycles=False)
    sizes = made.split.sizes
    assert sizes["train"] == 60
    assert len(made.new_data[1]) == sizes["validation"] + sizes["test"]
    known = {row.numpy().tobytes() for row in made.data[0]}
    assert not any(row.numpy().tobytes() in known for row in made.new_data[0])
    assert made.whole_cycles == [[], []]


def test_the_start_is_that_of_the_first_run() -> None:
    made = trained_modes(replace(SMALL, rate=1e-12), 1, whole_cycles=False)
    assert same(made.start, made.independent[0][0])
    assert not same(made.start, made.independent[0][1])


def test_cycles_start_again_at_half_the_rate() -> None:
    modes = Modes(members=3, rate=0.2, epochs=10, cycle=4)
    rate = falling_then_cycles(modes)
    found = [rate(done) for done in (0.0, 5.0, 10.0, 12.0, 14.0, 16.0)]
    assert found == pytest.approx([0.2, 0.1, 0.1, 0.05, 0.1, 0.05])
    assert looks_of(modes, modes.cycle) == [10, 14, 18]
    assert looks_of(modes, modes.epochs) == [10, 20, 30]


def test_an_ensemble_is_the_mean_of_probabilities() -> None:
    # kills: a vote, a mean over pairs of each member with itself, errors read as accuracies.
    sure, unsure = [0.9, 0.1], [0.4, 0.6]
    chances = torch.tensor([[sure, unsure], [unsure, unsure], [unsure, sure]], dtype=torch.float64)
    found = ensemble(chances, torch.tensor([0, 0]))
    assert found["member_error"] == pytest.approx(4 / 6)
    assert found["ensemble_error"] == 0.0  # two of three members are wrong, but not sure of it
    assert found["disagreement"] == pytest.approx((1 + 0 + 1 + 1 + 0 + 1) / 6)


def test_probabilities_are_those_of_each_network() -> None:
    one = nn.Identity()
    found = probabilities([one, one], torch.zeros(3, 4, dtype=torch.float64))
    assert found.shape == (2, 3, 4)
    assert torch.equal(found, torch.full_like(found, 0.25))


def test_training_lowers_the_loss() -> None:
    made = trained_modes(replace(SMALL, epochs=60), 1, whole_cycles=False)
    x, y = made.data
    losses = [
        float(nn.functional.cross_entropy(n(x), y).detach())
        for n in (made.start, *made.independent[1])
    ]
    assert max(losses[1:]) < 0.5 * losses[0]
