"""The norm of every example's gradient."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import xarray as xr
from jaxtyping import Shaped
from torch import Tensor

from theodolite import results
from theodolite.engines.example_gradients import Way
from theodolite.errors import InvalidArgument
from theodolite.linalg.precision import without_autocast
from theodolite.noise.arguments import point_of
from theodolite.noise.moments import moments
from theodolite.noise.noise_scale import told
from theodolite.objective import Objective

Method = Literal["auto", "vmap", "loop"]


def example_gradient_norms(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    method: Method = "auto",
) -> xr.Dataset:
    r"""The squared norm of the gradient of each example, by parameter tensor.

    .. math:: \|g_i\|^2 = \sum_{t} \|g_{i, t}\|^2, \qquad g_i = \nabla_\theta \ell_i

    with :math:`\ell_i` as in ``objective.losses``, an example's mean loss.

    Parameters
    ----------
    objective
        Any but one shared by processes, in training mode, or with recomputed BatchNorm.
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    method
        ``"auto"``: ghost norms, from a layer's inputs and output gradients, for linear,
        convolution, embedding and normalization layers and tables added to all examples alike;
        vmap for other tensors, and then for all where that takes fewer multiplications; one
        example at a time where vmap cannot go. ``"vmap"`` and ``"loop"`` begin there.

    Returns
    -------
    xarray.Dataset
        ``squared_norm(example, tensor)``, float64, zero where an example does not count, and
        ``way(tensor)``; attrs ``ways_reasons`` says why a tensor went a slower way.

    Notes
    -----
    A gradient (3 F); 2 F and the products of factors by ghost norms; 3 F more where any tensor
    goes by vmap, at most 2^24 numbers of gradients at once; as many small passes as examples in a
    loop. Gradients are never stored. Every way is compared with two examples by themselves in
    each size of batch, and all must add up to the gradient of the whole: a rule that does not
    hold, as for a weight that is used outside its layer, is dropped for that tensor. Tied
    weights and weights used at many positions or calls are exact.

    Raises `InvalidArgument`, `UnsupportedModel` (E-Y01 to E-Y09, E-Y18), E-Y12 for another method.

    References
    ----------
    Goodfellow (2015), arXiv:1510.01799. Rochette, Manoel, Tramel (2019), arXiv:1912.06015
    (convolutions). Li, Tramer, Liang, Hashimoto (2022), arXiv:2110.05679 (sequences).

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0], [1.0]])
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> objective = td.Objective(model, torch.nn.MSELoss(), (x, y))
    >>> found = example_gradient_norms(objective, theta=torch.zeros(2))
    >>> found.squared_norm.values.tolist(), found.way.values.tolist()  # (-2, 0) and (0, -4)
    ([[4.0], [16.0]], ['ghost'])
    """
    if method not in get_args(Method):
        raise InvalidArgument(
            f"method must be one of {', '.join(map(repr, get_args(Method)))}; got {method!r}.",
            code="E-Y12",
        )
    point = point_of(objective, theta)
    way: Way = method
    found = without_autocast(moments)(objective, point, way=way)
    names = list(objective.space.names)
    return results.dataset(
        "example_gradient_norms",
        {
            "squared_norm": (
                ("example", "tensor"),
                found.squares.cpu().numpy(),
                {"long_name": "squared norm of an example's gradient"},
            ),
            "way": (
                ("tensor",),
                [found.ways[name] for name in names],
                {"long_name": "how the norms were found"},
            ),
        },
        {"example": np.arange(found.examples), "tensor": names},
        **objective.facts(),
        **told(found),
        theta_norm=float(point.double().norm()),
        method=method,
    )
