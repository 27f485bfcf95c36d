"""The Fisher matrix of the model's own labels. Oracle: all labels, by their probabilities."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.errors import InvalidArgument, InvalidData, UnsupportedModel

N, D, K = 6, 3, 4


def network(outputs: int, last: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Linear(D, 5), nn.Tanh(), nn.Linear(5, outputs)]
    return nn.Sequential(*layers, *([last] if last else [])).double()


def inputs() -> Tensor:
    return torch.randn(N, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def labels() -> Tensor:
    return torch.arange(N) % K


def enumerated(model: nn.Module, x: Tensor) -> Tensor:
    """Sum over all labels of p times the outer product of the score, example by example."""
    size = sum(p.numel() for p in model.parameters())
    made = torch.zeros(size, size, dtype=torch.float64)
    for k in range(len(x)):
        logs = model(x[k : k + 1]).log_softmax(1)[0]
        for y in range(len(logs)):
            slopes = torch.autograd.grad(logs[y], list(model.parameters()), retain_graph=True)
            g = nn.utils.parameters_to_vector(slopes)
            made += float(logs[y].detach().exp()) * torch.outer(g, g) / len(x)
    return made


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.1)])
def test_softmax_is_every_label_weighed_by_its_probability(loss):
    # kills: labels of the data in place of the model's; smoothing taken into the distribution
    model = network(K)
    found = td.fisher(td.Objective(model, loss, (inputs(), labels())))
    torch.testing.assert_close(found.dense(), enumerated(model, inputs()), rtol=0, atol=1e-12)
    assert found.facts["labels"] == "exact"


@pytest.mark.parametrize("engine", ["kept", "forward", "linearize", "differences"])
def test_log_probabilities_have_the_same_matrix_where_the_ggn_is_zero(engine):
    # kills: p left out, the share of an example left out
    model = network(K, nn.LogSoftmax(dim=1))
    objective = td.Objective(model, nn.NLLLoss(), (inputs(), labels()), batch_size=4)
    found = td.fisher(objective, engine=engine)
    atol = 1e-6 if engine == "differences" else 1e-12
    expected = enumerated(model[:-1], inputs())
    torch.testing.assert_close(found.dense(), expected, rtol=0, atol=atol)


def test_ignored_tokens_count_for_nothing():
    # kills: the share of an ignored element
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network(K, nn.LogSoftmax(dim=1))

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x.reshape(-1, D)).reshape(2, 3, K).transpose(1, 2)

    y = labels().reshape(2, 3)
    y[1, 2] = -100
    data = [(inputs().reshape(2, 3, D), y)]
    found = td.fisher(td.Objective(Tokens(), nn.NLLLoss(), data)).dense()
    expected = enumerated(network(K), inputs()[:5])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_binary_and_squared_losses():
    # kills: a factor between the loss and its negative log likelihood
    model = nn.Linear(D, 2, bias=False).double()
    x, y = inputs(), torch.ones(N, 2, dtype=torch.float64)
    p = model(x).sigmoid().detach()
    binary = td.fisher(td.Objective(model, nn.BCEWithLogitsLoss(), (x, y))).dense()
    squared = td.fisher(td.Objective(model, nn.MSELoss(), (x, y))).dense()
    for k in range(2):
        block = slice(k * D, (k + 1) * D)
        v = (p * (1 - p))[:, k]
        expected = (x * v[:, None]).T @ x / (2 * N)
        torch.testing.assert_close(binary[block, block], expected, rtol=0, atol=1e-13)
        torch.testing.assert_close(squared[block, block], 2 * x.T @ x / (2 * N), rtol=0, atol=1e-13)


def drawing(outputs: Tensor, generator: torch.Generator) -> Tensor:
    return torch.multinomial(outputs.softmax(1), 1, generator=generator).squeeze(1)


def own_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def test_drawn_labels_average_to_the_exact_matrix():
    # kills: draws that are all the same, a missing mean over draws, labels of the data
    model = network(K)
    objective = td.Objective(model, own_loss, (inputs(), labels()), batch_size=4)
    exact = enumerated(model, inputs())
    found = td.fisher(objective, draw=drawing, draws=400, seed=3, engine="kept", verify=False)
    probe = torch.randn(len(exact), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    forms = torch.tensor(
        [
            float(
                probe
                @ td.fisher(objective, draw=drawing, seed=s, engine="kept", verify=False).matvec(
                    probe
                )
            )
            for s in range(30)
        ]
    )
    expected, got = float(probe @ exact @ probe), float(probe @ found.matvec(probe))
    assert abs(got - expected) < 4 * float(forms.std()) / 20
    assert float(forms.std()) > 0
    assert found.facts["labels"] == "drawn"


def test_drawn_labels_are_the_same_at_every_product_and_by_seed():
    # kills: labels drawn anew at each product, a seed without effect, the global generator
    objective = td.Objective(network(K), own_loss, (inputs(), labels()), batch_size=4)
    v = torch.ones(objective.space.size, dtype=torch.float64)
    before = torch.get_rng_state()
    one = td.fisher(objective, draw=drawing, seed=1, engine="recompute", verify=False)
    first = one.matvec(v)
    assert torch.equal(one.matvec(v), first)
    again = td.fisher(objective, draw=drawing, seed=1, engine="kept", verify=False).matvec(v)
    assert torch.equal(again, first)
    other = td.fisher(objective, draw=drawing, seed=2, engine="kept", verify=False).matvec(v)
    assert not torch.equal(other, first)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(weight=torch.ones(K, dtype=torch.float64)),
        nn.NLLLoss(weight=torch.ones(K, dtype=torch.float64)),
        own_loss,
    ],
)
def test_a_loss_without_a_known_distribution_asks_for_draws(loss: Any):
    # kills: class weights passed off as a likelihood
    objective = td.Objective(network(K), loss, (inputs(), labels()))
    with pytest.raises(UnsupportedModel, match=r"draw\(outputs, generator\)") as error:
        td.fisher(objective)
    assert error.value.code == "E-D35"


def test_labels_of_another_kind_and_no_draws_are_refused():
    objective = td.Objective(network(K), own_loss, (inputs(), labels()))
    wrong = td.fisher(objective, draw=lambda outputs, generator: outputs)
    with pytest.raises(InvalidData, match=r"labels like the data's, torch\.int64"):
        wrong.matvec(objective.start)
    with pytest.raises(InvalidArgument, match="draws must be at least 1"):
        td.fisher(objective, draw=drawing, draws=0)
