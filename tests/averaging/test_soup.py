"""Soups. Oracle: one weight whose losses are known, and a choice made by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from averaging.nets import bowl, fitted, shifted
from averaging.test_statistics import close, objectives
from connectivity.paths import at, classes, double_well
from theodolite.errors import InvalidArgument


def test_a_greedy_soup_takes_what_does_not_hurt():
    # kills: the order of the list, a member compared with the best alone, ties refused
    train, validation, test = bowl(), bowl(to=1.5), bowl(to=1.0)
    points = [at(w) for w in (9.0, 0.0, 2.0, 1.0)]
    found = td.soup(train, points, validation=validation, test=test, names="abcd")
    # alone: |w - 1.5| = 7.5, 1.5, 0.5, 0.5; ties keep the order: c, d, b, a
    assert found.order.values.tolist() == [3, 2, 0, 1]
    # c: 0.25; c and d: 1.5, 0; with b: 1, 0.25, worse; with a: 4, worse
    assert found.taken.values.tolist() == [0, 0, 1, 1]
    assert found.score.values == pytest.approx([6.25, 0.25, 0.25, 0.0])
    assert found.score_before.values[[0, 1, 3]] == pytest.approx([0.0, 0.0, 0.25])
    assert np.isnan(found.score_before[2])
    assert found.parameters.item() == 1.5
    assert float(found.validation_loss.sel(network="soup")) == 0.0
    assert float(found.test_loss.sel(network="soup")) == 0.25
    assert float(found.loss.sel(network="soup")) == 2.25
    assert found.attrs["reasons"][0] == "c: the best alone, loss 0.25; taken."
    assert "b: with it the loss goes from 0 to 0.25; not taken" in found.attrs["reasons"][2]
    assert td.averaged_state(found)["weight"].item() == 1.5


def test_a_tie_is_taken():
    # kills: strictly better instead of no worse (Wortsman et al.)
    found = td.soup(bowl(), [at(1.0), at(1.0)], validation=bowl(to=1.5))
    assert found.taken.values.tolist() == [1, 1]


def test_a_member_of_another_basin_is_left_out_and_its_barrier_said():
    # kills: the barrier to members that are not in the soup
    well, other = double_well(), double_well(torch.full((4,), 2.0, dtype=torch.float64))
    points = [at(-1.0), at(1.01), at(0.98)]
    found = td.soup(well, points, validation=other, names=["left", "right", "near"])
    assert found.taken.values.tolist() == [1, 0, 0]
    again = td.soup(well, points[1:], validation=other, names=["right", "near"])
    assert again.taken.values.tolist() == [1, 1]
    assert float(found.barrier_to_taken[1]) == float(found.barrier[0, 1]) > 0.9
    assert "Its highest barrier to those taken is" in found.attrs["reasons"][1]
    assert "to left" in found.attrs["reasons"][1]
    third = td.soup(well, [at(1.0), at(-0.995), at(0.98)], validation=other)
    assert third.order.values.tolist() == [0, 1, 2]
    assert third.taken.values.tolist() == [1, 0, 0]
    assert float(third.barrier_to_taken[2]) < 0.01 < float(third.barrier[1, 2])


def test_a_uniform_soup_takes_all_and_is_refused_across_a_barrier():
    found = td.soup(bowl(), [at(1.0), at(4.0)], kind="uniform", test=bowl(to=1.0))
    assert found.parameters.item() == 2.5
    assert found.taken.values.tolist() == [1, 1]
    assert float(found.test_loss.sel(network="soup")) == 2.25
    assert found.attrs["by"] == "nothing"
    with pytest.raises(InvalidArgument, match="different basins"):
        td.soup(double_well(), [at(-1.0), at(1.0)], kind="uniform")


def test_classifiers_are_chosen_by_accuracy_with_statistics_of_the_training_data():
    # kills: statistics of the validation data, a choice by the loss
    net = shifted()
    train, validation = objectives(net)
    states = [net.state_dict(), close(net, 0.3), close(net, 0.8)]
    found = td.soup(train, states, validation=validation)
    assert found.attrs["by"] == "accuracy"
    assert len(found.attrs["reasons"]) == 3
    made = copy.deepcopy(net)
    made.load_state_dict(td.averaged_state(found))
    x, y = classes(33, 7)
    share = float((made(x).argmax(1) == y).double().mean())
    taken = found.where(found.taken == 1, drop=True)
    assert float(taken.score.values[np.argmax(taken.order.values)]) == pytest.approx(share)
    by_loss = td.soup(train, states, validation=validation, by="loss")
    assert np.nanmax(by_loss.score) != np.nanmax(found.score)


def test_data_that_choose_do_not_report():
    # kills: the same data under two objectives taken for two
    data, held = classes(30), classes(30, 1)
    net = fitted(0, data, 5)

    def on(pair: tuple[torch.Tensor, torch.Tensor]) -> td.Objective:
        return td.Objective(net, nn.CrossEntropyLoss(), pair)

    points = [net.state_dict(), net.state_dict()]
    with pytest.raises(InvalidArgument, match="are the training data as well"):
        td.soup(on(data), points, validation=on(data))
    with pytest.raises(InvalidArgument, match="are the test data as well"):
        td.soup(on(data), points, validation=on(held), test=on(held))
    with pytest.raises(InvalidArgument, match="a greedy soup needs validation data"):
        td.soup(on(data), points)
    with pytest.raises(InvalidArgument, match="a uniform soup chooses nothing"):
        td.soup(on(data), points, kind="uniform", validation=on(held))
    with pytest.raises(InvalidArgument, match="kind must be one of greedy, uniform"):
        td.soup(on(data), points, kind="learned", validation=on(held))
    with pytest.raises(InvalidArgument, match="by must be"):
        td.soup(on(data), points, validation=on(held), by="f1")
    with pytest.raises(InvalidArgument, match="no class labels"):
        td.soup(bowl(), [at(1.0), at(2.0)], validation=bowl(2.0), by="accuracy")
