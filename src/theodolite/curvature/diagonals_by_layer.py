"""The diagonal of an objective's Hessian, layer by layer: mean, smallest and largest entry."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float64, Int64
from torch import Tensor

from theodolite import results
from theodolite.linalg.diagonals import DiagonalEstimate, diagonal_estimate
from theodolite.linalg.operator import Operator
from theodolite.linalg.precision import without_autocast
from theodolite.parameters import ParameterSpace


def layer_diagonals(
    operator: Operator,
    space: ParameterSpace,
    *,
    probes: int = 64,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    r"""Estimate the diagonal of an operator on a model's parameters, summed up by layer.

    .. math:: m_k = \frac{1}{n_k} \sum_{i \in k} A_{ii}, \qquad \min_{i \in k} A_{ii}, \quad
        \max_{i \in k} A_{ii}, \qquad A_{ii} = \mathbb E\, z_i (A z)_i

    Parameters
    ----------
    operator
        Of the size of `space`, e.g. ``hessian(objective)``.
    space
        ``objective.space``; a layer is the module that holds a tensor.
    probes, seed, progress
        As for `diagonal`.

    Returns
    -------
    xarray.Dataset
        Dimension ``layer``: ``mean`` with ``mean_error`` (standard error, from the spread of the
        sums over probes: the mean times ``size`` is the trace of the layer's block);
        ``smallest`` and ``largest`` with the standard error of that entry; ``size``;
        ``sample(probe, layer)``, the mean seen by one probe. attrs: ``products``, ``exact``.

    Notes
    -----
    Costs `probes` products of the whole operator for all layers together. The smallest and the
    largest of many noisy entries lie further out than the true ones, by several of their standard
    errors where layers are large: read them beside these. Exact where the operator is no larger
    than `probes`. Raises `InvalidArgument` for fewer than two probes. Not checked: that the
    operator belongs to the space.

    References
    ----------
    Bekas, Kokiopoulou, Saad (2007), Applied Numerical Mathematics 57.

    Examples
    --------
    >>> space = ParameterSpace.from_model(torch.nn.Linear(2, 1))
    >>> a = Operator.from_matrix(torch.diag(torch.tensor([1.0, 2.0, 6.0])))
    >>> found = layer_diagonals(a, space)
    >>> found["mean"].values.tolist(), found["largest"].values.tolist()
    ([3.0], [6.0])
    """
    names = list(space.layers())
    members = _members(space)
    found = without_autocast(diagonal_estimate)(
        operator, probes=probes, seed=seed, groups=members, progress=progress
    )
    sizes = torch.bincount(members, minlength=len(names)).numpy()
    return results.dataset(
        "layer_diagonals",
        {**_means(found, sizes), **_extremes(found, members, len(names))},
        {"layer": names, "probe": np.arange(len(found.sums))},
        **{
            **operator.facts,
            "operator": operator.label,
            "params": operator.size,
            "seed": seed,
            "probes": probes,
            "products": found.products,
            "exact": found.exact,
        },
    )


def _members(space: ParameterSpace) -> Int64[Tensor, " params"]:
    """The number of the layer of each coordinate."""
    members = torch.empty(space.size, dtype=torch.int64)
    for k, entries in enumerate(space.layers().values()):
        for entry in entries:
            members[entry.offset : entry.stop] = k
    return members


def _means(found: DiagonalEstimate, sizes: np.ndarray) -> dict[str, results.Variable]:
    samples = found.sums / sizes
    count = len(samples)
    error = samples.std(0, ddof=1) / count**0.5 if not found.exact else np.zeros(len(sizes))
    dims = ("layer",)
    return {
        "mean": (dims, samples.mean(0), {"long_name": "mean diagonal entry"}),
        "mean_error": (dims, error, {"long_name": "standard error of the mean entry"}),
        "sample": (("probe", "layer"), samples, {"long_name": "mean entry seen by one probe"}),
        "size": (dims, sizes, {"long_name": "parameters of the layer"}),
    }


def _extremes(
    found: DiagonalEstimate, members: Int64[Tensor, " params"], layers: int
) -> dict[str, results.Variable]:
    entries, errors = (t.to("cpu", torch.float64) for t in (found.diagonal, found.standard_error))
    made: dict[str, results.Variable] = {}
    for name, first in (("smallest", torch.argmin), ("largest", torch.argmax)):
        value, error = np.empty(layers), np.empty(layers)
        for k in range(layers):
            own = torch.nonzero(members == k)[:, 0]
            place = own[first(entries[own])]
            value[k], error[k] = float(entries[place]), float(errors[place])
        made |= _pair(name, value, error)
    return made


def _pair(
    name: str, value: Float64[np.ndarray, " layer"], error: Float64[np.ndarray, " layer"]
) -> dict[str, results.Variable]:
    dims = ("layer",)
    return {
        name: (dims, value, {"long_name": f"{name} diagonal entry"}),
        f"{name}_error": (dims, error, {"long_name": "standard error of that entry"}),
    }
