"""The Hessian of an objective."""

from __future__ import annotations

from jaxtyping import Shaped
from torch import Tensor

from theodolite.engines.hessian_parts import HESSIAN
from theodolite.linalg.operator import Operator
from theodolite.objective import Objective
from theodolite.operators.products import operator


def hessian(
    objective: Objective,
    theta: Shaped[Tensor, " params"] | None = None,
    *,
    engine: str = "auto",
    memory_budget: int | None = None,
    verify: bool = True,
) -> Operator:
    r"""The Hessian of an objective at one point, as an operator.

    .. math:: H_{ij} = \frac{\partial^2 L}{\partial\theta_i\,\partial\theta_j}(\theta)

    Parameters
    ----------
    objective
        The loss as a function of its parameters, over all its data and with its weights, so any
        split into batches gives the same matrix.
    theta
        Where, shape ``(params,)``; default ``objective.start``. Copied.
    engine
        ``"kept"``: double backward through graphs kept in memory. ``"recompute"``: the same,
        graphs made anew at every product. ``"forward_over_reverse"``: ``jvp`` of the gradient.
        ``"linearize"``: the operations of one forward-mode pass that see a tangent, recorded once
        and replayed. ``"differences"``: central differences of gradients in float64. ``"auto"``
        keeps graphs as far as they fit and makes the others anew, or takes a candidate that one
        batch shows to be faster and to agree: at the first product, and after some more where
        linear programs fit beside the graphs.
    memory_budget
        Bytes for kept graphs; default 30 % of free memory and at most 2 GiB. Batches whose graphs
        do not fit are recomputed.
    verify
        At the first product, compare one product with differences of gradients at several steps,
        on at most 64 examples in float64.

    Returns
    -------
    Operator
        ``matvec`` and ``matmat`` in the dtype of `theta` (vectors are cast to it). ``facts`` hold
        the engine, times of candidates, what was verified, unused parameters and the number of
        products so far.

    Notes
    -----
    In forward passes over the data (F): 6 a product on kept graphs, after 3 to make them; 9 when
    recomputed or in forward mode; 12 by differences in float64. Verification costs 30 passes
    over 64 examples. With ``"auto"``, a loss whose second derivative is missing or not
    implemented (``once_differentiable``, hardsigmoid, cdist) is multiplied by differences, with a
    warning that names the parameters; other engines raise. Unused parameters give zeros, which
    the same check proves. A rectified network is differentiated as autograd does, kinks left
    out: ``facts["verification"]`` says where that matters. Which engine is fastest is a matter
    of clocks, and engines round differently: name one to repeat results bit for bit (it takes
    vectors one at a time). Checked on one sample in one direction only; `theodolite.certify`
    checks more.

    Raises `UnsupportedModel` for losses without derivatives, `NotFinite` for a product that is
    NaN or infinite, naming the first such parameter.

    References
    ----------
    Pearlmutter (1994), Neural Computation 6.

    Examples
    --------
    >>> import torch, theodolite as td
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> td.hessian(td.Objective(model, torch.nn.MSELoss(), (x, y))).dense()  # 2 X'X / N
    tensor([[1., 0.],
            [0., 4.]])
    """
    return operator(HESSIAN, objective, theta, engine, memory_budget, verify)
