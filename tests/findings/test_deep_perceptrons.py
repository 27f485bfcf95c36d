"""Deep perceptrons: what a block computes, and that designs differ in nothing else.

Oracles: the recurrence written out by hand; equality of initial values.
"""

from __future__ import annotations

import math

import pytest
import torch

from theodolite.errors import InvalidArgument
from theodolite.findings.deep_perceptrons import DESIGNS, deep_perceptron


def built(design: str, depth: int = 3) -> torch.nn.Module:
    torch.manual_seed(0)
    return deep_perceptron(design, inputs=4, width=5, depth=depth, outputs=2).double()


@pytest.mark.parametrize("design", DESIGNS)
def test_blocks_compute_the_recurrence(design: str) -> None:
    # kills: skip and plain exchanged, the branch not divided, a norm used twice, the head before
    # the last rectifier.
    network = built(design).eval()
    x = torch.randn(7, 4, dtype=torch.float64)
    state, chosen = network.stem(x), DESIGNS[design]
    for layer in network.layers:
        normed = state / math.sqrt(1 + 1e-5) if chosen.norm else state  # fresh statistics: 0, 1
        branch = torch.relu(normed) @ layer.weight.T + layer.bias
        branch = branch / math.sqrt(3) if chosen.shrink else branch
        state = state + branch if chosen.skip else branch
    last = state / math.sqrt(1 + 1e-5) if chosen.norm else state
    expected = torch.relu(last) @ network.head.weight.T + network.head.bias
    assert torch.allclose(network(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("one", "other"), [("plain", "residual"), ("plain, norm", "residual, norm")]
)
def test_designs_differ_in_the_sum_alone(one: str, other: str) -> None:
    # kills: another order of drawing, another initialization for one of them.
    a, b = built(one).state_dict(), built(other).state_dict()
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_residual_networks_without_norm_double_in_every_block() -> None:
    # Oracle: He weights keep the mean square of the rectified input doubled and halved again, so
    # that x + branch has twice the mean square of x. kills: Glorot or PyTorch's own weights.
    torch.manual_seed(1)
    network = deep_perceptron("residual", inputs=64, width=400, depth=8).double()
    x = torch.randn(200, 64, dtype=torch.float64)
    with torch.no_grad():
        state = network.stem(x)
        start = float(state.square().mean())
        for layer in network.layers:
            state = state + layer(torch.relu(state))
    assert 0.5 < float(state.square().mean()) / start / 2**8 < 2


@pytest.mark.parametrize(
    ("change", "code"),
    [({"design": "deep"}, "E-F30"), ({"depth": 0}, "E-F31"), ({"width": -1}, "E-F31")],
)
def test_what_cannot_be_built_is_refused(change: dict[str, object], code: str) -> None:
    given = {"design": "plain", "width": 4, "depth": 2} | change
    with pytest.raises(InvalidArgument, match=code):
        deep_perceptron(given.pop("design"), **given)
