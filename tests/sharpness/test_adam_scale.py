"""Adam's scale against closed forms and dense autograd, and the curvature in its units.

Oracles: gradients of a linear model on paper, gradients of batches by autograd of an ordinary
module, ``torch.optim.Adam`` itself, and dense eigenvalues.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import theodolite as td
from sharpness.bowls import classifier, vector
from theodolite.errors import InvalidArgument
from theodolite.sharpness.adam_scale import adam_scale
from theodolite.sharpness.batchwise import batches_of

ROWS = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [2.0, -1.0], [0.5, 3.0]]).double()


def linear() -> td.Objective:
    """Mean of (x.w)^2 over five examples."""
    return td.Objective(
        nn.Linear(2, 1, bias=False).double(), nn.MSELoss(), (ROWS, torch.zeros(5, 1).double())
    )


def test_single_examples_have_the_closed_form() -> None:
    """Kills: the mean of gradients, no root, epsilon inside the root, the sum over batches."""
    at = vector(1.0, -0.5)
    gradients = 2 * (ROWS @ at)[:, None] * ROWS
    exact = gradients.square().mean(0).sqrt() + 0.25
    found = adam_scale(linear(), theta=at, batch_size=1, epsilon=0.25)
    torch.testing.assert_close(found, exact, rtol=1e-12, atol=0)
    plain = adam_scale(linear(), theta=at, batch_size=1)
    torch.testing.assert_close(plain, exact - 0.25 + 1e-8, rtol=1e-12, atol=0)


def test_all_data_in_one_batch_give_the_size_of_the_gradient() -> None:
    """Kills: squares of examples in place of those of the batch's mean."""
    at = vector(0.3, 0.7)
    whole = linear()
    found = adam_scale(whole, theta=at, batch_size=5)
    torch.testing.assert_close(found, whole.gradient(at).abs() + 1e-8, rtol=1e-12, atol=0)


def parts(objective: td.Objective, size: int) -> list[torch.Tensor]:
    """Gradients of the batches of a permutation, by autograd of the module itself."""
    found = []
    for batch in batches(objective, size):
        x, y = batch
        loss = nn.functional.cross_entropy(objective.model(x), y)
        made = torch.autograd.grad(loss, tuple(objective.model.parameters()))
        found.append(torch.cat([g.reshape(-1) for g in made]))
    return found


def batches(objective: td.Objective, size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The data as `m-sharpness` cuts them, recovered by their rows."""
    found = []
    for one in batches_of(objective, objective.start, size, 3):
        rows = [b.raw for b in one.data]
        found.append((torch.cat([r[0] for r in rows]), torch.cat([r[1] for r in rows])))
    return found


def test_batches_of_a_network_by_dense_autograd() -> None:
    """Kills: a batch counted twice or left out, squares before the mean, another seed's cut."""
    objective = classifier()
    gradients = torch.stack(parts(objective, 7))
    assert len(gradients) == objective.examples // 7
    exact = gradients.square().mean(0).sqrt() + 1e-8
    found = adam_scale(objective, batch_size=7, seed=3)
    torch.testing.assert_close(found, exact, rtol=1e-9, atol=1e-12)
    cut = torch.cat([x for x, _ in batches(objective, 7)])
    assert len(torch.unique(cut, dim=0)) == len(cut)  # no example twice


def test_it_is_what_the_optimizer_holds_after_it_has_stayed_for_long() -> None:
    """Kills: a scale that is not Adam's. Oracle: torch.optim.Adam without a learning rate."""
    objective = classifier()
    model = objective.model
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0, betas=(0.9, 0.9999))
    data = batches(objective, 7)
    for step in range(30):
        x, y = data[step % len(data)]
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    optimizer.zero_grad()
    state = [optimizer.state[p]["exp_avg_sq"].reshape(-1) for p in model.parameters()]
    held = (torch.cat(state) / (1 - 0.9999**30)).sqrt() + 1e-8
    torch.testing.assert_close(adam_scale(objective, batch_size=7, seed=3), held, rtol=2e-3, atol=0)


def test_the_largest_curvature_in_its_units_is_that_of_the_dense_matrix() -> None:
    """Kills: the scale multiplied in place of divided by, its root not taken."""
    objective = classifier()
    scale = adam_scale(objective, batch_size=7, seed=3)
    matrix = td.hessian(objective).dense()
    root = scale.rsqrt()
    exact = torch.linalg.eigvalsh(root[:, None] * matrix * root)[-1]
    found = td.largest_curvature(objective, preconditioner=scale, tolerance=1e-6)
    assert float(found.largest_curvature) == pytest.approx(float(exact), rel=1e-5)


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_an_epsilon_that_is_not_positive_is_refused(wrong: float) -> None:
    with pytest.raises(InvalidArgument, match="epsilon") as caught:
        adam_scale(linear(), batch_size=1, epsilon=wrong)
    assert caught.value.code == "E-H11"


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="batch_size") as caught:
        adam_scale(linear(), batch_size=6)
    assert caught.value.code == "E-H17"
