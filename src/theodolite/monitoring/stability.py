"""The largest curvature at which an optimizer's update is stable, read from the optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from theodolite.curvature.thresholds import stability_threshold
from theodolite.errors import InvalidArgument
from theodolite.parameters import ParameterSpace

REST = 1e30
"""The unit of a coordinate that the optimizer does not move: no curvature there matters."""


@dataclass(frozen=True, eq=False)
class Stability:
    r"""What decides whether an update rule is stable on a quadratic.

    It is stable where :math:`\lambda_{\max}(P^{-1/2} (H + W) P^{-1/2})` is below ``threshold``,
    with ``units`` the diagonal of P (None: the identity) and ``decay`` that of W, or its only
    value.
    """

    rule: str
    threshold: float
    learning_rate: float
    units: Tensor | None = None
    decay: Tensor | float = 0.0


Held = list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]
"""Name of a parameter, its group's settings, its state."""


def stability(optimizer: Any, model: nn.Module, space: ParameterSpace) -> Stability:
    r"""The stability threshold of an optimizer's next update, learning rates held still.

    .. math::

        \frac{2}{\eta}, \qquad \frac{2+2\beta}{\eta}, \qquad \frac{2+2\beta}{\eta(1+2\beta)},
        \qquad \frac{(1+\beta_1)(2-\eta w)}{(1-\beta_1)\,\eta}

    for gradient descent, Polyak's and Nesterov's momentum, and Adam with decoupled weight decay
    `w`, in whose units :math:`P = (1-\beta_1^t)(\sqrt{\hat v} + \epsilon)` the Hessian is seen.

    Parameters
    ----------
    optimizer
        ``torch.optim.SGD``, ``Adam``, ``AdamW`` or ``RMSprop``, or a wrapper that holds one as
        ``.optimizer`` (Lightning, Accelerate). Read, never written.
    model, space
        The module whose parameters it holds, and their coordinates.

    Notes
    -----
    Groups with different learning rates :math:`\eta_g` are exact: P is multiplied by
    :math:`\max \eta / \eta_g`. So is weight decay that is part of the gradient (W), and dampening.
    Where decoupled weight decay differs between groups the smallest threshold is taken, a
    relative error of :math:`\eta w / 2`. Parameters the optimizer does not hold, or has no state
    of, are at rest. Costs no pass over the data and two vectors.

    Not seen: clipping of gradients, schedules, and the movement of P, which in training adapts.
    Below the threshold a quadratic converges; a network's own loss can do anything.

    Raises `InvalidArgument` where no threshold is known: another optimizer (E-M10), momenta that
    differ between groups (E-M11), a learning rate of zero (E-M12), no update made yet (E-M13), an
    optimizer of other parameters (E-M14).

    References
    ----------
    Polyak (1964). Cohen et al. (2021), arXiv:2103.00065; (2022), arXiv:2207.14484.

    Examples
    --------
    >>> from torch import nn
    >>> model = nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    >>> found = stability(optimizer, model, ParameterSpace.from_model(model))
    >>> found.rule, round(found.threshold, 6)  # (2 + 1.8) / 0.5
    ('heavy ball', 7.6)
    """
    inner = unwrapped(optimizer)
    rules = {
        torch.optim.SGD: _sgd,
        torch.optim.Adam: _adam,
        torch.optim.AdamW: _adam,
        torch.optim.RMSprop: _rmsprop,
    }
    rule = rules.get(type(inner))
    if rule is None:
        raise InvalidArgument(
            f"no stability threshold is known for {type(inner).__name__}.",
            where="optimizer",
            fix="the curvature itself is measured all the same.",
            code="E-M10",
        )
    held = _held(inner, model, space)
    groups = [group for _, group, _ in held]
    if any(group.get("maximize") for group in groups):
        raise InvalidArgument(
            "the optimizer maximizes: there is no stable curvature.",
            where="optimizer",
            fix="the curvature itself is measured all the same.",
            code="E-M10",
        )
    if not max(float(group["lr"]) for group in groups) > 0:
        raise InvalidArgument(
            "the learning rate is 0, so no step is unstable.",
            where="optimizer",
            fix="the curvature itself is measured all the same.",
            code="E-M12",
        )
    return rule(held, space)


def unwrapped(optimizer: Any) -> Any:
    """The torch optimizer inside the wrappers that trainers put around it."""
    while not type(optimizer).__module__.startswith("torch.optim"):
        inner = getattr(optimizer, "optimizer", None)
        if inner is None:
            return optimizer
        optimizer = inner
    return optimizer


