"""Directions in which training goes: down the gradient, and as Adam's next step."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from theodolite.directions.moments import Moments, moments_of
from theodolite.directions.normalize import normalized
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective


def gradient_direction(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    normalize: str | None = None,
) -> Float[Tensor, " params"]:
    r"""Minus the gradient: where one step of gradient descent goes.

    .. math:: d = -\nabla L(\theta)

    Parameters
    ----------
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    normalize
        ``None``: as it is, so that alpha is a learning rate. ``"model"``: with the norm of theta.
        ``"filter"`` or ``"layer"``: with the norms of theta's filters or layers, biases and
        normalization layers at rest; the loss still falls along it, but it is no longer the
        gradient.

    Returns
    -------
    Tensor
        Shape ``(params,)``, in the dtype of points.

    Raises
    ------
    InvalidArgument
        Where the gradient is zero (E-V07), or for another `normalize` (E-G08).
    InvalidArgument, NotFinite, UnsupportedModel
        What `Objective.gradient` raises, among them for recomputed BatchNorm statistics.

    Notes
    -----
    One gradient over all data, about 3 forward passes. Not checked: that the gradient stands out
    from its noise over examples.

    Examples
    --------
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> objective = Objective(model, torch.nn.MSELoss(), (torch.ones(2, 1), torch.zeros(2, 1)))
    >>> gradient_direction(objective, theta=torch.tensor([3.0])).tolist()  # the loss is theta^2
    [-6.0]
    """
    point = objective.start if theta is None else theta
    step = -objective.gradient(point)
    if not bool(step.any()):
        raise InvalidArgument(
            "the gradient is zero at theta: there is no way down.",
            why="theta is a critical point, or the loss is flat there.",
            fix="use eigenvector_directions, or another theta.",
            code="E-V07",
        )
    return step if normalize is None else normalized(step, point, objective.space, normalize)


def adam_direction(
    objective: Objective,
    optimizer: Any = None,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    names: list[str] | tuple[str, ...] | None = None,
    normalize: str | None = None,
) -> Float[Tensor, " params"]:
    r"""The next step of Adam at theta, for a learning rate of one.

    .. math:: m' = \beta_1 m + (1-\beta_1)\,g,\quad v' = \beta_2 v + (1-\beta_2)\,g^2,\qquad
        d = -\frac{m'/(1-\beta_1^{t+1})}{\sqrt{v'/(1-\beta_2^{t+1})} + \epsilon}

    with :math:`g = \nabla L(\theta)` over all data and the moments :math:`m, v` after `t` steps.

    Parameters
    ----------
    optimizer
        A ``torch.optim.Adam`` or ``AdamW`` of the objective's own model, its ``state_dict()``, a
        tuple ``(exp_avg, exp_avg_sq, steps)`` of flat tensors (or tensors by name) and the number
        of steps taken, or ``None``: the first step, close to the sign of the gradient. Weight
        decay, AMSGrad, ``maximize`` and several groups count as torch counts them; where groups
        differ in their learning rates, one is the largest.
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    names
        For a ``state_dict()``: the names of its parameters, in its order. Not needed where the
        optimizer was given names, or one group of ``model.parameters()`` (all, or those that
        train).
    normalize
        As for `gradient_direction`.

    Returns
    -------
    Tensor
        Shape ``(params,)``, in the dtype of points. What the optimizer does not hold stays at
        rest.

    Raises
    ------
    InvalidArgument
        For a step of zero (E-V07), or a state that is not Adam's or does not belong to these
        parameters (E-V08).

    Notes
    -----
    One gradient, about 3 forward passes, and four vectors. The optimizer is read, never stepped.
    Training takes its gradients from batches and this one from all data, so it is the step that
    training would take without noise.

    References
    ----------
    Kingma, Ba (2015), arXiv:1412.6980. Loshchilov, Hutter (2019), arXiv:1711.05101 (AdamW).

    Examples
    --------
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> objective = Objective(model, torch.nn.MSELoss(), (torch.ones(2, 1), torch.zeros(2, 1)))
    >>> adam_direction(objective, theta=torch.tensor([3.0])).round(decimals=5).tolist()
    [-1.0]
    """
    point = objective.start if theta is None else theta
    gradient = objective.gradient(point)
    step = torch.zeros_like(gradient)
    pieces = objective.space.views(gradient), objective.space.views(point.to(gradient))
    into = objective.space.views(step)
    for name, held in moments_of(objective, optimizer, names).items():
        into[name].copy_(_step(pieces[0][name], pieces[1][name], held))
    if not bool(step.any()):
        raise InvalidArgument(
            "Adam's step is zero at theta: there is nowhere to go along it.",
            why="the gradient and the moments are zero.",
            fix="use another theta.",
            code="E-V07",
        )
    return step if normalize is None else normalized(step, point, objective.space, normalize)


def _step(gradient: Tensor, weight: Tensor, held: Moments) -> Tensor:
    """The step of one tensor, in torch's order of operations."""
    first, second = held.beta_first, held.beta_second
    g = -gradient if held.maximize else gradient
    if held.weight_decay and not held.decoupled:
        g = g + held.weight_decay * weight
    mean = held.mean.to(g).reshape(g.shape)
    square = held.square.to(g).reshape(g.shape)
    t = held.steps + 1
    mean = first * mean + (1 - first) * g
    square = second * square + (1 - second) * g * g
    if held.largest is not None:
        square = torch.maximum(square, held.largest.to(g).reshape(g.shape))
    step = -(mean / (1 - first**t)) / ((square / (1 - second**t)).sqrt() + held.epsilon)
    if held.weight_decay and held.decoupled:
        step = step - held.weight_decay * weight
    return step * held.rate
