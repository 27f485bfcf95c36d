"""Still pictures as inline SVG that follows the page's colors: for print and without scripts."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import matplotlib as mpl
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from theodolite.plots import (
    Heights,
    draw_curve,
    heights,
    line_from_plane,
    negative_share,
    palette,
    plot_convexity,
    plot_eigenvalues,
    plot_line,
    plot_plane,
    plot_plane_3d,
    plot_training,
    share_log,
    smooth_together,
    wide_spread,
)
from theodolite.reporting.contents import Contents

THEMED = {
    palette.INK: "var(--ink)",
    palette.MUTED: "var(--muted)",
    palette.RULE: "var(--rule)",
    palette.GAP: "var(--gap)",
    palette.NEGATIVE: "var(--negative)",
    palette.POSITIVE: "var(--positive)",
    palette.SERIES[2]: "var(--series-3)",
    palette.SERIES[3]: "var(--series-4)",
}
"""Colors of the still pictures and the page's variables that replace them."""

WIDE, SQUARE = (5.0, 3.1), (5.0, 4.75)
MANY = 6
"""Above this many models only the first plane of each is kept as a still picture."""


@dataclass(frozen=True)
class Pictures:
    """The still pictures of one model."""

    surface: str = ""
    planes: tuple[str, ...] = ()
    spectrum: str = ""
    eigenvalues: str = ""


def model_pictures(surveys: Sequence[Contents]) -> tuple[Pictures, ...]:
    """The pictures of every model, all planes of one number on one scale."""
    most = max((len(c.planes) for c in surveys), default=0)
    scales = [heights([c.planes[k] for c in surveys if k < len(c.planes)]) for k in range(most)]
    kept = 1 if len(surveys) > MANY else most
    spectra = _spectra(surveys)
    out = []
    for m, c in enumerate(surveys):
        flat = [
            picture(
                partial(plot_plane, c.planes[k], scale=scales[k]),
                f"p{m}-{k}",
                SQUARE,
                margins=(0.7, 0.95, 0.3, 0.1),
            )
            for k in range(min(kept, len(c.planes)))
        ]
        out.append(
            Pictures(
                surface=_surface(c, scales[0], f"s{m}") if c.planes else "",
                planes=tuple(flat),
                spectrum=spectra[m],
                eigenvalues=_eigenvalues(c, f"e{m}"),
            )
        )
    return tuple(out)


def cut_pictures(surveys: Sequence[Contents]) -> tuple[str, ...]:
    """The two cuts through the start of the first plane, all models in one picture."""
    planes = [(k, c.label, c.planes[0]) for k, c in enumerate(surveys) if c.planes]
    out = []
    for axis in (1, 2):
        cuts = [(k, label, line_from_plane(p, axis=axis)) for k, label, p in planes]
        if cuts:
            out.append(picture(partial(_draw_lines, cuts), f"c{axis}", WIDE))
    return tuple(out)


def line_picture(surveys: Sequence[Contents]) -> str:
    """All random lines of all models in one picture."""
    lines = [(k, c.label, x) for k, c in enumerate(surveys) for x in c.lines]
    return picture(partial(_draw_lines, lines), "lines", (9.0, 3.6)) if lines else ""


def convexity_pictures(surveys: Sequence[Contents]) -> tuple[str, ...]:
    """The convexity map of every model that has one."""
    return tuple(
        picture(partial(plot_convexity, c.convexity), f"v{m}", SQUARE)
        if c.convexity is not None
        else ""
        for m, c in enumerate(surveys)
    )


def training_pictures(surveys: Sequence[Contents]) -> tuple[str, ...]:
    """Loss and, where recorded, accuracy over epochs."""
    runs = [(k, c.label, c.training) for k, c in enumerate(surveys) if c.training is not None]
    out = []
    for metric in ("loss", "accuracy"):
        having = [(k, label, r) for k, label, r in runs if metric in r]
        if having:
            out.append(
                picture(
                    partial(_draw_training, having, metric),
                    f"t-{metric}",
                    WIDE,
                )
            )
    return tuple(out)


def picture(
    draw: Callable[[Axes], Axes],
    name: str,
    size: tuple[float, float] = WIDE,
    *,
    margins: tuple[float, float, float, float] = (0.75, 0.5, 0.1, 0.3),
    projection: str | None = None,
) -> str:
    """What `draw` draws, as inline SVG whose ids begin with `name`; sizes in inches.

    `margins` are left, bottom, right and top. They are fixed because measuring every text for
    a fitted layout takes most of the time of a report.
    """
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure = Figure(figsize=size, dpi=140)
        figure.patch.set_alpha(0.0)
        canvas = FigureCanvasSVG(figure)
        ax = figure.add_subplot(projection=projection)
        left, bottom, right, top = margins
        width, height = size
        figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height)
        ax.patch.set_alpha(0.0)
        draw(ax)
        out = io.StringIO()
        canvas.print_svg(  # type: ignore[no-untyped-call]
            out, metadata={"Date": None, "Creator": None}
        )
    return themed_svg(out.getvalue(), name)


def themed_svg(svg: str, name: str) -> str:
    """A matplotlib SVG made fit for a page: no style sheet, ids of its own, the page's colors."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'="#([^"]+)"', rf'="#{name}-\1"', body)
    body = body.replace("url(#", f"url(#{name}-")
    for color, variable in THEMED.items():
        body = re.sub(re.escape(color), variable, body, flags=re.IGNORECASE)
    body = re.sub(r"font: ([\d.]+)px [^;\"]+", r"font-size: \1px", body)
    body = re.sub(r'(<svg [^>]*?)width="[\d.]+pt" height="[\d.]+pt"', r"\1", body, count=1)
    return body.replace("<svg ", '<svg class="still" aria-hidden="true" focusable="false" ', 1)


def _surface(contents: Contents, scale: Heights, name: str) -> str:
    return picture(
        partial(plot_plane_3d, contents.planes[0], scale=scale),
        name,
        (5.0, 3.9),
        margins=(0.0, 0.35, 0.3, 0.0),
        projection="3d",
    )


def _spectra(surveys: Sequence[Contents]) -> list[str]:
    """Every spectrum with one kernel on one axis."""
    found = [c.spectrum for c in surveys if c.spectrum is not None]
    curves = iter(smooth_together(found, scale="log" if wide_spread(found) else "linear"))
    out = []
    for m, c in enumerate(surveys):
        if c.spectrum is None:
            out.append("")
            continue
        curve, share = next(curves), negative_share(c.spectrum)
        out.append(
            picture(
                partial(draw_curve, curve, share, eigenvalues=c.eigenvalues),
                f"d{m}",
            )
        )
    return out


def _eigenvalues(contents: Contents, name: str) -> str:
    if contents.eigenvalues is None:
        return ""
    return picture(partial(plot_eigenvalues, contents.eigenvalues), name, WIDE)


def _draw_lines(lines: Sequence[tuple[int, str, xr.Dataset]], ax: Axes) -> Axes:
    log = share_log([x for _, _, x in lines])
    named: set[str] = set()
    for series, label, line in lines:
        plot_line(line, ax, label=None if label in named else label, series=series, log=log)
        named.add(label)
    ax.legend(frameon=False, fontsize=9, labelcolor=palette.MUTED)
    return ax


def _draw_training(runs: Sequence[tuple[int, str, xr.Dataset]], metric: str, ax: Axes) -> Axes:
    for series, label, run in runs:
        plot_training(run, ax, variable=metric, label=label, series=series)
    return ax
