"""A network inside a result: its point, what does not move, and how both make a state dict."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from theodolite import results
from theodolite.averaging.members import Member
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective

POINT, HELD = "parameters", "buffers"
"""Variables with the trainable parameters, and with everything else of a state dict."""


def state_variables(
    objective: Objective, member: Member
) -> tuple[dict[str, results.Variable], dict[str, str]]:
    """The network as two flat variables, and as attributes the layout that leads back."""
    tensors = named_tensors(objective.model)
    places = {
        id(tensors[e.name]): offset
        for offset, e in zip(offsets(objective), objective.space.entries, strict=True)
    }
    still = {**objective.forward.fixed, **member.buffers}
    known = {id(tensors[n.removeprefix("model.")]): value for n, value in still.items()}
    held: list[np.ndarray[Any, Any]] = []
    layout, filled = [], 0
    for name, tensor in objective.model.state_dict(keep_vars=True).items():
        if not isinstance(tensor, Tensor):
            continue
        row = [name, list(tensor.shape), str(tensor.dtype).removeprefix("torch.")]
        if id(tensor) in places:
            layout.append([*row, POINT, places[id(tensor)]])
            continue
        value = known.get(id(tensor), tensor)
        flat = value.detach().double().cpu().reshape(-1).numpy()
        layout.append([*row, HELD, filled])
        held.append(flat)
        filled += len(flat)
    variables: dict[str, results.Variable] = {
        POINT: (
            ("parameter",),
            member.theta.detach().cpu().numpy(),
            {"long_name": "trainable parameters of the network made"},
        ),
        HELD: (
            ("buffer",),
            np.concatenate(held) if held else np.zeros(0),
            {"long_name": "its buffers and frozen parameters"},
        ),
    }
    return variables, {"layout": json.dumps(layout)}


def offsets(objective: Objective) -> list[int]:
    """Where every parameter begins in a flat vector."""
    sizes = [e.size for e in objective.space.entries]
    return [sum(sizes[:k]) for k in range(len(sizes))]


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer under all its names: tensors of shared modules have several."""
    parameters = model.named_parameters(remove_duplicate=False)
    return dict([*parameters, *model.named_buffers(remove_duplicate=False)])


def averaged_state(result: xr.Dataset) -> dict[str, Tensor]:
    """The network that `average` or `soup` made, as a state dict for its model.

    Parameters in the model's own precision; BatchNorm's running statistics are those computed for
    these weights, counters and other buffers those of the first member, and frozen parameters the
    model's. Raises `InvalidArgument` for another result (E-A87). Costs a copy.

    >>> one = torch.ones(2, 1)
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> bowl = Objective(model, torch.nn.MSELoss(), (one, 0 * one))
    >>> made = td.average(bowl, [torch.tensor([1.0]), torch.tensor([2.0])])
    >>> averaged_state(made)
    {'weight': tensor([[1.5000]])}
    """
    if not isinstance(result, xr.Dataset) or "layout" not in result.attrs or POINT not in result:
        raise InvalidArgument(
            "the result holds no network.",
            fix="pass what td.average or td.soup returned.",
            code="E-A87",
        )
    flat = {n: torch.from_numpy(np.array(result[n].values)) for n in (POINT, HELD)}
    made = {}
    for name, shape, dtype, home, offset in json.loads(result.attrs["layout"]):
        size = int(np.prod(shape, dtype=np.int64))
        piece = flat[home][offset : offset + size].reshape(shape)
        made[name] = piece.to(getattr(torch, dtype)).clone()
    return made
