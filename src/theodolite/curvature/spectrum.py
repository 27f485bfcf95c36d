"""Spectral densities by stochastic Lanczos quadrature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator
from theodolite.linalg.precision import without_autocast
from theodolite.linalg.probes import signs
from theodolite.linalg.quadrature import Quadrature, gauss_rule


def spectral_density(
    operator: Operator,
    *,
    steps: int | None = None,
    probes: int = 2,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    r"""Estimate the distribution of an operator's eigenvalues.

    The spectral density of a symmetric :math:`A \in \mathbb{R}^{n \times n}` is
    :math:`\phi(t) = \frac1n \sum_i \delta(t - \lambda_i)`. Each of `probes` random sign vectors
    gives a Gauss quadrature rule: `steps` nodes and weights that integrate polynomials up to
    degree ``2 * steps - 1`` exactly against its own spectral measure. Their average is unbiased
    for :math:`\int p \, d\phi`.

    Parameters
    ----------
    operator
        Any symmetric operator, e.g. ``hessian(objective)``. Symmetry is not checked: call
        `theodolite.certify` on the objective when in doubt.
    steps
        Lanczos steps a probe, at most ``operator.size``; by default 80, or as many as that.
    probes
        Independent random vectors; the spread over them is the error bar. With 80 products to
        spend, one or two long recurrences resolve more than many short ones.
    seed
        Probe `p` depends on `seed` and `p` alone: asking for more probes keeps the first ones.
    progress
        Called as ``progress(probes done, probes)``.

    Returns
    -------
    xarray.Dataset
        ``node`` and ``weight``, dimensions ``(probe, step)``, float64; a probe whose Krylov
        space ran out early repeats its last node with zero weight. The weights of a probe sum
        to one. ``attrs["products"]`` counts the products made.

    Notes
    -----
    Costs ``steps * probes`` products and holds ``steps`` vectors of length n. A weight is the
    squared cosine between the probe and an eigenvector, not a multiplicity: a single eigenvalue
    of n has a weight near 1/n that differs between probes by its own size. Smooth for the eye
    with `smooth`; integrate with `moment`.

    References
    ----------
    Golub, Welsch (1969), Mathematics of Computation 23.
    Ubaru, Chen, Saad (2017), SIAM J. Matrix Anal. Appl. 38.
    Ghorbani, Krishnan, Xiao (2019), arXiv:1901.10159.

    Examples
    --------
    >>> import torch
    >>> a = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    >>> diagonal = Operator(lambda v: a * v, 3, a.dtype, "diagonal")
    >>> density = spectral_density(diagonal, steps=3, probes=1)
    >>> density.node.values[0].round(6).tolist()
    [1.0, 2.0, 4.0]
    """
    if probes < 1:
        raise InvalidArgument(f"probes must be at least 1; got {probes}.", code="E-C01")
    steps = min(80, operator.size) if steps is None else steps
    rules = []
    for probe in range(probes):
        rules.append(probe_quadrature(operator, steps=steps, seed=seed, probe=probe))
        if progress is not None:
            progress(probe + 1, probes)
    return assembled_density(
        rules, label=operator.label, size=operator.size, seed=seed, facts=operator.facts
    )


def probe_quadrature(
    operator: Operator, *, steps: int = 80, seed: int = 0, probe: int = 0
) -> Quadrature:
    """The nodes and weights of one probe of `spectral_density`, bit for bit.

    The unit of work of a survey: probes can be computed anywhere, in any order, and put
    together with `assembled_density`. Errors and cost are those of `gauss_rule`.

    >>> import torch
    >>> a = Operator.from_matrix(2 * torch.eye(3))
    >>> probe_quadrature(a, steps=2, probe=7).weight.round(6).tolist()
    [1.0, 0.0]
    """
    if probe < 0:
        raise InvalidArgument(f"probe must be at least 0; got {probe}.", code="E-C02")
    start = signs(operator, seed, "spectral_density", probe)
    return without_autocast(gauss_rule)(operator, start, steps=steps)


def assembled_density(
    rules: Sequence[Quadrature],
    *,
    label: str,
    size: int,
    seed: int,
    facts: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """The result of `spectral_density` from its probes, in the order of their numbers.

    `label`, `size` and `facts` are the operator's; `seed` is that of the probes. All rules must
    have the same number of steps.

    >>> rule = Quadrature(np.array([1.0, 3.0]), np.array([0.5, 0.5]), 2)
    >>> assembled_density([rule], label="matrix", size=2, seed=0).attrs["products"]
    2
    """
    if len({len(rule.node) for rule in rules}) != 1:
        raise InvalidArgument(
            f"rules must be one or more with equal steps; got {[len(r.node) for r in rules]}.",
            code="E-C03",
        )
    dims, steps = ("probe", "step"), len(rules[0].node)
    node, weight = (np.stack([getattr(r, name) for r in rules]) for name in ("node", "weight"))
    return results.dataset(
        "spectral_density",
        {
            "node": (dims, node, {"long_name": "eigenvalue"}),
            "weight": (dims, weight, {"long_name": "spectral weight"}),
        },
        {"probe": np.arange(len(rules)), "step": np.arange(steps)},
        **{
            **(facts or {}),
            "operator": label,
            "size": size,
            "steps": steps,
            "probes": len(rules),
            "seed": seed,
            "products": sum(rule.products for rule in rules),
        },
    )


def moment(density: xr.Dataset, power: int) -> xr.DataArray:
    r"""Per-probe estimates of :math:`\frac1n \operatorname{tr} A^p`, dimension ``probe``.

    Exact for each probe's own measure while ``power <= 2 * steps - 1``. The mean over probes is
    unbiased; its standard error is the deviation over probes divided by the root of their count.

    >>> rule = Quadrature(np.array([1.0, 3.0]), np.array([0.5, 0.5]), 2)
    >>> moment(assembled_density([rule], label="matrix", size=2, seed=0), 2).values.tolist()
    [5.0]
    """
    if power < 0:
        raise InvalidArgument(f"power must be at least 0; got {power}.", code="E-C04")
    estimate: xr.DataArray = (density.weight * density.node**power).sum("step")
    return estimate.rename("moment").assign_attrs(long_name=f"spectral moment of order {power}")
