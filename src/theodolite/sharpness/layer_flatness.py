"""Relative flatness: the curvature of one layer, weighed by its own weights."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from theodolite import results, seeds
from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator
from theodolite.linalg.precision import without_autocast
from theodolite.linalg.products import wide_dtype
from theodolite.objective import Objective
from theodolite.operators import hessian
from theodolite.parameters import Entry
from theodolite.sharpness.arguments import at_least, facts, point_of
from theodolite.sharpness.perturbed import mean_and_error

CHUNK = 8
"""Vectors multiplied at once."""


def relative_flatness(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    layer: str | None = None,
    products: int = 256,
    engine: str = "auto",
    seed: int = 0,
) -> xr.Dataset:
    r"""Relative flatness of one linear layer (larger is sharper).

    .. math:: \kappa = \sum_{s,s'} \langle w_s, w_{s'} \rangle \operatorname{tr} H_{ss'},
        \qquad H_{ss'} = \frac{\partial^2 L}{\partial w_s\,\partial w_{s'}}

    with :math:`w_s` the rows of the layer's weight, one a neuron.

    Parameters
    ----------
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    layer
        A linear layer, or its weight, by name; by default the last one the model registers.
    products
        Hessian products allowed, at least 2. If the layer's rank times its inputs are no more,
        the value is exact.
    engine
        As for `hessian`.

    Returns
    -------
    xarray.Dataset
        ``relative_flatness`` and ``standard_error`` (0 where exact), and ``sample(probe)``, whose
        mean and spread they are (where exact: the terms, whose sum it is). attrs: ``layer``,
        ``method`` ("exact" or "random signs"), ``products``.

    Notes
    -----
    Costs `products` products with the Hessian of that weight alone (at most 6 F each). Random
    signs Z of as many entries as the weight W: :math:`v = W Z` has
    :math:`\mathbb E\,vv^\top = WW^\top \otimes I`, so :math:`\mathbb E\,v'Hv = \kappa`: unbiased.
    Exact: one product for each eigenvector of :math:`WW^\top` and input. The bias is left out, as
    in the paper. Does not see layers rescaled. Not checked: that the last layer registered is the
    last one computed, nor the paper's conditions (a local minimum, labels locally constant in the
    features) under which it bounds the generalization gap.

    Raises `InvalidArgument` where there is no linear layer of that name (E-H26) or fewer than 2
    products (E-H12).

    References
    ----------
    Petzka, Kamp, Adilova, Sminchisescu, Boley (2021), arXiv:2001.00939.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> bowl = td.Objective(model, torch.nn.MSELoss(), (x, y))  # H has trace 5
    >>> found = relative_flatness(bowl, theta=torch.tensor([3.0, 4.0]))
    >>> round(float(found.relative_flatness), 3)  # |w|^2 tr H
    125.0
    """
    point = point_of(objective, theta)
    at_least(2, products, "products")
    entry = _weight(objective, layer)
    weight = point[entry.offset : entry.stop].view(entry.shape)
    operator = hessian(objective.restricted(entry.name, theta=point), engine=engine)
    lengths, basis = _rows(weight)
    exact = len(lengths) * entry.shape[1] <= products
    if exact:
        terms = without_autocast(_terms)(operator, basis, entry.shape[1])
        value, error = float(terms.sum()), 0.0
    else:
        terms = without_autocast(_samples)(operator, weight, products, seed)
        value, error = (float(v) for v in mean_and_error(terms))
    return results.dataset(
        "relative_flatness",
        {
            "relative_flatness": ((), value, {"long_name": f"relative flatness of {entry.layer}"}),
            "standard_error": ((), error, {"long_name": "standard error of relative flatness"}),
            "sample": (("probe",), terms, {"long_name": "quadratic form of a probe"}),
        },
        {"probe": np.arange(len(terms))},
        **facts(objective, point, "relative_flatness"),
        layer=entry.layer,
        method="exact" if exact else "random signs",
        products=len(terms),
        seed=seed,
    )


def _weight(objective: Objective, layer: str | None) -> Entry:
    """The weight of the layer called `layer`, or of the last linear one."""
    linear = [e for e in objective.space.entries if e.kind == "linear" and len(e.shape) == 2]
    chosen = [e for e in linear if layer is None or layer in (e.layer, e.name, *e.aliases)]
    if not chosen:
        known = ", ".join(repr(e.layer) for e in linear) or "none"
        raise InvalidArgument(
            f"layer must name a linear layer with a weight that trains; got {layer!r}.",
            fix=f"linear layers of this model: {known}.",
            code="E-H26",
        )
    return chosen[-1]


def _rows(
    weight: Float[Tensor, "neuron input"],
) -> tuple[Float[Tensor, " rank"], Float[Tensor, "neuron rank"]]:
    """The squared singular values above rounding, and their left vectors times the singular."""
    u, s, _ = torch.linalg.svd(weight.double(), full_matrices=False)
    kept = s > s.max() * max(weight.shape) * torch.finfo(torch.float64).eps
    return s[kept] ** 2, (u * s)[:, kept].to(weight)


def _terms(
    operator: Operator, basis: Float[Tensor, "neuron rank"], inputs: int
) -> Float64[np.ndarray, " term"]:
    """The form of every singular vector at every input."""
    found: list[float] = []
    places = [(column, j) for column in basis.unbind(1) for j in range(inputs)]
    for first in range(0, len(places), CHUNK):
        made = []
        for column, j in places[first : first + CHUNK]:
            v = column.new_zeros(len(column), inputs)
            v[:, j] = column
            made.append(v.reshape(-1))
        found += _forms(operator, torch.stack(made, 1))
    return np.array(found)


def _samples(
    operator: Operator, weight: Float[Tensor, "neuron input"], probes: int, seed: int
) -> Float64[np.ndarray, " probe"]:
    """The form of W Z for random signs Z."""
    found: list[float] = []
    inputs = weight.shape[1]
    for first in range(0, probes, CHUNK):
        made = []
        for k in range(first, min(first + CHUNK, probes)):
            coins = seeds.torch_generator(seed, "relative flatness", k)
            z = 2 * torch.randint(2, (inputs, inputs), generator=coins) - 1
            made.append((weight @ z.to(weight)).reshape(-1))
        found += _forms(operator, torch.stack(made, 1))
    return np.array(found)


def _forms(operator: Operator, columns: Float[Tensor, "params k"]) -> list[float]:
    """v'Hv of every column."""
    assert operator.matmat is not None
    wide = wide_dtype(operator.device)
    forms = torch.sum(columns * operator.matmat(columns), 0, dtype=wide)
    return [float(f) for f in forms.cpu()]
