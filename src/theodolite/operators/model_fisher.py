"""The Fisher matrix: the second moment of scores under labels of the model itself."""

from __future__ import annotations

from jaxtyping import Shaped
from torch import Tensor

from theodolite.engines.fisher_parts import Draw, drawn, kind_of
from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator
from theodolite.objective import Objective
from theodolite.operators.products import operator, semidefinite


def fisher(
    objective: Objective,
    theta: Shaped[Tensor, " params"] | None = None,
    *,
    draw: Draw | None = None,
    draws: int = 1,
    seed: int = 0,
    engine: str = "auto",
    memory_budget: int | None = None,
    verify: bool = True,
) -> Operator:
    r"""The Fisher information matrix of a model's own distribution of labels, as an operator.

    .. math:: F = \sum_i \frac{w_i}{\sum_j w_j} \; \mathbb E_{y \sim p_\theta(y \mid x_i)}
              \big[\nabla_\theta \log p_\theta(y \mid x_i) \,
              \nabla_\theta \log p_\theta(y \mid x_i)^\top\big]

    Exact, without a sample, for ``CrossEntropyLoss``, ``BCEWithLogitsLoss``, ``MSELoss`` (the
    Gaussian whose negative log likelihood it is) and ``PoissonNLLLoss`` of log rates, where it
    equals the `ggn`, and for ``NLLLoss`` of log-probabilities, where the GGN is zero. Each element
    that has a label (token, pixel, output) counts as an observation of its own.

    Parameters
    ----------
    objective
        Any whose loss is a function of outputs and targets.
    theta, memory_budget, verify
        As for `hessian`.
    draw
        ``draw(outputs, generator) -> targets`` for other losses: labels from the distribution
        whose negative log likelihood the loss of an example is, in shape and dtype of the data's.
        The matrix is then a sample, ``draws`` labels an example; an example is one observation.
    draws, seed
        Labels an example, and where they come from; the same at every product.
    engine
        As for `ggn`.

    Returns
    -------
    Operator
        As from `hessian`; positive semidefinite.

    Notes
    -----
    Cost of a `ggn` product, with `draw` of ``draws`` empirical Fisher products. A drawn matrix
    has a rank of at most ``draws`` times the number of examples, and its error is that of a mean
    over them. Not checked: that `draw` and the loss belong together.

    Raises `UnsupportedModel` where the loss is none of the above and `draw` is missing (E-D35),
    `InvalidData` for labels unlike the data's (E-D34).

    References
    ----------
    Amari (1998), Neural Computation 10. Martens (2020), JMLR 21 (when it is the GGN).
    Kunstner, Hennig, Balles (2019), arXiv:1905.12558.

    Examples
    --------
    >>> import torch, theodolite as td
    >>> x, y = torch.tensor([[2.0]]), torch.tensor([[1.0]])
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> at = torch.zeros(1)  # p = 1/2: x² p (1 - p)
    >>> td.fisher(td.Objective(model, torch.nn.BCEWithLogitsLoss(), (x, y)), at).dense()
    tensor([[1.]])
    """
    if draws < 1:
        raise InvalidArgument(f"draws must be at least 1; got {draws}.", code="E-D36")
    kind = kind_of(objective.terms) if draw is None else drawn(draw, draws, seed)
    made = semidefinite(operator(kind, objective, theta, engine, memory_budget, verify))
    assert isinstance(made.facts, dict)
    made.facts.update(
        {"labels": "exact"}
        if draw is None
        else {"labels": "drawn", "draws": draws, "label_seed": seed}
    )
    return made
