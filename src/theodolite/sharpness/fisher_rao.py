"""The Fisher-Rao norm: the length of the parameters in the metric of the model."""

from __future__ import annotations

import math

import xarray as xr
from jaxtyping import Shaped
from torch import Tensor

from theodolite import results
from theodolite.objective import Objective
from theodolite.operators import empirical_fisher, fisher, ggn
from theodolite.sharpness.arguments import facts, one_of, point_of

MATRICES = {"fisher": fisher, "ggn": ggn, "empirical": empirical_fisher}
"""The metric by name."""


def fisher_rao_norm(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    matrix: str = "fisher",
    engine: str = "auto",
) -> xr.Dataset:
    r"""The Fisher-Rao norm of the parameters.

    .. math:: \|\theta\|_{fr}^2 = \theta^\top F(\theta)\,\theta

    Parameters
    ----------
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    matrix
        ``"fisher"``: labels from the model, exact for the losses `fisher` knows. ``"ggn"``: the
        Gauss-Newton matrix, for any loss. ``"empirical"``: the labels of the data.
    engine
        As for `ggn`.

    Returns
    -------
    xarray.Dataset
        ``fisher_rao_norm`` and ``squared``, its square. attrs: ``matrix``.

    Notes
    -----
    One product (4 F), without a sample: exact for these data. All parameters that train count,
    biases too. Unchanged by any smooth change of the parameters that acts on them as a linear map
    (layers rescaled, another basis), since the metric changes along. Says little about curvature
    around theta: it is the squared change of the outputs along theta itself.
    Raises `InvalidArgument` for another matrix (E-H14), and what the matrix's function raises.

    References
    ----------
    Liang, Poggio, Rakhlin, Stokes (2019), arXiv:1711.01530.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> bowl = td.Objective(model, torch.nn.MSELoss(), (x, y))  # F = diag(1, 4)
    >>> found = fisher_rao_norm(bowl, theta=torch.tensor([3.0, 2.0]))
    >>> round(float(found.fisher_rao_norm), 5)  # the root of 9 + 16
    5.0
    """
    one_of(tuple(MATRICES), matrix, "matrix")
    point = point_of(objective, theta)
    product = MATRICES[matrix](objective, point, engine=engine).matvec(point)
    squared = float(point.double() @ product.double())
    root = math.sqrt(squared) if squared >= 0 else math.nan
    return results.dataset(
        "fisher_rao_norm",
        {
            "fisher_rao_norm": ((), root, {"long_name": "Fisher-Rao norm"}),
            "squared": ((), squared, {"long_name": "squared Fisher-Rao norm"}),
        },
        **facts(objective, point, "fisher_rao_norm"),
        matrix=matrix,
        products=1,
    )
