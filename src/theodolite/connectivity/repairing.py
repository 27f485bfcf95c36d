"""Units of a merged network set to the mean and spread that they have in the networks merged."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from theodolite import results
from theodolite.connectivity.arguments import share as checked_share
from theodolite.connectivity.ends import End, end_of
from theodolite.connectivity.holding import with_statistics
from theodolite.connectivity.producers import Producer, moments, producers_of
from theodolite.connectivity.rescaling import rescale, rescale_norm
from theodolite.errors import InvalidArgument, TheodoliteWarning, UnsupportedModel
from theodolite.objective import Objective
from theodolite.objective.statistics import Moments


def repair(
    objective: Objective, theta: Any, a: Any, b: Any, *, share: float = 0.5
) -> dict[str, Tensor]:
    r"""The network `theta`, merged of `a` and `b`, with units as spread as theirs (REPAIR).

    .. math:: W'_i = \frac{\sigma_i^*}{\sigma_i} W_i, \qquad
        b'_i = \frac{\sigma_i^*}{\sigma_i} (b_i - \mu_i) + \mu_i^*, \qquad
        \mu_i^* = (1 - \alpha)\mu_i^a + \alpha\mu_i^b, \quad
        \sigma_i^* = (1 - \alpha)\sigma_i^a + \alpha\sigma_i^b

    Averaged units cancel each other where they differ, so activations of a merged network hardly
    vary (variance collapse). Each linear and convolutional layer, in the order of a forward pass,
    is rescaled so that the mean and standard deviation of every unit of its output over the data
    are those between the ends. BatchNorm layers, and with them the layers before them, get the
    statistics of their input and the weight and bias that give the same. No module is added: the
    result is a state dict of the objective's own model.

    Parameters
    ----------
    theta
        The merged network: a flat tensor or a state dict.
    a, b
        The networks that were merged, their units in one order (see `match`).
    share
        Where between them `theta` lies: the :math:`\alpha` of the formula.

    Returns
    -------
    dict
        The state dict, as ``model.load_state_dict`` takes it.

    Raises
    ------
    InvalidArgument
        For a share out of range (E-A02), or a model without layers to rescale (E-A62).
    UnsupportedModel
        For an objective in training mode, or shared by processes (E-A63).

    Notes
    -----
    Costs three passes and, for every layer, one that ends there; holds moments only. A warning
    (E-A61) names the layers that were left as they are and why: they run several times, share
    weights, are frozen or computed from others, or were used without their forward (attention of
    torch); and those without a bias, whose units are scaled and not shifted. A unit that is
    constant is shifted alone. Units are rescaled one by one: correlations between them are not
    repaired. `variance_collapse` measures what it does. Measured on the objective's data, in the
    objective's eval mode; statistics of the ends are their own, or recomputed ones where the
    objective recomputes.

    References
    ----------
    Jordan, Sedghi, Saukh, Entezari, Neyshabur (2023), arXiv:2211.08403.

    Examples
    --------
    >>> net = torch.nn.Linear(1, 1)
    >>> objective = Objective(net, torch.nn.MSELoss(), (torch.tensor([[-1.0], [1.0]]),) * 2)
    >>> a, b = torch.tensor([2.0, 1.0]), torch.tensor([-2.0, 3.0])  # weight and bias
    >>> fixed = repair(objective, 0.5 * (a + b) + torch.tensor([0.5, 0.0]), a, b)
    >>> fixed["weight"].tolist(), fixed["bias"].tolist()
    ([[2.0]], [2.0])
    """
    checked_share(share, "share")
    target, ends, layers = _prepared(objective, theta, (a, b))
    usable = [p for p in layers if not p.left]
    _tell(layers)
    if not usable:
        raise InvalidArgument(
            "the model has no linear, convolutional or BatchNorm layer that can be rescaled.",
            where="repair",
            code="E-A62",
        )
    wanted = [moments(objective, end, [p.layer for p in usable]) for end in ends]
    theta_now, statistics = target.theta.clone(), dict(target.statistics)
    views = objective.space.views(theta_now)
    for producer in usable:
        one, other = (of_end[producer.layer] for of_end in wanted)
        aim = _between(one, other, share)
        normalizes = isinstance(producer.layer, _BatchNorm)
        here = moments(
            objective,
            End(theta_now, statistics),
            [producer.layer],
            inputs=normalizes,
            stop=True,
        )[producer.layer]
        if normalizes:
            statistics |= rescale_norm(producer, views, _spread(here), aim)
        else:
            rescale(producer, views, _spread(here), aim)
    return _state(objective, theta_now, statistics)


def variance_collapse(objective: Objective, theta: Any, a: Any, b: Any) -> xr.Dataset:
    r"""How much less the units of a merged network vary than those of the networks merged.

    .. math:: r_l = \frac{\sum_i \operatorname{var} z_{l,i}(\theta)}
        {\sum_i \tfrac12\bigl(\operatorname{var} z_{l,i}(\theta_a)
        + \operatorname{var} z_{l,i}(\theta_b)\bigr)}

    Parameters
    ----------
    theta, a, b
        The merged network and those merged, flat tensors or state dicts.

    Returns
    -------
    xarray.Dataset
        ``ratio(layer)`` over the outputs of linear, convolutional and BatchNorm layers, in the
        order of a forward pass: 1 for no collapse, NaN where the ends do not vary or a layer runs
        several times. After `repair` it is :math:`(\sigma^a + \sigma^b)^2 / 2((\sigma^a)^2 +
        (\sigma^b)^2)`, at most 1. A layer that a BatchNorm layer reads
        stands for nothing, and is left out.
        ``variance(layer)`` and ``ends_variance(layer)``, their sums over units.

    Raises
    ------
    UnsupportedModel
        For an objective in training mode, or shared by processes (E-A63).

    Notes
    -----
    Costs three passes over the data; holds moments only. Without an interval: variances over
    examples of a large sample are not what is uncertain here.

    References
    ----------
    Jordan, Sedghi, Saukh, Entezari, Neyshabur (2023), arXiv:2211.08403.

    Examples
    --------
    >>> net = torch.nn.Linear(1, 1, bias=False)
    >>> objective = Objective(net, torch.nn.MSELoss(), (torch.tensor([[-1.0], [1.0]]),) * 2)
    >>> a, b = torch.tensor([2.0]), torch.tensor([-1.0])
    >>> float(variance_collapse(objective, 0.5 * (a + b), a, b).ratio[0])  # 1/4 over 5/2
    0.1
    """
    target, ends, layers = _prepared(objective, theta, (a, b))
    ran = [p for p in layers if "never ran" not in p.left]
    found = [moments(objective, end, [p.layer for p in ran]) for end in (target, *ends)]
    sums = np.array([[float(_spread(f[p.layer])[1].square().sum()) for p in ran] for f in found])
    single = np.array(["times" not in p.left for p in ran])
    of_ends = np.where(single, sums[1:].mean(0), np.nan)
    ratio = np.divide(sums[0], of_ends, out=np.full(len(ran), np.nan), where=of_ends > 0)
    layer = {"layer": [p.name for p in ran]}
    told = "variance of the outputs, summed over units"
    return results.dataset(
        "variance_collapse",
        {
            "ratio": (("layer",), ratio, {"long_name": "variance over that of the ends"}),
            "variance": (("layer",), sums[0], {"long_name": told}),
            "ends_variance": (("layer",), of_ends, {"long_name": f"{told}, mean of the ends"}),
        },
        layer,
        **objective.facts(),
    )


def _prepared(
    objective: Objective, theta: Any, values: tuple[Any, Any]
) -> tuple[End, list[End], list[Producer]]:
    """The merged point and the ends with their statistics, and the layers in order."""
    if objective.mode == "train" or objective.ranks is not None:
        what = "in training mode" if objective.mode == "train" else "shared by processes"
        raise UnsupportedModel(
            f"units cannot be compared by an objective {what}.",
            where="repair",
            fix='build the objective with mode="eval" and without process_group.',
            code="E-A63",
        )
    named = zip(("theta", "a", "b"), (theta, *values), strict=True)
    points = [end_of(objective, value, name) for name, value in named]
    target, *ends = [with_statistics(objective, point) for point in points]
    return target, ends, producers_of(objective, target)


Units = tuple[Tensor, Tensor]
"""Means and standard deviations of a layer's units."""


