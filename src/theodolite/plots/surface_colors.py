"""The colors of a surface as numbers, for files that carry a color at every point."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.colors import Normalize

from theodolite.plots import palette
from theodolite.plots.height_scale import Heights, shown


def surface_colors(
    values: Float[np.ndarray, "*points"], scale: Heights
) -> Float[np.ndarray, "*points 4"]:
    """The red, green, blue and opacity (sRGB, 0 to 1) that the report gives `values` on `scale`.

    >>> scale = Heights(False, 0.0, 1.0, 1.0, 0, float("nan"), ())
    >>> np.rint(255 * surface_colors(np.array([0.0, 1.0]), scale)).astype(int).tolist()
    [[0, 34, 78, 255], [254, 232, 56, 255]]
    """
    ends = (float(shown(np.array(scale.low), scale)), float(shown(np.array(scale.high), scale)))
    unit = Normalize(*ends)(shown(values, scale))
    return np.asarray(colormaps[palette.SURFACE](unit), dtype=np.float64)
