"""Claim: the signs of the Hessian's eigenvalues say what a critical point is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float64
from torch import Tensor

from theodolite import results
from theodolite.curvature.saddle_indices import saddle_index
from theodolite.findings.finding import Finding
from theodolite.findings.verdict import Verdict, all_of, at_least, concluded, controlled
from theodolite.intervals.statistics import LEVEL, Estimate, proportion_interval, simultaneous
from theodolite.linalg.operator import Operator
from theodolite.seeds import torch_generator

MINIMUM, MAXIMUM, SADDLE, UNDETERMINED = "minimum", "maximum", "saddle", "undetermined"
KINDS = ("regular", "degenerate")
SIZES = (2, 3, 4, 5, 6)
TAU = 1e-6
RADIUS = 1e-2
RIGHT, WRONG = 0.99, 0.9


@dataclass(frozen=True)
class Settings:
    """Functions of every kind and size, and points at which each is looked at."""

    seeds: int = 5
    draws: int = 6
    points: int = 500


@dataclass(frozen=True, eq=False)
class Polynomial:
    """A function with a critical point at 0: squares along `basis`, and terms of higher order.

    .. math:: f(x) = \\tfrac12 \\sum_i \\lambda_i u_i^2 + c\\,u_1^p
        + \\tfrac1{10} \\sum_{i: \\lambda_i \\ne 0} u_i^3, \\qquad u = Q^\\top x
    """

    basis: Float64[Tensor, "size size"]
    eigenvalues: Float64[Tensor, " size"]
    factor: float
    power: int

    def __call__(self, x: Float64[Tensor, "*point size"]) -> Float64[Tensor, "*point"]:
        """The values at points."""
        u = x @ self.basis
        cubes = torch.where(self.eigenvalues != 0, u**3, 0.0).sum(-1) / 10
        squares = (self.eigenvalues * u**2).sum(-1) / 2
        value: Tensor = squares + self.factor * u[..., 0] ** self.power + cubes
        return value


def polynomial(kind: str, size: int, draw: int, generator: torch.Generator) -> Polynomial:
    """A random one: regular draws are minima, maxima and saddles in turn.

    A degenerate one has a zero eigenvalue first, the others positive, and in turn a fourth power
    with a positive and a negative factor or a third power: one Hessian, three natures.
    """

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    basis, _ = torch.linalg.qr(drawn(size, size))
    values = 0.5 + 1.5 * torch.rand(size, generator=generator, dtype=torch.float64)
    if kind == "degenerate":
        values[0] = 0.0
        factor, power = ((1.0, 4), (-1.0, 4), (1.0, 3))[draw % 3]
        return Polynomial(basis, values, factor, power)
    negative = (0, size, 1 + draw % (size - 1))[draw % 3]
    values[:negative] *= -1
    return Polynomial(basis, values, float(drawn(1)), 4)


def hessian_of(function: Polynomial) -> Float64[Tensor, "size size"]:
    """The Hessian at 0 by autograd."""
    zero = torch.zeros(len(function.basis), dtype=torch.float64)
    made: Tensor = torch.autograd.functional.hessian(function, zero)
    return made


def nature_by_values(function: Polynomial, *, points: int, generator: torch.Generator) -> str:
    """What the values next to 0 say: whether they are above, below or both.

    Looked at in random directions and along the axes of the function, to both sides.
    """
    size = len(function.basis)
    rows = torch.randn(points, size, generator=generator, dtype=torch.float64)
    rows = torch.cat([rows / rows.norm(dim=1, keepdim=True), function.basis.T, -function.basis.T])
    values = function(RADIUS * rows)
    if bool((values > 0).all()):
        return MINIMUM
    return MAXIMUM if bool((values < 0).all()) else SADDLE


def nature_by_eigenvalues(hessian: Float64[Tensor, "size size"]) -> str:
    """What eigenvalues surely on either side of zero say: all of them, or some on both sides.

    >>> [nature_by_eigenvalues(torch.diag(torch.tensor([1.0, s]).double())) for s in (2, -1, 0)]
    ['minimum', 'saddle', 'undetermined']
    """
    below, above = (
        int(saddle_index(Operator.from_matrix(s * hessian), thresholds=[TAU]).certain_negative[0])
        for s in (1, -1)
    )
    if below and above:
        return SADDLE
    if below + above < len(hessian):
        return UNDETERMINED
    return MAXIMUM if below else MINIMUM


def nature_by_bare_signs(hessian: Float64[Tensor, "size size"]) -> str:
    """The same with every eigenvalue taken for positive or negative, however near to zero."""
    below = int((torch.linalg.eigvalsh(hessian) < 0).sum())
    return MINIMUM if below == 0 else MAXIMUM if below == len(hessian) else SADDLE


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """How often the eigenvalues are right, say nothing, and are right at face value."""
    shape = (len(KINDS), len(SIZES))
    found = {name: np.zeros(shape) for name in ("right", "undetermined", "bare")}
    for i, kind in enumerate(KINDS):
        for j, size in enumerate(SIZES):
            for draw in range(settings.draws):
                generator = torch_generator(seed, "polynomial", kind, size, draw)
                function = polynomial(kind, size, draw, generator)
                hessian = hessian_of(function)
                truth = nature_by_values(function, points=settings.points, generator=generator)
                said = nature_by_eigenvalues(hessian)
                found["right"][i, j] += said == truth
                found["undetermined"][i, j] += said == UNDETERMINED
                found["bare"][i, j] += nature_by_bare_signs(hessian) == truth
    words = {
        "right": "functions whose eigenvalues say what their values say",
        "undetermined": "functions whose eigenvalues say nothing",
        "bare": "functions rightly told by bare signs",
    }
    return results.dataset(
        "finding",
        {
            **{k: (("kind", "size"), v, {"long_name": words[k]}) for k, v in found.items()},
            "draws": ((), settings.draws, {"long_name": "functions of every kind and size"}),
        },
        {
            "kind": list(KINDS),
            "size": ("size", list(SIZES), {"long_name": "number of variables"}),
        },
    )


def share(measured: xr.Dataset, name: str, kind: str, *, level: float = LEVEL) -> Estimate:
    """A share of the functions of one kind, over all sizes and seeds."""
    count = int(measured[name].sel(kind=kind).sum())
    return proportion_interval(
        count, int(measured.draws.sum()) * measured.sizes["size"], level=level
    )


def judge(measured: xr.Dataset) -> Verdict:
    """Regular points told rightly and degenerate ones left open; bare signs as control."""
    level, seeds = simultaneous(LEVEL, 2), measured.sizes["seed"]
    right = share(measured, "right", "regular", level=level)
    left_open = share(measured, "undetermined", "degenerate", level=level)
    bare = share(measured, "bare", "degenerate")
    said = (
        f"Of {right.count} points without a zero eigenvalue, {right.value:.1%} are what the signs "
        f"say [{right.low:.1%}, {right.high:.1%}]. Of {left_open.count} with one, "
        f"{left_open.value:.1%} are left undetermined [{left_open.low:.1%}, {left_open.high:.1%}]."
    )
    control = (
        f"With a zero eigenvalue, bare signs are right in {bare.value:.1%} of {bare.count} points "
        f"[{bare.low:.1%}, {bare.high:.1%}]."
    )
    outcome = all_of(_practically_all(right), _practically_all(left_open))
    return controlled(
        concluded(
            outcome, min(right, left_open, key=lambda e: e.value), seeds=seeds, explanation=said
        ),
        negative=concluded(_practically_all(bare), bare, seeds=seeds, explanation=control),
    )


def _practically_all(estimate: Estimate) -> str:
    return at_least(estimate, minimum=RIGHT, null=WRONG)


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Shares of both kinds."""
    return {
        f"{words}, {kind}": share(measured, name, kind)
        for kind in KINDS
        for name, words in (
            ("right", "signs beyond their errors are right"),
            ("undetermined", "undetermined"),
            ("bare", "bare signs are right"),
        )
    }


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "At a critical point, the signs of the Hessian eigenvalues determine its nature: all "
        "positive, a local minimum; all negative, a local maximum; mixed, a saddle point."
    ),
    reference="Second-order conditions; the article states them without the case of a zero",
    protocol=(
        f"Random polynomials in {SIZES[0]} to {SIZES[-1]} variables with a critical point at 0: "
        "squares along a random orthogonal basis with factors of size 0.5 to 2, and terms of third "
        "and fourth order. Half have no zero eigenvalue. In the other half one is zero and the "
        "rest positive, and a fourth power, minus a fourth power or a third power runs along it: "
        "one and the same Hessian, a minimum or a saddle. What a point is, by the function's "
        f"values at distance {RADIUS:g} in random directions and along the basis. What the "
        f"eigenvalues say, by `saddle_index` of the Hessian and its negative at tau = {TAU:g}: "
        "undetermined where one of them is not surely positive or negative, unless others "
        "lie on both sides."
    ),
    threshold=(
        f"Reproduced if at least {RIGHT:.0%} of the points without a zero eigenvalue are what the "
        f"signs say, and at least {RIGHT:.0%} of those with one are left undetermined, both with "
        f"exact intervals above {WRONG:.0%} that hold together at {LEVEL:.0%}. Not reproduced if "
        f"one of the intervals lies below {RIGHT:.0%}. Otherwise inconclusive."
    ),
    negative_control=(
        "Points with a zero eigenvalue, and the sign of what rounding makes of it taken at face "
        "value, judged by the same rule: it must not be reproduced."
    ),
    limits=(
        "A theorem, checked so that the measurement may be trusted. The Hessian of a network has "
        "very many eigenvalues near zero: in the words of this rule nearly all critical points "
        "without a clear negative direction are undetermined, and a minimum 'up to tau' is no "
        "minimum."
    ),
    effect="smaller of the share told rightly and the share left open",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=10, draws=12),
        "thorough": Settings(seeds=20, draws=30, points=2000),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