def _held(optimizer: Any, model: nn.Module, space: ParameterSpace) -> Held:
    """The trainable parameters that the optimizer holds, recognized by being the model's own."""
    own = {id(p): n for n, p in model.named_parameters(remove_duplicate=False)}
    known = {n: e.name for e in space.entries for n in (e.name, *e.aliases)}
    found: dict[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = known.get(own.get(id(parameter), ""))
            if name is not None:
                found.setdefault(name, (name, group, optimizer.state.get(parameter, {})))
    if not found:
        raise InvalidArgument(
            "the optimizer holds none of the parameters of the objective's model.",
            where="optimizer",
            fix="build the objective from the very model that is trained.",
            code="E-M14",
        )
    return list(found.values())


def _sgd(held: Held, space: ParameterSpace) -> Stability:
    momentum, nesterov = _same(held, "momentum"), _same(held, "nesterov")
    rates = {
        n: float(g["lr"]) * (1 - (float(g["dampening"]) if momentum else 0.0)) for n, g, _ in held
    }
    eta = max(rates.values())
    units = {n: _number(eta / rate if rate > 0 else REST) for n, rate in rates.items()}
    limit = stability_threshold(eta, momentum=momentum, nesterov=nesterov)
    name = "Nesterov" if nesterov else "heavy ball" if momentum else "gradient descent"
    return _made(name, limit, eta, held, space, units, coupled=True)


def _adam(held: Held, space: ParameterSpace) -> Stability:
    beta = float(_same(held, "betas", 0))
    eta = max(float(g["lr"]) for _, g, _ in held)
    decoupled = any(g.get("decoupled_weight_decay", False) for _, g, _ in held)
    shrink = max(float(g["lr"]) * float(g["weight_decay"]) for _, g, _ in held)
    name = "AdamW" if decoupled and shrink else "Adam"
    units = {n: _adam_units(group, state, eta) for n, group, state in held}
    limit = (1 + beta) * (2 - (shrink if decoupled else 0.0)) / ((1 - beta) * eta)
    return _made(name, limit, eta, held, space, units, coupled=not decoupled)


def _adam_units(group: Mapping[str, Any], state: Mapping[str, Any], eta: float) -> Tensor:
    if "exp_avg_sq" not in state or not float(group["lr"]) > 0:
        return _number(REST)
    first, second = (1 - float(b) ** float(state["step"]) for b in group["betas"])
    square = state["max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"]
    size = (square.detach().double() / second).sqrt() + float(group["eps"])
    scaled: Tensor = size * (first * eta / float(group["lr"]))
    return scaled


def _rmsprop(held: Held, space: ParameterSpace) -> Stability:
    momentum = _same(held, "momentum")
    eta = max(float(g["lr"]) for _, g, _ in held)
    units = {}
    for name, group, state in held:
        units[name] = _number(REST)
        if "square_avg" in state and float(group["lr"]) > 0:
            square = state["square_avg"].detach().double()
            if group["centered"]:
                square = square - state["grad_avg"].detach().double() ** 2
            size = square.clamp(min=0).sqrt() + float(group["eps"])
            units[name] = size * (eta / float(group["lr"]))
    return _made("RMSprop", (2 + 2 * momentum) / eta, eta, held, space, units, coupled=True)


def _made(
    name: str,
    limit: float,
    eta: float,
    held: Held,
    space: ParameterSpace,
    units: Mapping[str, Tensor],
    *,
    coupled: bool,
) -> Stability:
    """The diagonals as flat vectors, or as numbers where they are constant."""
    if all(bool((u == REST).all()) for u in units.values()):
        raise InvalidArgument(
            "the optimizer has made no update yet, so its units are not known.",
            where="optimizer",
            fix="the curvature itself is measured all the same.",
            code="E-M13",
        )
    diagonal = _flat(space, units, REST)
    decays = {n: _number(float(g["weight_decay"])) for n, g, _ in held}
    decay = _flat(space, decays, 0.0) if coupled else torch.zeros(1, dtype=torch.float64)
    plain = bool((diagonal == 1).all())
    constant = bool((decay == decay[0]).all())
    return Stability(
        name, limit, eta, None if plain else diagonal, float(decay[0]) if constant else decay
    )


def _flat(space: ParameterSpace, named: Mapping[str, Tensor], otherwise: float) -> Tensor:
    """Numbers or tensors by name as one float64 vector."""
    rest = _number(otherwise)
    parts = [
        named.get(e.name, rest).double().cpu().expand(e.shape).reshape(-1) for e in space.entries
    ]
    return torch.cat(parts)


def _number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, device="cpu")


def _same(held: Held, key: str, place: int | None = None) -> Any:
    """A setting that all groups share."""
    values = {g[key] if place is None else g[key][place] for _, g, _ in held}
    if len(values) > 1:
        shown = ", ".join(map(str, sorted(map(float, values))))
        raise InvalidArgument(
            f"{key} differs between the optimizer's groups ({shown}), for which no threshold is "
            "known.",
            where="optimizer",
            fix="the curvature itself is measured all the same.",
            code="E-M11",
        )
    found = values.pop()
    return found if isinstance(found, bool) else float(found)
