"""Dinh's rescaling: other parameters, the same network."""

from __future__ import annotations

import itertools
import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.parameters import Entry
from theodolite.sharpness.arguments import point_of

LAYERS = ("linear", "linear_transposed", "conv", "conv_transpose")
"""Layers whose output is in proportion to weight and bias."""

ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Change of the losses, relative to their mean size, up to which they count as unchanged."""


def layer_rescaling(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    factor: float | int,
    layers: tuple[str, str] | None = None,
) -> Float[Tensor, " params"]:
    r"""Parameters with one layer times a factor and the next over it: the same network.

    .. math:: (W_1, b_1, W_2) \mapsto (c\,W_1, c\,b_1, W_2 / c), \qquad
        f(x) = W_2\,\phi(W_1 x + b_1) + b_2, \quad \phi(c\,z) = c\,\phi(z)

    Parameters
    ----------
    theta
        The point to rescale, shape ``(params,)``; by default ``objective.start``.
    factor
        Positive and not 1.
    layers
        The names of the two layers; by default the first two neighbors that allow it.

    Returns
    -------
    Tensor
        Shape ``(params,)``: another point with the same loss for every example.

    Notes
    -----
    Costs 2 F a pair tried and 1 F. Which functions lie between two layers is not read from the
    model but found out: all losses must stay as they are (to 1e-9 of their mean size in float64,
    1e-4 in float32) with both layers scaled, and must not with the first alone. So ReLU, leaky
    ReLU, pooling, flattening and dropout are passed; tanh, GELU and normalizations are not.
    Measures that change between theta and the result (the largest eigenvalue, the trace,
    SAM's rise) cannot by themselves explain how the network generalizes. Not checked: that the
    networks agree off the data.

    Raises `InvalidArgument` for a factor that is not positive or is 1 (E-H27), layers that are not
    there (E-H28), and where no two layers allow it (E-H29).

    References
    ----------
    Dinh, Pascanu, Bengio, Bengio (2017), arXiv:1703.04933.

    Examples
    --------
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Linear(1, 1, bias=False), torch.nn.ReLU(), torch.nn.Linear(1, 1, bias=False)
    ... )
    >>> objective = td.Objective(model, torch.nn.MSELoss(), (torch.ones(2, 1), torch.ones(2, 1)))
    >>> layer_rescaling(objective, theta=torch.tensor([3.0, 8.0]), factor=2).tolist()
    [6.0, 4.0]
    """
    if not (factor > 0 and math.isfinite(factor) and factor != 1):
        raise InvalidArgument(
            f"factor must be positive, finite and not 1; got {factor!r}.", code="E-H27"
        )
    point = point_of(objective, theta)
    before = objective.losses(point)
    for first, second in _pairs(objective, layers):
        alone = _scaled(objective, point, first, float(factor), bias=True)
        both = _scaled(objective, alone, second, 1 / float(factor), bias=False)
        if _same(before, objective.losses(both), point.dtype) and not _same(
            before, objective.losses(alone), point.dtype
        ):
            return both
    asked = "no two neighboring layers" if layers is None else f"{layers[0]!r}, {layers[1]!r}"
    raise InvalidArgument(
        f"{asked} can be rescaled: the losses change when one is multiplied by {factor:g} and "
        "the next divided by it.",
        why="between them lies a function that is not positively homogeneous (tanh, GELU, a "
        "normalization, a residual connection), or the first does not matter to the loss.",
        fix="pass layers=(first, second) with nothing but ReLU, pooling or flattening between.",
        code="E-H29",
    )


def _pairs(objective: Objective, layers: tuple[str, str] | None) -> list[tuple[str, str]]:
    """The pairs of layers to try, in the order of the model."""
    known = [e.layer for e in objective.space.entries if _is_weight(e)]
    if layers is None:
        return list(itertools.pairwise(known))
    for name in layers:
        if name not in known:
            raise InvalidArgument(
                f"layers must name two linear or convolution layers with weights that train; "
                f"got {name!r}.",
                fix=f"use two of {', '.join(map(repr, known)) or 'none'}.",
                code="E-H28",
            )
    return [layers]


def _is_weight(entry: Entry) -> bool:
    return entry.kind in LAYERS


def _scaled(
    objective: Objective, theta: Tensor, layer: str, factor: float, *, bias: bool
) -> Float[Tensor, " params"]:
    """`theta` with the weight of a layer, and its bias if asked, times a factor."""
    made = theta.clone()
    for e in objective.space.entries:
        if e.layer == layer and (_is_weight(e) or (bias and e.kind == "bias")):
            made[e.offset : e.stop] *= factor
    return made


def _same(a: Tensor, b: Tensor, dtype: torch.dtype) -> bool:
    """Whether losses are equal up to rounding."""
    allowed = ROUNDING.get(dtype, 1e-4) * (float(a.abs().mean()) or 1.0)
    return bool(((a - b).abs() <= allowed).all())
