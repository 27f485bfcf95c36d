"""Gaussian noise added to the gradient of full-batch descent: what batches do, without batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from theodolite.errors import InvalidArgument, UnsupportedModel
from theodolite.seeds import child_seed, torch_generator
from theodolite.training.isolation import seed_streams
from theodolite.training.loop import Bench
from theodolite.training.losses import ExampleLoss
from theodolite.training.recipe import Recipe

KINDS = ("covariance", "isotropic")


@dataclass(frozen=True)
class GradientNoise:
    r"""Noise of mean zero for every gradient, of the covariance of a batch's or of its trace.

    ``"covariance"``: Gaussian with covariance :math:`f \Sigma`, where :math:`\Sigma` is the
    unbiased covariance of the gradients of examples at the present weights and ``factor`` is f,
    as :math:`1/B - 1/N` for batches of B drawn from N without replacement. ``"isotropic"``:
    covariance :math:`f \operatorname{tr}(\Sigma) / P` times the identity; each draw has a
    direction uniform on the sphere of the P parameters times the length that a draw of the first
    kind has, so only where noise points is changed. Raises `InvalidArgument` (E-U03).
    """

    factor: float
    kind: str = "covariance"

    def __post_init__(self) -> None:
        if self.kind not in KINDS or not 0 <= self.factor < math.inf:
            raise InvalidArgument(
                f"kind must be one of {', '.join(KINDS)} and factor at least 0; "
                f"got {self.kind!r} and {self.factor}.",
                where="GradientNoise",
                code="E-U03",
            )


def noise_draw(
    losses: Tensor,
    parameters: Iterable[Tensor],
    noise: GradientNoise,
    generator: torch.Generator,
) -> list[Tensor]:
    r"""One draw for each parameter, from the losses of all N examples with their graph.

    .. math:: e = \sqrt{\tfrac{f}{N - 1}} \sum_i (\xi_i - \bar\xi) \nabla \ell_i, \qquad
              \xi_i \sim \mathcal N(0, 1), \qquad \operatorname{Cov} e = f \Sigma

    exactly, by one backward pass. Isotropic draws are
    :math:`\|e\| z / \|z\|` with z normal.

    >>> w = torch.zeros(2, requires_grad=True)
    >>> losses = (w * torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).sum(1)  # gradients (1, 0), (-1, 0)
    >>> (e,) = noise_draw(losses, [w], GradientNoise(0.5), torch.Generator().manual_seed(0))
    >>> bool(e[0] != 0), float(e[1])
    (True, 0.0)
    """
    wanted, count = list(parameters), len(losses)
    drawn = torch.randn(count, generator=generator, dtype=torch.float64)
    weights = (drawn - drawn.mean()) * math.sqrt(noise.factor / max(count - 1, 1))
    total = (losses * weights.to(losses)).sum()
    found: list[Any] = list(torch.autograd.grad(total, wanted, allow_unused=True))
    made = [torch.zeros_like(p) if g is None else g for p, g in zip(wanted, found, strict=True)]
    if noise.kind == "covariance":
        return made
    others = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in wanted]
    share = _length(made) / max(_length(others), 1e-300)
    return [(share * z).to(p) for z, p in zip(others, wanted, strict=True)]


def takes_noise(model: nn.Module) -> bool:
    """Whether examples have gradients of their own: no BatchNorm looks at all of them."""
    return not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())


def inject(
    recipe: Recipe,
    bench: Bench,
    loss: ExampleLoss,
    pair: tuple[Tensor, Tensor],
    noise: GradientNoise,
) -> Callable[[], None]:
    """Add noise to every gradient before it is used; returns what ends that.

    Each step draws by its own seed and under the dropout of that step. Raises `InvalidArgument`
    where the recipe is not full-batch descent (E-U04), `UnsupportedModel` for a network with
    BatchNorm in training mode, whose examples have no gradients of their own (E-U05).
    """
    if recipe.optimizer != "gd":
        raise InvalidArgument(
            f"noise is added to full-batch descent; optimizer is {recipe.optimizer!r}.",
            fix='use optimizer="gd".',
            code="E-U04",
        )
    if not takes_noise(bench.model):
        raise UnsupportedModel(
            "noise of single examples needs a network without BatchNorm.",
            why="with it an example's gradient depends on the rest of its batch.",
            fix="leave out the runs with injected noise, or use GroupNorm.",
            code="E-U05",
        )
    steps = iter(range(2**62))

    def before(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        step = next(steps)
        trained = [p for p in bench.model.parameters() if p.requires_grad]
        with torch.enable_grad():
            seed_streams(child_seed(recipe.noise_seed, "step", step), recipe.device)
            losses = loss(bench.model(pair[0]), pair[1])
            generator = torch_generator(recipe.noise_seed, "gradient noise", step)
            draws = noise_draw(losses, trained, noise, generator)
        for p, e in zip(trained, draws, strict=True):
            p.grad = e if p.grad is None else p.grad.add_(e)

    return bench.optimizer.register_step_pre_hook(before).remove


def _length(parts: list[Tensor]) -> float:
    return math.sqrt(sum(float(p.double().square().sum()) for p in parts))
