"""Surfaces whose topology and shape are known by a formula."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from theodolite.results import OK
from theodolite.seeds import numpy_generator

Function = Callable[..., np.ndarray]


def surface(
    function: Function,
    *axes: np.ndarray,
    error: float | None = None,
    quantity: str = "plane",
    **attrs: object,
) -> xr.Dataset:
    """`function` on a grid as a measured result; a plane over [-1, 1] squared by default."""
    axes = axes or (np.linspace(-1, 1, 41),) * 2
    names = ("alpha", "beta") if len(axes) == 2 else tuple(f"axis_{k}" for k in range(len(axes)))
    loss = function(*np.meshgrid(*axes, indexing="ij"))
    status = np.where(np.isfinite(loss), OK, 2).astype(np.uint8)
    data = {"loss": (names, np.where(np.isfinite(loss), loss, np.nan)), "status": (names, status)}
    if error is not None:
        data["loss_error"] = (names, np.full(loss.shape, error))
    coords = dict(zip(names, axes, strict=True))
    return xr.Dataset(data, coords, {"quantity": quantity, **attrs})


def bowl(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return x**2 + 2 * y**2


def double_well(x: np.ndarray, *rest: np.ndarray) -> np.ndarray:
    """Minima 0.1 at x = 1/2 and 0 at x = -1/2 but for the tilt; saddle at x = 0, height 1."""
    return (1 - 4 * x**2) ** 2 + 0.1 * (x > 0.25) + sum((r**2 for r in rest), np.zeros_like(x))


def egg_crate(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sin(x) * np.sin(y)


def tent(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Linear along every way from the start, with level lines that are squares on their corner."""
    return np.abs(x) + np.abs(y)


def rough(*shape: int, seed: int = 0) -> xr.Dataset:
    """Random heights on an uneven grid around the start."""
    generator = numpy_generator(seed, "rough")
    axes = []
    for size in shape:
        inner = np.sort(generator.uniform(-1, 1, size - 3))
        axes.append(np.sort(np.concatenate([[-1.0, 0.0, 1.0], inner])))
    values = generator.normal(size=shape)
    return surface(lambda *_: values, *axes)


def noise(*shape: int, seed: int = 0) -> xr.Dataset:
    """Values that are all different: the hardest topology a grid of this size can have."""
    values = numpy_generator(seed, "noise").permutation(int(np.prod(shape))).reshape(shape) + 1.0
    return surface(lambda *_: values, *(np.arange(float(s)) for s in shape))
