"""Other points than the start, as flat vectors, and the directions that lead to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from theodolite.directions.normalize import check_finite
from theodolite.errors import InvalidArgument, InvalidType
from theodolite.objective import Objective

WRAPPERS = ("module.", "_orig_mod.")
"""What data-parallel and compiled wrappers put before every name of a state dict."""


def between(
    objective: Objective,
    checkpoints: Iterable[Any],
    *,
    theta: Any = None,
) -> Shaped[Tensor, "direction params"]:
    r"""Directions from a point to one or two others, not rescaled.

    .. math:: d_k = w_k - \theta

    so that checkpoint `k` lies at distance one along direction `k`. Through three minima:
    ``between(objective, [second, third], theta=first)``.

    Parameters
    ----------
    checkpoints
        One or two points: flat tensors of shape ``(params,)`` or state dicts. Files are read by
        ``theodolite.training.load_state``.
    theta
        Where the directions begin, a flat tensor or a state dict; by default ``objective.start``.

    Returns
    -------
    Tensor
        Shape ``(direction, params)``, in the widest dtype among the points, on the objective's
        device.

    Raises
    ------
    InvalidArgument
        For no checkpoint or more than two (E-V01), or one equal to `theta` (E-V02).
    InvalidType
        For anything but tensors and state dicts (E-V03).
    NotFinite
        For NaN or infinity in a point (E-G06).

    Notes
    -----
    Costs no pass. ``theta + d`` is the checkpoint up to the rounding of one difference. Only
    trainable parameters move: losses on the way are those of the objective's own buffers (running
    statistics of BatchNorm) and frozen parameters, see `left_behind`. Not checked: that two
    directions span a plane (`plane` refuses parallel ones), nor that points of other trainings
    lie in the same order of neurons.

    References
    ----------
    Goodfellow, Vinyals, Saxe (2014), arXiv:1412.6544 (a line from one point to another).

    Examples
    --------
    >>> data = torch.zeros(2, 1), torch.zeros(2, 1)
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> objective = Objective(model, torch.nn.MSELoss(), data)
    >>> between(objective, [torch.tensor([3.0])], theta=torch.tensor([1.0])).tolist()
    [[2.0]]
    """
    points = points_of(objective, checkpoints)
    if not 1 <= len(points) <= 2:
        raise InvalidArgument(
            f"checkpoints must be one or two points, an axis each; got {len(points)}.",
            fix="use plane_through(objective, points) for three or more.",
            code="E-V01",
        )
    start = point_of(objective, objective.start if theta is None else theta, "theta")
    start, *points = together([start, *points])
    made = torch.stack(points) - start
    for k, direction in enumerate(made):
        if not bool(direction.any()):
            raise InvalidArgument(
                f"checkpoints[{k}] is theta itself: no direction leads from one to the other.",
                fix="pass another checkpoint, or another theta=.",
                code="E-V02",
            )
    return made


def points_of(
    objective: Objective, values: Iterable[Any], name: str = "checkpoints"
) -> list[Tensor]:
    """Several points as flat vectors; a single one is refused, since a vector can be iterated."""
    single = isinstance(values, Mapping | str) or not isinstance(values, Iterable)
    if single or (isinstance(values, Tensor) and values.ndim < 2):
        raise InvalidType(
            f"{name} must be a list of points; got a single {type(values).__name__}.",
            fix=f"put it in a list: {name}=[point].",
            code="E-V03",
        )
    return [point_of(objective, v, f"{name}[{k}]") for k, v in enumerate(values)]


def point_of(objective: Objective, value: Any, name: str) -> Shaped[Tensor, " params"]:
    """A flat tensor or a state dict as a finite flat vector on the objective's device.

    Nothing is narrowed: a float64 state dict of a float32 model gives a float64 vector. What
    wrappers put before every name of a state dict is taken off; entries that are not trainable
    parameters are ignored.
    """
    space = objective.space
    if isinstance(value, Mapping):
        named = bare(value)
        held = [named[n] for e in space.entries for n in (e.name, *e.aliases) if n in named]
        wide = space.dtype
        for tensor in held:
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                wide = torch.promote_types(wide, tensor.dtype)
        value = space.flatten(named, dtype=wide)
    if not isinstance(value, Tensor):
        raise InvalidType(
            f"{name} must be a flat tensor or a state dict; got {type(value).__name__}.",
            fix="read a file with theodolite.training.load_state(path) first.",
            code="E-V03",
        )
    space.check(value, name)
    check_finite(value, space, name)
    return value.detach().to(objective.device)


def together(points: list[Tensor]) -> list[Tensor]:
    """The same points in the widest dtype among them."""
    wide = points[0].dtype
    for point in points[1:]:
        wide = torch.promote_types(wide, point.dtype)
    return [p.to(wide) for p in points]


def bare(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict without what wrappers put before every one of its names.

    >>> list(bare({"module._orig_mod.weight": 1, "module._orig_mod.bias": 2}))
    ['weight', 'bias']
    """
    named = {str(k): v for k, v in state.items()}
    prefix = next((p for p in WRAPPERS if named and all(k.startswith(p) for k in named)), None)
    if prefix is None:
        return named
    return bare({k.removeprefix(prefix): v for k, v in named.items()})


def left_behind(objective: Objective, state: Mapping[str, Any]) -> tuple[str, ...]:
    """Names in a state dict whose values differ from the objective's and do not move with theta.

    Running statistics of BatchNorm and frozen parameters: the loss at that checkpoint's weights
    is not the checkpoint's own loss where there are any. Counters are left out, and so are the
    statistics that ``batch_norm="recompute"`` makes anew.
    """
    named = bare(state)
    still = {**objective.forward.fixed, **objective.forward.pristine}
    ignored = ["num_batches_tracked"]
    if objective.batch_norm == "recompute":
        ignored += ["running_mean", "running_var"]
    found = []
    for full, own in still.items():
        name = full.removeprefix("model.")
        other = named.get(name)
        if name.rpartition(".")[2] in ignored or not isinstance(other, Tensor):
            continue
        if other.shape != own.shape or not torch.equal(other.to(own), own):
            found.append(name)
    return tuple(found)
