"""A plane of loss values as a lit surface: the still picture of the interactive view."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.colors import LightSource, Normalize
from mpl_toolkits.mplot3d.axes3d import Axes3D  # type: ignore[import-untyped]

from theodolite.plots import palette
from theodolite.plots.dress import distance_label, long_name, require
from theodolite.plots.height_scale import Heights, heights, plain, shown
from theodolite.plots.plane import measured


def plot_plane_3d(
    plane: xr.Dataset, ax: Axes3D, *, variable: str = "loss", scale: Heights | None = None
) -> Axes3D:
    """Draw `variable` over (alpha, beta) as a surface lit from the upper left; return `ax`.

    `ax` comes from ``figure.add_subplot(projection="3d")``. Heights are clipped at
    ``scale.high``, which the vertical label states; points without a value are holes.
    """
    require(plane, "plane", "alpha", "beta")
    scale = heights(plane, variable) if scale is None else scale
    alpha, beta = np.meshgrid(plane["alpha"].values, plane["beta"].values, indexing="ij")
    height = shown(measured(plane, variable), scale)
    limits = (float(shown(np.array(scale.low), scale)), float(shown(np.array(scale.high), scale)))
    ax.plot_surface(
        alpha,
        beta,
        height,
        rcount=height.shape[0],
        ccount=height.shape[1],
        facecolors=_lit(height, limits),
        linewidth=0,
        antialiased=False,
        shade=False,
        rasterized=True,
    )
    _frame(ax, plane, scale, limits, long_name(plane, variable))
    return ax


def _lit(height: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    color = colormaps[palette.SURFACE](Normalize(*limits)(height))
    filled = np.where(np.isfinite(height), height, limits[1])
    span = max(limits[1] - limits[0], 1e-12)
    light = LightSource(azdeg=315, altdeg=50)
    shade = light.hillshade(filled / span * max(height.shape) * 0.45)
    color[..., :3] *= (0.7 + 0.3 * shade)[..., None]
    return np.asarray(np.clip(color, 0, 1))


def _frame(
    ax: Axes3D, plane: xr.Dataset, scale: Heights, limits: tuple[float, float], name: str
) -> None:
    ax.set_proj_type("persp", focal_length=0.6)
    ax.view_init(elev=32, azim=-58)
    ax.set_box_aspect((1, 1, 0.62), zoom=1.05)
    if limits[1] > limits[0]:
        ax.set_zlim(*limits)
    ax.grid(False)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_pane_color((1, 1, 1, 0))
        axis.line.set_color(palette.RULE)
        axis.set_tick_params(labelsize=8, labelcolor=palette.MUTED, color=palette.RULE, pad=0)
        axis.label.set_color(palette.INK)
        axis.label.set_fontsize(9)
    for axis, along, number in ((ax.xaxis, "alpha", 1), (ax.yaxis, "beta", 2)):
        low, high = float(plane[along].min()), float(plane[along].max())
        axis.set_ticks(sorted({low, 0.0, high} if low < 0 < high else {low, high}))
        label = distance_label(plane, number).replace("distance along ", "").replace(" (", "\n(")
        axis.set_label_text(label)
        axis.labelpad = 2
    clipped = f",\nclipped at {plain(float(f'{scale.high:.2g}'))}" if scale.clipped else ""
    ax.set_zlabel(f"{name}{clipped}", labelpad=4)
    ticks = scale.levels if len(scale.levels) < 7 else scale.levels[::2]
    ax.set_zticks(
        [float(shown(np.array(v), scale)) for v in ticks], labels=[plain(v) for v in ticks]
    )
