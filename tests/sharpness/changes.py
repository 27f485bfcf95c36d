"""Changes of an objective and its point that leave the function alone, one for each kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

import theodolite as td
from sharpness.bowls import classifier, nearly_right
from theodolite.sharpness import invariances
from theodolite.testing.oracles import orthogonal_matrix

Move = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Change:
    """An objective before and after; ``move`` takes vectors (points, directions) along.

    ``turned`` says that random draws, standard Gaussian, must be taken along for two results to
    be the same draw by draw; they are then still standard Gaussian.
    """

    before: td.Objective
    after: td.Objective
    move: Move
    turned: bool = False


class Turned(nn.Module):
    """A network whose parameters are read through the inverse of an orthogonal matrix."""

    def __init__(self, model: nn.Module, turn: Tensor) -> None:
        super().__init__()
        self.net = model
        self.turn = turn

    def forward(self, x: Tensor) -> Tensor:
        named = dict(self.net.named_parameters())
        flat = self.turn.T @ torch.cat([p.reshape(-1) for p in named.values()])
        pieces = flat.split([p.numel() for p in named.values()])
        own = {n: f.view(p.shape) for (n, p), f in zip(named.items(), pieces, strict=True)}
        scores: Tensor = functional_call(self.net, own, (x,))
        return scores


def data_of(objective: td.Objective) -> tuple[Tensor, Tensor]:
    """The one batch of a small objective."""
    (batch,) = objective.data
    return batch.raw[0], batch.raw[1]


def layer_rescaling() -> Change:
    """The first layer of a rectified network times 10, the second over 10."""
    objective = classifier()
    times = torch.ones_like(objective.start)
    views = objective.space.views(times)
    views["0.weight"].fill_(10)
    views["0.bias"].fill_(10)
    views["2.weight"].fill_(0.1)
    return Change(objective, objective, lambda v: times * v)


def scale_before_normalization() -> Change:
    """Weights before a layer norm over 4."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(24, 4, generator=generator, dtype=torch.float64)
    norm = nn.LayerNorm(5, eps=0.0, elementwise_affine=False)
    model = nn.Sequential(nn.Linear(4, 5), norm, nn.ReLU(), nn.Linear(5, 3)).double()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=torch.float64))
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x, nearly_right(model, x)))
    times = torch.ones_like(objective.start)
    views = objective.space.views(times)
    views["0.weight"].fill_(0.25)
    views["0.bias"].fill_(0.25)
    return Change(objective, objective, lambda v: times * v)


def orthogonal_change_of_basis() -> Change:
    """All parameters turned by a random orthogonal matrix, and turned back by the model."""
    before = classifier()
    turn = orthogonal_matrix(before.space.size, seed=3)
    model = Turned(classifier().model, turn)
    with torch.no_grad():
        moved = before.space.views(turn @ before.start)
        for name, tensor in model.net.named_parameters():
            tensor.copy_(moved[name])
    after = td.Objective(model, nn.CrossEntropyLoss(), data_of(before))
    return Change(before, after, lambda v: turn @ v, turned=True)


def permutation_of_neurons() -> Change:
    """Hidden units in another order."""
    objective, order = classifier(), torch.tensor([3, 0, 4, 1, 2])
    index = torch.arange(objective.space.size, dtype=torch.float64)
    views = objective.space.views(index)
    views["0.weight"].copy_(views["0.weight"][order].clone())
    views["0.bias"].copy_(views["0.bias"][order].clone())
    views["2.weight"].copy_(views["2.weight"][:, order].clone())
    places = index.long()
    return Change(objective, objective, lambda v: v[places], turned=True)


def scale_of_the_loss() -> Change:
    """Three times the loss."""
    before = classifier()

    def tripled(outputs: Tensor, targets: Tensor) -> Tensor:
        return 3 * nn.functional.cross_entropy(outputs, targets, reduction="none")

    after = td.Objective(before.model, tripled, data_of(before))
    return Change(before, after, lambda v: v)


CHANGES: dict[str, Callable[[], Change]] = {
    invariances.RESCALING: layer_rescaling,
    invariances.NORMALIZATION: scale_before_normalization,
    invariances.ORTHOGONAL: orthogonal_change_of_basis,
    invariances.PERMUTATION: permutation_of_neurons,
    invariances.LOSS: scale_of_the_loss,
}
"""One example of each transformation of the table."""
