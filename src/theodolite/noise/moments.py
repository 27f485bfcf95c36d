"""The gradients of all examples at one point, as far as noise needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from theodolite import seeds
from theodolite.engines.example_fallbacks import counted, gradient_of_one, mean_weights
from theodolite.engines.example_gradients import ExampleGradients, Way, example_gradients
from theodolite.engines.failures import named_failures
from theodolite.engines.problem import section
from theodolite.errors import InvalidArgument, NotFinite, UnsupportedModel
from theodolite.objective import Objective

APART = {torch.float64: 1e-7, torch.bfloat16: 0.1, torch.float16: 0.03}
"""How far gradients of examples may miss the whole gradient, relative to their own size."""


@dataclass(frozen=True, eq=False)
class Moments:
    r"""Norms and products of :math:`g_i`, tensor by tensor, float64.

    ``mean`` is the gradient of the mean loss; ``shares`` are :math:`p_i = w_i / \sum_j w_j`;
    ``squares`` are :math:`\|g_i\|^2` and ``along`` the products :math:`g_i^\top g`;
    ``extra`` are those with further directions.
    """

    objective: Objective
    theta: Tensor
    mean: Float[Tensor, " params"]
    shares: Float64[Tensor, " example"]
    squares: Float64[Tensor, "example tensor"]
    along: Float64[Tensor, "example tensor"]
    extra: Float64[Tensor, "example tensor direction"]
    ways: Mapping[str, str]
    reasons: Mapping[str, str]

    @property
    def examples(self) -> int:
        """N, those that do not count included: batches are drawn from all."""
        return len(self.shares)

    @property
    def weights(self) -> Float64[Tensor, " example"]:
        """Weights relative to their mean: N times the shares."""
        return self.shares * len(self.shares)

    def mean_squares(self) -> Float64[Tensor, " tensor"]:
        """The squared norm of the mean gradient in each tensor."""
        return by_tensor(self.objective, self.mean.double().square())

    def deviations(self) -> Float64[Tensor, "example tensor"]:
        r"""Squared norms of :math:`e_i = N p_i (g_i - g)`; what rounding makes negative is zero."""
        gaps = self.squares - 2 * self.along + self.mean_squares()
        return gaps.clamp(min=0) * self.weights.square()[:, None]


def moments(
    objective: Objective, theta: Tensor, *, extra: Tensor | None = None, way: Way = "auto"
) -> Moments:
    """The gradient (3 F), and norms and products of those of all examples (3 F by ghosts).

    Raises where they do not add up to the gradient, which says that examples see each other.
    """
    shares = shares_of(objective)
    mean = objective.gradient(theta) / objective.scale
    generator = seeds.torch_generator(0, "moments")
    probe = torch.randn(len(mean), generator=generator, dtype=torch.float64).to(mean)
    rows = torch.stack([mean, probe])
    if extra is not None:
        rows = torch.cat([rows, extra.to(mean)])
    found = measured(objective, theta, rows, way=way)
    if not bool(found.squares.isfinite().all()):
        raise NotFinite(
            "the gradient of an example is NaN or infinite.",
            where=f"example {int((~found.squares.isfinite()).any(1).nonzero()[0])}",
            fix="remove the example, or measure at another point.",
            code="E-Y08",
        )
    _require_apart(objective, found.products[:, :, 1], shares, mean * probe)
    along, rest = found.products[:, :, 0], found.products[:, :, 2:]
    return Moments(
        objective, theta, mean, shares, found.squares, along, rest, found.ways, found.reasons
    )


def measured(
    objective: Objective,
    theta: Tensor,
    directions: Tensor,
    *,
    way: Way = "auto",
    known: Mapping[str, str] | None = None,
) -> ExampleGradients:
    """`example_gradients` inside the objective's guard."""
    body = partial(example_gradients, objective, theta, directions, way=way, known=known)
    found: ExampleGradients = objective.guarded(body, grad=True)
    return found


