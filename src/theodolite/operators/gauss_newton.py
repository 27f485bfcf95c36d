"""The generalized Gauss-Newton matrix of an objective."""

from __future__ import annotations

import warnings

from jaxtyping import Shaped
from torch import Tensor

from theodolite.engines.gauss_newton_parts import GAUSS_NEWTON
from theodolite.errors import TheodoliteWarning, UnsupportedModel
from theodolite.linalg.operator import Operator
from theodolite.objective import Objective
from theodolite.objective.rules import ModelLoss
from theodolite.operators.products import operator, semidefinite


def ggn(
    objective: Objective,
    theta: Shaped[Tensor, " params"] | None = None,
    *,
    engine: str = "auto",
    memory_budget: int | None = None,
    verify: bool = True,
) -> Operator:
    r"""The generalized Gauss-Newton matrix of an objective at one point, as an operator.

    .. math:: G = \sum_i \frac{w_i}{\sum_j w_j} J_i^\top \, \nabla^2_f \ell(f_i, y_i) \, J_i,
        \qquad J_i = \partial f_\theta(x_i) / \partial \theta

    The Hessian without the curvature of the model itself: positive semidefinite where the loss
    is convex in the outputs, equal to the Hessian where the model is linear in its parameters,
    and to the Fisher matrix for cross entropy and squared error.

    Parameters
    ----------
    objective
        Made from a model and a loss of its outputs. The loss's second derivative is taken by
        automatic differentiation, so any torch loss will do, also one that couples examples.
    theta, memory_budget, verify
        As for `hessian`.
    engine
        ``"kept"``: tangents by double backward through a kept graph. ``"recompute"``: the same,
        made anew at every product. ``"forward"``: tangents in forward mode, the graph of the
        outputs kept where it fits. ``"linearize"``: tangents by a recorded linear program.
        ``"differences"``: tangents and loss by central differences in float64. ``"auto"``: as for
        `hessian`.

    Returns
    -------
    Operator
        As from `hessian`.

    Notes
    -----
    In forward passes (F): 4 a product on kept graphs, 5 in forward mode. A loss that is linear
    in the outputs (`NLLLoss` of log-probabilities, absolute error) makes the matrix zero, with a
    warning. Not checked: that the loss is convex, though ``facts["positive_semidefinite"]`` says
    what is true only then.

    Raises `UnsupportedModel` for objectives made by ``Objective.from_batch_loss``, whose outputs
    are not known.

    References
    ----------
    Schraudolph (2002), Neural Computation 14. Martens (2020), JMLR 21(146).

    Examples
    --------
    >>> import torch, theodolite as td
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> td.ggn(td.Objective(model, torch.nn.MSELoss(), (x, y))).dense()  # 2 X'X / N
    tensor([[1., 0.],
            [0., 4.]])
    """
    if not isinstance(objective.terms, ModelLoss):
        raise UnsupportedModel(
            "the Gauss-Newton matrix needs the model's outputs and a loss of them; this objective "
            "was made by Objective.from_batch_loss, which hides both.",
            fix="build it as Objective(model, loss, data), with loss(outputs, targets).",
            code="E-D20",
        )
    made = operator(GAUSS_NEWTON, objective, theta, engine, memory_budget, verify, _tell_zero)
    return semidefinite(made)


def _tell_zero(rows: Tensor, products: Tensor) -> None:
    if bool((rows != 0).any()) and not bool((products != 0).any()):
        warnings.warn(
            "the Gauss-Newton product is zero: the loss is linear in the model's outputs, as "
            "NLLLoss is in log-probabilities (give the model's logits to CrossEntropyLoss), or no "
            "output moves with the parameters at this point. [E-D21]",
            TheodoliteWarning,
            stacklevel=2,
        )
