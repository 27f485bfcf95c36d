"""The path of a training as a survey keeps it: geometry, losses and plane put together."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

ROLE = "trajectory"
"""The ``role`` of a plane that was made for a path and is no sample of random planes."""


def trajectory_of(results: Sequence[tuple[str, xr.Dataset]]) -> xr.Dataset | None:
    """The first trajectory, with the losses that a survey computes checkpoint by checkpoint."""
    found = next((r for _, r in results if _is(r, "trajectory", "coordinates")), None)
    if found is None or "loss" in found:
        return found
    losses = next((r for _, r in results if _is(r, "trajectory_losses", "loss")), None)
    if losses is None or losses.sizes.get("time") != found.sizes["time"]:
        return found
    return found.assign({k: (v.dims, v.values, v.attrs) for k, v in losses.data_vars.items()})


def trajectory_plane_of(results: Sequence[tuple[str, xr.Dataset]]) -> xr.Dataset | None:
    """The plane that was made for the path."""
    return next((r for _, r in results if is_trajectory_plane(r) and "loss" in r), None)


def is_trajectory_plane(result: xr.Dataset) -> bool:
    return result.attrs.get("quantity") == "plane" and result.attrs.get("role") == ROLE


def _is(result: xr.Dataset, quantity: str, variable: str) -> bool:
    return result.attrs.get("quantity") == quantity and variable in result
