"""The empirical Fisher matrix: the second moment of the gradients of single examples."""

from __future__ import annotations

from jaxtyping import Shaped
from torch import Tensor

from theodolite.engines.empirical_fisher_parts import EMPIRICAL_FISHER
from theodolite.linalg.operator import Operator
from theodolite.objective import Objective
from theodolite.operators.products import operator, semidefinite


def empirical_fisher(
    objective: Objective,
    theta: Shaped[Tensor, " params"] | None = None,
    *,
    engine: str = "auto",
    memory_budget: int | None = None,
    verify: bool = True,
) -> Operator:
    r"""The empirical Fisher matrix of an objective at one point, as an operator.

    .. math:: F = \sum_i \frac{w_i}{\sum_j w_j} \, g_i g_i^\top, \qquad g_i = \nabla_\theta \ell_i

    with :math:`\ell_i` as in ``objective.losses``. Its trace is the mean squared norm of the
    gradients. It is no Fisher matrix: labels are those of the data, not drawn from the model, so
    near a perfect fit it vanishes while the Fisher matrix (for cross entropy and squared error
    the `ggn`) need not.

    Parameters
    ----------
    objective
        Any whose loss is known by example.
    theta, memory_budget, verify
        As for `hessian`.
    engine
        ``"kept"``, ``"recompute"``, ``"forward"``, ``"linearize"``, ``"differences"`` or
        ``"auto"``, as for `ggn`.

    Returns
    -------
    Operator
        As from `hessian`; positive semidefinite.

    Notes
    -----
    In forward passes (F): 4 a product on kept graphs, 5 in forward mode; memory does not grow
    with the number of examples beyond that of the graphs. An objective whose loss is a sum has
    the sum over examples. A gradient here is that of an example's mean loss over its elements or
    tokens. Not checked: that a layer couples examples (BatchNorm in training mode), where the
    gradient of one example's loss reaches through the others.

    Raises `UnsupportedModel` for a ``batch_loss`` that returns one mean for the whole batch
    (E-D22).

    References
    ----------
    Kunstner, Hennig, Balles (2019), arXiv:1905.12558 (what it is not).

    Examples
    --------
    >>> import torch, theodolite as td
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0], [1.0]])
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> at = torch.zeros(2)  # gradients 2 (w'x - y) x are (-2, 0) and (0, -4)
    >>> td.empirical_fisher(td.Objective(model, torch.nn.MSELoss(), (x, y)), at).dense()
    tensor([[2., 0.],
            [0., 8.]])
    """
    made = operator(EMPIRICAL_FISHER, objective, theta, engine, memory_budget, verify)
    return semidefinite(made)
