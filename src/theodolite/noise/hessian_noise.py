r"""The curvature that noise meets: tr(H Sigma), and its error by random signs or over examples.

With :math:`e_i = N p_i (g_i - g)` and :math:`\Sigma = \sum_i e_i e_i^\top / (N - 1)`,

.. math:: \operatorname{tr}(H \Sigma) = \operatorname{tr} K, \qquad
          K_{ij} = \frac{e_i^\top H e_j}{N - 1},

a matrix of the size of the data whose products need no gradient of a single example.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from theodolite import seeds
from theodolite.linalg.leave_out import by_unit_vectors
from theodolite.linalg.operator import Operator
from theodolite.linalg.trace_choice import chosen_trace
from theodolite.noise.moments import Moments, combinations, measured

PROBES = 4
"""Random sums of gradients on which the examples' own Hessians are seen."""

EXACT = 32
"""Up to so many examples all unit vectors cost no more than the least estimate."""


@dataclass(frozen=True, eq=False)
class NoiseCurvature:
    """tr(H Sigma), g'Hg, the covariance of their errors and how many samples that rests on.

    ``along`` is the curvature along the gradient, ``products`` those with H.
    """

    trace: float
    along: float
    covariance: Float64[np.ndarray, "2 2"]
    samples: int
    method: str
    products: int


def example_operator(found: Moments, hessian: Operator) -> Operator:
    """K above; a product costs a sum of gradients (3 F), one of `hessian` and 3 F."""
    roots = found.weights / (found.examples - 1) ** 0.5

    def multiply(columns: Tensor) -> Tensor:
        images = _products(hessian, _centered(found, (columns.to(roots) * roots[:, None]).T))
        seen = measured(found.objective, found.theta, images, known=found.ways).products.sum(1)
        made: Tensor = roots[:, None] * (seen - images.double() @ found.mean.double()).to(roots)
        return made

    return Operator(
        lambda v: multiply(v.unsqueeze(1)).squeeze(1),
        found.examples,
        torch.float64,
        "curvature of noise",
        roots.device,
        multiply,
    )


def traced(
    found: Moments, hessian: Operator, *, tolerance: float, seed: int, max_products: int
) -> NoiseCurvature:
    """With the data as population: g'Hg is exact, and the trace has the error of its probes."""
    image = hessian.matvec(found.mean)
    along = float(found.mean.double() @ image.double())
    operator = example_operator(found, hessian)
    if found.examples <= EXACT:
        exact = by_unit_vectors(operator, found.examples, None)
        products = exact.products + 1
        return NoiseCurvature(exact.trace, along, np.zeros((2, 2)), 2, "exact", products)
    chosen = chosen_trace(operator, tolerance=tolerance, seed=seed, max_products=max_products)
    made = chosen.estimate
    covariance = np.diag([made.standard_error**2, 0.0])
    samples, products = len(made.samples), made.products + 1
    return NoiseCurvature(made.trace, along, covariance, samples, chosen.method, products)


def sampled(
    found: Moments,
    hessian: Operator,
    exact: NoiseCurvature,
    *,
    unseen: float,
    seed: int,
    looked: int,
) -> NoiseCurvature:
    r"""`exact`, with the errors of data that are a sample themselves.

    Each example moves tr(H Sigma) by its own :math:`e_i^\top H e_i`, known for `looked` random
    examples, and by its own Hessian's :math:`\operatorname{tr} H_i \Sigma`, seen on `PROBES`
    random sums of all :math:`e_j`; it moves g'Hg by :math:`2 e_i^\top H g + g^\top H_i g`. Second
    derivatives of single examples are differences of their gradients: they enter errors alone.
    """
    n, generator = found.examples, seeds.torch_generator(seed, "noise_examples")
    weights, shares = found.weights.cpu(), found.shares.cpu()
    likely = _likely(found)
    chosen = torch.multinomial(likely, looked, replacement=True, generator=generator)
    ones = torch.nn.functional.one_hot(chosen, n).to(found.weights) * found.weights
    rows = _centered(found, ones)
    own = (rows.double() * _products(hessian, rows).double()).sum(1).cpu()
    signs = 2.0 * torch.randint(2, (PROBES, n), generator=generator) - 1
    sums = _centered(found, signs.to(found.weights) * found.weights / (n - 1) ** 0.5)
    seen = torch.stack([_own_curvature(found, row) for row in sums], 1).mean(1).cpu()
    moved = own - exact.trace + (weights * (seen - shares @ seen))[chosen]
    image = hessian.matvec(found.mean)
    slopes = measured(found.objective, found.theta, image[None], known=found.ways)
    bent = 2 * slopes.products.sum(1)[:, 0].cpu() + _own_curvature(found, found.mean).cpu()
    bent = weights * (bent - shares @ bent)
    covariance = _joint(moved, bent, chosen, 1 / (looked * n * likely[chosen])) * unseen / n
    along = exact.along - unseen * exact.trace / n
    products = exact.products + looked + 1
    covariance += exact.covariance
    return NoiseCurvature(exact.trace, along, covariance, looked, exact.method, products)


def _likely(found: Moments) -> Float64[Tensor, " example"]:
    r"""Chances to be looked at: half by :math:`\|e_i\|^4`, which the squares of forms follow."""
    n, fourth = found.examples, found.deviations().sum(1).square().cpu()
    total = float(fourth.sum())
    even = torch.full_like(fourth, 1 / n)
    return even if total == 0 else (even + fourth / total) / 2


def _joint(
    moved: Float64[Tensor, " looked"],
    bent: Float64[Tensor, " example"],
    chosen: Tensor,
    weights: Float64[Tensor, " looked"],
) -> Float64[np.ndarray, "2 2"]:
    """Second moments over examples: the first number known for those chosen alone."""
    some = bent[chosen]
    pairs = [
        float((weights * a * b).sum()) for a, b in ((moved, moved), (moved, some), (some, some))
    ]
    size = (pairs[0] * pairs[2]) ** 0.5
    agree = pairs[1] / size if size > 0 else 0.0
    spread = np.array([pairs[0] ** 0.5, float(bent.square().mean()) ** 0.5])
    made: np.ndarray = np.outer(spread, spread) * np.array([[1.0, agree], [agree, 1.0]])
    return made


def _centered(found: Moments, factors: Float[Tensor, "row example"]) -> Float[Tensor, "row params"]:
    """Sums of factors times (g_i - g)."""
    made = combinations(found.objective, found.theta, factors)
    return made - factors.sum(1).to(made)[:, None] * found.mean


def _products(operator: Operator, rows: Float[Tensor, "row params"]) -> Float[Tensor, "row params"]:
    assert operator.matmat is not None
    return operator.matmat(rows.T).T


def _own_curvature(
    found: Moments, direction: Float[Tensor, " params"]
) -> Float64[Tensor, " example"]:
    """d'H_i d of each example by central differences of its slope: 8 F; for errors only."""
    length = float(torch.linalg.vector_norm(direction.double()))
    if length == 0:
        return torch.zeros_like(found.shares)
    unit = direction / length
    reach = float(torch.linalg.vector_norm(found.theta.double())) or 1.0
    step = reach * (1e-5 if found.theta.dtype == torch.float64 else 2e-3)
    up, down = (
        measured(
            found.objective, found.theta + h * unit, unit[None], known=found.ways
        ).products.sum(1)[:, 0]
        for h in (step, -step)
    )
    return (up - down) * (length * length / (2 * step))
