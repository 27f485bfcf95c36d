"""Networks trained side by side, each by its own recipe, until a loss is reached.

Oracle: each trained alone by torch.optim.SGD from the same weights, in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from theodolite import datasets
from theodolite.findings.many_recipes import CHECK, trained_together, uphill
from theodolite.findings.many_starts import starting_weights
from theodolite.seeds import torch_generator
from theodolite.training import SAM

Loss = Callable[[torch.Tensor], torch.Tensor]
RATES, DECAYS = (0.05, 0.2, 0.1), (0.0, 1e-2, 1e-3)
HOW = {"width": 12, "rates": RATES, "decays": DECAYS, "batch_size": 13, "seed": 2}


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Fifty digits, and three versions of their labels."""
    splits = [datasets.digits(0, limit=50, label_noise=s, flatten=True) for s in (0.0, 0.2, 0.4)]
    return splits[0].train[0], torch.stack([split.train[1] for split in splits])


def alone(k: int, target: float, epochs: int) -> tuple[list[torch.Tensor], float, int]:
    """The same training of one network."""
    x, labels = data()
    parameters = [nn.Parameter(w[k].clone()) for w in starting_weights(64, 12, 10, 3, 2)]

    def loss(rows: torch.Tensor) -> torch.Tensor:
        hidden = (x[rows] @ parameters[0] + parameters[1]).relu()
        return nn.functional.cross_entropy(hidden @ parameters[2] + parameters[3], labels[k, rows])

    optimizer = torch.optim.SGD(parameters, lr=RATES[k], momentum=0.9, weight_decay=DECAYS[k])
    everything, steps = torch.arange(50), 0
    for epoch in range(epochs):
        order = torch.randperm(50, generator=torch_generator(2, "order", epoch))
        for batch in order.tensor_split(4):
            optimizer.zero_grad()
            loss(batch).backward()
            optimizer.step()
            steps += 1
            if steps % CHECK == 0 and float(loss(everything).detach()) <= target:
                return parameters, float(loss(everything).detach()), steps
    return parameters, float(loss(everything).detach()), steps


def test_each_network_is_trained_as_if_alone_until_it_gets_there() -> None:
    # kills: rates, decays or labels of another network, momentum left out, decay added after it,
    # a network trained on past its end, weights of another kept as its own.
    x, labels = data()
    ends = trained_together(x, labels, target=0.5, epochs=40, **HOW)
    for k in range(3):
        weights, loss, steps = alone(k, 0.5, 40)
        assert (int(ends.steps[k]), bool(ends.reached[k])) == (steps, loss <= 0.5)
        assert float(ends.loss[k]) == pytest.approx(loss, rel=1e-3)
        for w, own in zip(ends.weights, weights, strict=True):
            assert torch.allclose(w[k], own.detach(), atol=1e-4)
    assert len(set(ends.steps.tolist())) > 1
    assert int(ends.reached.sum()) > 0


def test_what_does_not_get_there_is_kept_where_it_ends() -> None:
    x, labels = data()
    ends = trained_together(x, labels, target=0.0, epochs=2, **HOW)
    assert ends.steps.tolist() == [8, 8, 8]
    assert not ends.reached.any()
    assert bool(ends.loss.isfinite().all())


def test_a_network_that_diverges_stops_and_leaves_the_others_alone() -> None:
    x, labels = data()
    how = {**HOW, "rates": (0.05, 1e30, 0.1)}
    ends = trained_together(x, labels, target=0.5, epochs=40, **how)
    assert ends.reached.tolist() == [True, False, True]
    assert not math.isfinite(ends.loss[1])
    same = trained_together(x, labels, target=0.5, epochs=40, **HOW)
    assert torch.allclose(ends.loss[[0, 2]], same.loss[[0, 2]], rtol=1e-3)


def test_a_radius_is_that_of_sam_and_zero_is_sgd() -> None:
    # Oracle: theodolite's own SAM around torch.optim.SGD, each network alone.
    # kills: one norm for all networks or for each tensor, the step downhill, momentum or decay
    # from the perturbed weights, radii of another network after one has ended.
    x, labels = data()
    radii = (0.0, 0.3, 0.1)
    ends = trained_together(x, labels, target=0.5, epochs=40, radii=radii, **HOW)
    plain = trained_together(x, labels, target=0.5, epochs=40, **HOW)
    assert torch.allclose(ends.weights[0][0], plain.weights[0][0], atol=1e-5)
    assert int(ends.steps[0]) == int(plain.steps[0])
    everything = torch.arange(50)
    for k, radius in enumerate(radii):
        parameters = [nn.Parameter(w[k].clone()) for w in starting_weights(64, 12, 10, 3, 2)]

        def loss(
            rows: torch.Tensor, p: list[nn.Parameter] = parameters, k: int = k
        ) -> torch.Tensor:
            hidden = (x[rows] @ p[0] + p[1]).relu()
            return nn.functional.cross_entropy(hidden @ p[2] + p[3], labels[k, rows])

        base = torch.optim.SGD(parameters, lr=RATES[k], momentum=0.9, weight_decay=DECAYS[k])
        optimizer, steps = SAM(base, None, rho=radius), 0
        for epoch in range(40):
            order = torch.randperm(50, generator=torch_generator(2, "order", epoch))
            for batch in order.tensor_split(4):
                if steps < int(ends.steps[k]):

                    def closure(b: torch.Tensor = batch, of: Loss = loss) -> torch.Tensor:
                        value = of(b)
                        value.backward()
                        return value.detach()

                    optimizer.step(closure)
                    steps += 1
        assert float(loss(everything).detach()) == pytest.approx(float(ends.loss[k]), rel=1e-2)
        for w, own in zip(ends.weights, parameters, strict=True):
            assert torch.allclose(w[k], own.detach(), atol=1e-3)
    assert len(set(ends.steps.tolist())) > 1


def test_uphill_stays_where_there_is_no_gradient() -> None:
    weights = [torch.ones(2, 1, 3), torch.zeros(2, 3, 1)]
    gradient = [torch.zeros(2, 1, 3), torch.tensor([[[0.0], [0.0], [0.0]], [[0.0], [3.0], [4.0]]])]
    moved = uphill(weights, gradient, torch.tensor([2.0, 5.0])[:, None, None])
    assert torch.equal(moved[0], weights[0])
    assert torch.equal(moved[1][0], weights[1][0])
    assert moved[1][1, :, 0].tolist() == [0.0, 3.0, 4.0]
