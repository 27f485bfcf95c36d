"""One layer's share of the Hessian: density, both ends and trace of its diagonal block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float64

from theodolite import results
from theodolite.curvature.eigenvalues import eigenpairs
from theodolite.curvature.layer_shares import WORDS
from theodolite.curvature.spectrum import probe_quadrature
from theodolite.curvature.traces import trace
from theodolite.errors import NotConverged
from theodolite.linalg.diagonals import diagonal_estimate
from theodolite.linalg.operator import Operator
from theodolite.linalg.precision import without_autocast
from theodolite.linalg.quadrature import Quadrature
from theodolite.seeds import child_seed


@dataclass(frozen=True)
class Effort:
    """How much is spent on a block: Lanczos steps and probes, products for its trace, residual.

    ``tolerance`` is the residual of an eigenvalue, ``accuracy`` the error of the trace, both
    relative.
    """

    steps: int
    probes: int
    trace_products: int
    tolerance: float
    accuracy: float = 0.02


def layer_spectrum(block: Operator, name: str, effort: Effort, *, seed: int = 0) -> xr.Dataset:
    r"""The spectrum of one diagonal block, dimension ``layer`` of length one.

    .. math:: H_{kk} = \nabla^2_{\theta_k} L, \qquad
        \phi_k(t) = \frac{1}{n_k} \sum_i \delta(t - \lambda_i(H_{kk}))

    `block` is a value of `blocks` and `name` its key. Returns ``node`` and ``weight(layer, probe,
    step)`` as `spectral_density` gives them (a block with fewer parameters than `steps` repeats
    its last node with no weight), both ends of the spectrum with their residuals, ``trace`` with
    its standard error (zero for a block of at most ``trace_products`` parameters, whose trace is
    exact), ``size`` and ``products``.

    The largest eigenvalue of a block is at most that of the whole matrix, the smallest at least
    (Cauchy's interlacing), and the traces of all blocks add up to that of the whole. An end that
    did not converge is returned with the residual it has. Costs ``steps * probes +
    trace_products`` products with the block and 20 to 60 for its ends; errors are those of
    `probe_quadrature`, `eigenpairs` and `trace`. Seeds derive from `seed` and `name`. What lies
    between blocks is not seen.

    References: Ghorbani, Krishnan, Xiao (2019), arXiv:1901.10159; Sankar, Khasbage, Vigneswaran,
    Balasubramanian (2021), AAAI 35 (spectra by layer).

    >>> import torch
    >>> block = Operator.from_matrix(torch.diag(torch.tensor([1.0, 2.0, 4.0]).double()))
    >>> found = layer_spectrum(block, "fc", Effort(3, 2, 32, 1e-3))
    >>> found.largest_eigenvalue.values.round(6).tolist(), found.trace.values.round(6).tolist()
    ([4.0], [7.0])
    """
    own = child_seed(seed, "layer", name)
    steps = min(effort.steps, block.size)
    rules = [probe_quadrature(block, steps=steps, seed=own, probe=p) for p in range(effort.probes)]
    ends = _ends(block, effort.tolerance, own)
    total, error, made = _trace(block, effort, own)
    values, residuals = ends["eigenvalue"].values, ends["residual"].values
    products = sum(r.products for r in rules) + ends.attrs["products"] + made
    found = {
        "largest_eigenvalue": values[0],
        "largest_residual": residuals[0],
        "smallest_eigenvalue": values[-1],
        "smallest_residual": residuals[-1],
        "trace": total,
        "trace_error": error,
        "size": block.size,
        "products": products,
    }
    variables: dict[str, results.Variable] = {
        k: (("layer",), [v], {"long_name": WORDS[k]}) for k, v in found.items()
    }
    dims = ("layer", "probe", "step")
    node, weight = _padded(rules, effort.steps)
    variables["node"] = (dims, node[None], {"long_name": "eigenvalue of the block"})
    variables["weight"] = (dims, weight[None], {"long_name": "spectral weight"})
    coords = {
        "layer": [name],
        "probe": np.arange(effort.probes),
        "step": np.arange(effort.steps),
    }
    return results.dataset("layer_spectra", variables, coords, operator=block.label, seed=seed)


def _ends(block: Operator, tolerance: float, seed: int) -> xr.Dataset:
    """Both ends, converged or not."""
    count = min(2, block.size)
    try:
        return eigenpairs(block, count=count, which="both", tolerance=tolerance, seed=seed)
    except NotConverged as error:
        if not isinstance(error.result, xr.Dataset):
            raise
        return error.result


def _trace(block: Operator, effort: Effort, seed: int) -> tuple[float, float, int]:
    """The trace, its standard error and the products it took; exact where that is no dearer."""
    if block.size <= effort.trace_products:
        entries = without_autocast(diagonal_estimate)(block, probes=max(2, block.size))
        return float(entries.diagonal.sum()), 0.0, entries.products
    found = trace(block, tolerance=effort.accuracy, max_products=effort.trace_products, seed=seed)
    return float(found["trace"]), float(found["standard_error"]), int(found.attrs["products"])


def _padded(
    rules: Sequence[Quadrature], steps: int
) -> tuple[Float64[np.ndarray, "probe step"], Float64[np.ndarray, "probe step"]]:
    """Rules of one length: the last node repeated, with no weight."""
    short = (0, steps - len(rules[0].node))
    node = np.stack([np.pad(r.node, short, mode="edge") for r in rules])
    return node, np.stack([np.pad(r.weight, short) for r in rules])