def _spread(found: Moments) -> Units:
    assert found.mean is not None
    assert found.spread is not None
    return found.mean, (found.spread / found.count).sqrt()


def _between(a: Moments, b: Moments, share: float) -> Units:
    one, other = _spread(a), _spread(b)
    return torch.lerp(one[0], other[0], share), torch.lerp(one[1], other[1], share)


def _tell(layers: list[Producer]) -> None:
    """Name the layers that stay as they are, and those that are scaled only."""
    told = [f"{p.name or 'the model'} ({p.left or p.partly})" for p in layers if p.left or p.partly]
    if told:
        more = f" and {len(told) - 5} more" if len(told) > 5 else ""
        warnings.warn(
            TheodoliteWarning(
                f"repair could not set every unit of {', '.join(told[:5])}{more}. [E-A61]"
            ),
            stacklevel=3,
        )


def _state(
    objective: Objective, theta: Tensor, statistics: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """A state dict of the objective's model at a point, with these running statistics."""
    forward = objective.forward
    known = {**forward.fixed, **forward.pristine, **statistics}
    for entry, view in zip(
        objective.space.entries, objective.space.views(theta).values(), strict=True
    ):
        known |= {f"model.{name}": view for name in (entry.name, *entry.aliases)}
    made = {}
    for name, own in objective.model.state_dict().items():
        found = known.get(f"model.{name}", own)
        made[name] = found.detach().to(device=own.device, dtype=own.dtype, copy=True)
    return made
