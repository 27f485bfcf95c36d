"""Lines and curves between two networks.

Oracle: the loss evaluated by hand on the straight line between the weights.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from theodolite import datasets, models
from theodolite.findings.paths_between_runs import curve_between, line_between


def pair() -> tuple[nn.Module, nn.Module, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Two networks that separate forty digits, their data, and other digits."""
    split = datasets.digits(0, limit=30, flatten=True)
    data, test = ((x.double(), y) for x, y in (split.train, split.test))
    networks = []
    for seed in range(2):
        torch.manual_seed(seed)
        network = models.mlp((64, 16, 10)).double()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.2, momentum=0.9)
        for _ in range(60):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(data[0]), data[1]).backward()
            optimizer.step()
        networks.append(network)
    return networks[0], networks[1], data, test


def loss_between(a: nn.Module, b: nn.Module, data: tuple[Tensor, Tensor], alpha: float) -> float:
    """The loss at one place of the straight line."""
    mixed = {
        k: (1 - alpha) * v + alpha * dict(b.named_parameters())[k] for k, v in a.named_parameters()
    }
    with torch.no_grad():
        outputs = functional_call(a, mixed, data[0])
    return float(nn.functional.cross_entropy(outputs, data[1]))


def test_a_line_is_that_of_the_training_loss_and_knows_the_test_data() -> None:
    # kills: ends exchanged with data, the test loss in place of the training loss.
    a, b, data, test = pair()
    line = line_between(a, b, data, test=test)
    for k in (0, 7, 12, len(line.alpha) - 1):
        alpha = float(line.alpha[k])
        assert float(line.loss[k]) == pytest.approx(loss_between(a, b, data, alpha), abs=1e-10)
        assert float(line.test_loss[k]) == pytest.approx(loss_between(a, b, test, alpha), abs=1e-10)
    assert "test_loss" not in line_between(a, b, data)


def test_a_curve_is_lower_than_the_line_and_the_same_for_one_seed() -> None:
    # kills: a curve that is not trained, a seed that is not passed on.
    a, b, data, test = pair()
    line = line_between(a, b, data)
    how = {"steps": 64, "test": test}
    first, again, other = (curve_between(a, b, data, seed=s, **how) for s in (0, 0, 1))
    assert float(first.barrier) < 0.5 * float(line.barrier)
    assert np.array_equal(first.loss, again.loss)
    assert not np.array_equal(first.loss, other.loss)
    assert float(first.test_loss[0]) == pytest.approx(loss_between(a, b, test, 0.0), abs=1e-10)


def test_a_curve_that_becomes_too_long_is_measured_without_a_warning() -> None:
    a, _, data, _ = pair()
    near = models.mlp((64, 16, 10)).double()
    near.load_state_dict(a.state_dict())
    with torch.no_grad():
        near[1].weight.add_(1e-7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = curve_between(a, near, data, steps=50, seed=0)
    assert found.attrs["stopped"] == "too long"
    assert float(found.saddle_excess) < 1e-4