def shares_of(objective: Objective) -> Float64[Tensor, " example"]:
    """What each example's mean loss counts in the objective; at least two must count."""
    weights = objective.start_pass.weights.double()
    parts = [mean_weights(objective, b) for b in objective.data]
    known = [p for p in parts if p is not None]
    if len(known) == len(parts):
        weights = torch.cat(known).to(weights)
    if int((weights != 0).sum()) < 2:
        raise InvalidArgument(
            "noise needs two examples at least; fewer count here.",
            fix="give the objective more examples.",
            code="E-Y06",
        )
    return weights / weights.sum()


def by_tensor(objective: Objective, values: Float[Tensor, " params"]) -> Float64[Tensor, " tensor"]:
    """Sums of one number a parameter within each tensor."""
    pieces = torch.split(values.double(), [e.size for e in objective.space.entries])
    return torch.stack([p.sum() for p in pieces])


def combinations(
    objective: Objective, theta: Tensor, factors: Float[Tensor, "row example"]
) -> Float[Tensor, "row params"]:
    r"""Sums :math:`\sum_i c_i g_i` for rows of factors: 1 F, and 2 F a row.

    Where a batch gives nothing but its mean, its examples are evaluated one by one, as many small
    passes as examples for all rows together.
    """
    total = torch.zeros(len(factors), len(theta), dtype=theta.dtype, device=theta.device)

    def body() -> None:
        leaf, first = theta.detach().clone().requires_grad_(True), 0
        for batch in objective.data:
            mine = factors[:, first : first + batch.examples].to(theta.device)
            first += batch.examples
            with named_failures("sum of gradients", batch.index):
                pulled = partial(_pulled, objective, batch, leaf, mine, total)
                if not objective.forward.run(leaf, pulled):
                    _pulled_one_by_one(objective, batch, leaf, mine, total)

    objective.guarded(body, grad=True)
    return total


def _pulled(objective: Objective, batch: Any, leaf: Tensor, factors: Tensor, total: Tensor) -> bool:
    """Add a batch's share from the losses of its examples; False where it gives only their mean."""
    losses, weights = objective.terms.losses(objective.model, batch)
    if len(losses) != batch.examples:
        if len(losses) == 1:
            return False
        raise UnsupportedModel(
            f"a sum of gradients needs a loss for every example; batch {batch.index} has "
            f"{batch.examples} examples and {len(losses)} losses.",
            fix="let batch_loss return (losses, weights) with one entry an example.",
            code="E-Y07",
        )
    kept = counted(losses, weights)
    if kept.requires_grad:
        for k, row in enumerate(factors.to(kept)):
            value = torch.dot(kept, row)
            made = torch.autograd.grad(
                value, leaf, allow_unused=True, retain_graph=k + 1 < len(factors)
            )[0]
            total[k] += 0 if made is None else made
    return True


def _pulled_one_by_one(
    objective: Objective, batch: Any, leaf: Tensor, factors: Tensor, total: Tensor
) -> None:
    """Add a batch's share from the gradient of each example by itself."""
    for k in range(batch.examples):
        if bool(factors[:, k].any()):
            own = gradient_of_one(objective, leaf, section(batch, k, k + 1))
            total.addr_(factors[:, k].to(total), own.to(total))


def _require_apart(
    objective: Objective,
    seen: Float64[Tensor, "example tensor"],
    shares: Float64[Tensor, " example"],
    whole: Float[Tensor, " params"],
) -> None:
    """The products of all examples with a random vector must add up to the gradient's."""
    allowed = APART.get(objective.dtype, 1e-3)
    gap = (shares @ seen - by_tensor(objective, whole)).abs()
    reach = shares @ seen.abs()
    bad = gap > allowed * (reach + allowed * reach.sum())
    if bool(bad.any()):
        worst = int((gap / reach.clamp(min=1e-300)).argmax())
        raise UnsupportedModel(
            "the gradients of the examples do not add up to the gradient of the whole: in "
            f"{objective.space.names[worst]!r} they miss it by {float(gap[worst]):.2g}, where "
            f"they reach {float(reach[worst]):.2g}.",
            why="an example's loss depends on the others in its batch.",
            fix="make each example's loss depend on itself alone: BatchNorm with the statistics it "
            "was trained with, no term that compares examples.",
            code="E-Y09",
        )
