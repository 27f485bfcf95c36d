"""The norm of a direction, filter by filter, layer by layer or as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from theodolite.errors import InvalidArgument, NotFinite
from theodolite.parameters import Entry, ParameterSpace

NORMALIZATIONS = ("filter", "layer", "model", None)
"""What ``normalize`` may be."""

BLOCK = 1 << 20
"""Coordinates taken at once, so that float64 copies stay small; whole filters in any case."""

Array = np.ndarray[Any, np.dtype[np.float64]]
Scaling = Callable[[Entry, Array, Array], Array]


def normalized(
    direction: Shaped[Tensor, " params"],
    theta: Shaped[Tensor, " params"],
    space: ParameterSpace,
    normalize: str | None = "filter",
) -> Shaped[Tensor, " params"]:
    r"""`direction` with the norms of `theta`.

    .. math:: d_{ij} \leftarrow d_{ij}\,\frac{\lVert\theta_{ij}\rVert}{\lVert d_{ij}\rVert}

    for filter :math:`j` of layer :math:`i`, so that a step of one is a change of 100 % in every
    filter.

    Parameters
    ----------
    direction, theta
        Flat vectors of shape ``(params,)``.
    space
        Where each tensor lies and what its filters are (``objective.space``).
    normalize
        ``"filter"``: each filter gets the norm of that filter of theta. A filter is what makes
        one output: index 0 of a convolution, the output channel of a transposed one (within its
        group), a row of a linear, attention or recurrent matrix, an embedding's row. Biases and
        normalization layers do not move. Another tensor of one dimension, or a scalar, is one
        filter.
        ``"layer"``: each weight tensor as a whole; biases and normalization layers do not move.
        ``"model"``: the whole vector, biases and normalization layers included.
        ``None``: left as it is.

    Returns
    -------
    Tensor
        Shape ``(params,)``, dtype and device of `direction`. A filter whose norm is zero in theta
        or in `direction` is zero. Pruned coordinates are zero and do not count in any norm.

    Raises
    ------
    InvalidArgument
        For another `normalize` (E-G08) or a result that is zero (E-G05).
    NotFinite
        For NaN or infinity in either vector (E-G06).

    Notes
    -----
    Norms are taken in float64 on the CPU, on one thread: the same numbers on every device and
    for any number of threads. Costs a few passes over the vector, and no memory beside the result.
    Not checked: that equal steps
    mean equal changes of the function; other symmetries than the scale of a filter remain.

    References
    ----------
    Li, Xu, Taylor, Studer, Goldstein (2018), arXiv:1712.09913. Differences from the authors'
    code: no 1e-10 is added to norms, and transposed convolutions have their filters in dimension 1.

    Examples
    --------
    >>> model = torch.nn.Linear(2, 2)
    >>> space = ParameterSpace.from_model(model)
    >>> direction = torch.tensor([0.0, 2.0, 1.0, 1.0, 1.0, 1.0])
    >>> theta = torch.tensor([3.0, 4.0, 0.0, 0.0, 7.0, 7.0])
    >>> normalized(direction, theta, space).tolist()
    [0.0, 5.0, 0.0, 0.0, 0.0, 0.0]
    """
    check_name(normalize)
    space.check(direction, "direction")
    space.check(theta)
    check_finite(direction, space, "direction")
    check_finite(theta, space, "theta")
    out = torch.empty_like(direction)
    fill(out, direction, theta, space, normalize)
    return out


def fill(
    out: Tensor, direction: Tensor, theta: Tensor, space: ParameterSpace, normalize: str | None
) -> None:
    """Write `direction` with the norms of `theta` to `out`, which may be `direction` itself."""
    for start, stop, block in scaled_blocks(direction, theta, space, normalize):
        out[start:stop] = torch.from_numpy(block.reshape(-1)).to(out)
    if not bool(out.any()):
        _refuse_zero(normalize, space)


def scaled_blocks(
    direction: Tensor, theta: Tensor, space: ParameterSpace, normalize: str | None
) -> Iterator[tuple[int, int, Array]]:
    """The normalized direction in float64, a range of coordinates at a time."""
    scaled = _scaling(direction, theta, space, normalize)
    for e in space.entries:
        for start, stop in _ranges(e, normalize):
            d, t = (_piece(v, e, start, stop, space) for v in (direction, theta))
            yield e.offset + start, e.offset + stop, scaled(e, d, t)


def check_finite(vector: Tensor, space: ParameterSpace, name: str) -> None:
    """Raise for NaN or infinity, naming the first parameter that holds one."""
    # a sum of finite numbers may overflow, one with NaN or infinity in it is never finite
    if math.isfinite(float(vector.sum())) or bool(torch.isfinite(vector).all()):
        return
    first = int((~torch.isfinite(vector)).nonzero()[0])
    owner = next(e.name for e in space.entries if e.offset <= first < e.stop)
    raise NotFinite(
        f"{name} must be finite; coordinate {first} is {float(vector[first])}.",
        where=f"parameter {owner!r}",
        fix="check the checkpoint or the computation it comes from.",
        code="E-G06",
    )


def check_name(normalize: str | None) -> None:
    """Raise for anything but a normalization."""
    if normalize not in NORMALIZATIONS:
        raise InvalidArgument(
            f'normalize must be "filter", "layer", "model" or None; got {normalize!r}.',
            code="E-G08",
        )


def _ranges(entry: Entry, normalize: str | None) -> Iterator[tuple[int, int]]:
    """Ranges of a tensor that can be scaled apart from each other, of whole filters."""
    size, step = entry.size, BLOCK
    if normalize == "layer":
        step = size
    elif normalize == "filter" and entry.reduce_dims is not None:
        row = math.prod(entry.view_shape[1:])
        apart = bool(entry.view_shape) and 0 not in entry.reduce_dims
        step = max(1, BLOCK // max(1, row)) * row if apart else size
    for start in range(0, size, max(1, step)):
        yield start, min(start + step, size)


def _piece(vector: Tensor, entry: Entry, start: int, stop: int, space: ParameterSpace) -> Array:
    """A range of a tensor in the shape that separates its filters, without pruned coordinates."""
    low, high = entry.offset + start, entry.offset + stop
    piece = vector[low:high].detach().to(device="cpu", dtype=torch.float64)
    if space.pruned is not None:
        piece = piece.masked_fill(space.pruned[low:high], 0.0)
    rest = entry.view_shape[1:]
    apart = entry.reduce_dims is not None and (stop - start) % max(1, math.prod(rest)) == 0
    whole = stop - start == entry.size
    shape = entry.view_shape if whole else (-1, *rest) if apart else (-1,)
    return np.asarray(piece.numpy().reshape(shape))


def _scaling(
    direction: Tensor, theta: Tensor, space: ParameterSpace, normalize: str | None
) -> Scaling:
    if normalize is None:
        return lambda e, d, t: d
    if normalize == "model":
        squares = [
            [(_piece(v, e, *ends, space) ** 2).sum() for v in (direction, theta)]
            for e in space.entries
            for ends in _ranges(e, normalize)
        ]
        d_norm, t_norm = (math.sqrt(math.fsum(s)) for s in zip(*squares, strict=True))
        factor = t_norm / d_norm if d_norm else 0.0
        return lambda e, d, t: d * factor
    return lambda e, d, t: _matched(e, d, t, whole=normalize == "layer")


def _matched(entry: Entry, d: Array, t: Array, *, whole: bool) -> Array:
    """`d` with the norms of `t`, over each filter or the whole tensor; zero without filters."""
    if entry.reduce_dims is None:
        return np.zeros_like(d)
    dims = None if whole else entry.reduce_dims
    d_norm, t_norm = (np.sqrt((x**2).sum(axis=dims, keepdims=True)) for x in (d, t))
    ratio = np.divide(t_norm, d_norm, out=np.zeros_like(d_norm), where=d_norm > 0)
    return np.asarray(d * ratio)


def _refuse_zero(normalize: str | None, space: ParameterSpace) -> None:
    still = normalize in ("filter", "layer")
    none_move = still and all(e.reduce_dims is None for e in space.entries)
    raise InvalidArgument(
        "the direction is zero: there is nowhere to go along it.",
        why="the trainable parameters are all biases and normalization layers, which do not move "
        f'with normalize="{normalize}".'
        if none_move
        else "every filter of theta, or of the direction, has norm zero.",
        fix='use normalize="model" or None.' if still else "pass another direction or theta.",
        code="E-G05",
    )
