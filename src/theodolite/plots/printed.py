"""One figure a result, made for paper: fonts embedded, lines and text as vectors."""

from __future__ import annotations

import io
from collections.abc import Callable

import matplotlib as mpl
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection  # type: ignore[import-untyped]

from theodolite.errors import InvalidArgument
from theodolite.plots.barcode import plot_barcode
from theodolite.plots.certificate import plot_certificate
from theodolite.plots.convexity import plot_convexity
from theodolite.plots.density import finished
from theodolite.plots.eigenvalues import plot_eigenvalues
from theodolite.plots.height_scale import heights
from theodolite.plots.line import plot_line, share_log
from theodolite.plots.merge_tree import plot_merge_tree
from theodolite.plots.plane import plot_plane
from theodolite.plots.plane_3d import plot_plane_3d
from theodolite.plots.shape import plot_shape
from theodolite.plots.spectral_density import plot_spectral_density
from theodolite.plots.training import plot_training
from theodolite.plots.trajectory import plot_trajectory, plot_trajectory_losses

DOTS_PER_INCH = 300
WIDE, ONE = (11.4, 4.9), (5.6, 4.2)
"""Inches: a plane from above beside its surface; everything else."""
SEAM = 0.25
"""Points: the width of the edges that close the seams between cells in a PDF."""
Fill = Callable[[Figure, xr.Dataset, str, bool | None], object]


def printed_figure(
    result: xr.Dataset, *, variable: str = "loss", log: bool | None = None
) -> Figure:
    """The figure of one result: a plane as contours and as a surface, the rest as its one plot.

    `variable` and `log` are for planes and lines. Raises ``InvalidArgument`` (E-P04) for a
    quantity without a figure; ask ``can_print`` first.
    """
    if not can_print(result):
        raise InvalidArgument(
            f"no figure is known for a result of quantity {quantity_of(result)!r}.",
            why=f"there is one for {', '.join(sorted(PRINTED))}.",
            fix="export its table instead (csv).",
            code="E-P04",
        )
    kind = quantity_of(result)
    figure = Figure(
        figsize=WIDE if kind == "plane" else ONE, dpi=DOTS_PER_INCH, layout="constrained"
    )
    FigureCanvasAgg(figure)
    PRINTED[kind](figure, result, variable, log)
    return figure


def can_print(result: xr.Dataset) -> bool:
    """Whether ``printed_figure`` knows the quantity of `result`."""
    return quantity_of(result) in PRINTED


def quantity_of(result: xr.Dataset) -> str:
    """The quantity; a history of training may come without one."""
    return str(result.attrs.get("quantity", "training" if "epoch" in result.dims else ""))


def figure_bytes(figure: Figure, form: str) -> bytes:
    """`figure` as a ``png`` or ``pdf`` file, the same bytes every time.

    A PDF embeds its fonts as TrueType and holds no pixels: cells and surfaces are polygons.
    """
    out = io.BytesIO()
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None}}[form]
    if form == "pdf":
        figure.findobj(_unrasterized)
    with mpl.rc_context({"pdf.fonttype": 42, "pdf.compression": 9}):
        figure.savefig(out, format=form, dpi=DOTS_PER_INCH, metadata=metadata)
    return out.getvalue()


def _unrasterized(artist: Artist) -> bool:
    """Draw as polygons, each with an edge of its own color: viewers else show white seams."""
    artist.set_rasterized(False)
    if isinstance(artist, QuadMesh | Poly3DCollection):
        artist.set_edgecolor("face")
        artist.set_linewidth(SEAM)
    return False


def _plane(figure: Figure, plane: xr.Dataset, variable: str, log: bool | None) -> None:
    scale = heights(plane, variable, log=log)
    figure.set_layout_engine("constrained", rect=(0.0, 0.0, 0.95, 0.98))  # room for 3-D labels
    grid = figure.add_gridspec(1, 2, width_ratios=(1.15, 1))
    plot_plane(plane, figure.add_subplot(grid[0]), variable=variable, scale=scale)
    surface = figure.add_subplot(grid[1], projection="3d")
    plot_plane_3d(plane, surface, variable=variable, scale=scale)


def _line(figure: Figure, line: xr.Dataset, variable: str, log: bool | None) -> None:
    chosen = share_log([line]) if log is None else log
    plot_line(line, figure.add_subplot(), variable=variable, log=chosen)


def _training(figure: Figure, history: xr.Dataset, variable: str, log: bool | None) -> None:
    shown = variable if variable in history else "loss"
    plot_training(history, figure.add_subplot(), variable=shown)


def _beside(*plots: Callable[[xr.Dataset, Axes], object]) -> Fill:
    """The plots of one result side by side, each on axes of its own."""

    def fill(figure: Figure, result: xr.Dataset, variable: str, log: bool | None) -> None:
        figure.set_size_inches(ONE[0] * len(plots), ONE[1])
        for ax, plot in zip(figure.subplots(1, len(plots), squeeze=False)[0], plots, strict=True):
            plot(result, ax)

    return fill


def _spectrum(density: xr.Dataset, ax: Axes) -> Axes:
    return plot_spectral_density(finished(density), ax)


PRINTED: dict[str, Fill] = {
    "plane": _plane,
    "line": _line,
    "training": _training,
    "spectral_density": _beside(_spectrum),
    "eigenpairs": _beside(plot_eigenvalues),
    "certificate": _beside(plot_certificate),
    "convexity": _beside(plot_convexity),
    "shape": _beside(plot_shape),
    "topology": _beside(plot_merge_tree, plot_barcode),
    "trajectory": _beside(plot_trajectory, plot_trajectory_losses),
}
"""What draws each quantity; a new plot takes a line here to be exported as a figure."""
