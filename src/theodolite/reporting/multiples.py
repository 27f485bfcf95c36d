"""The still picture of many models side by side, for print, for files and without scripts."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from theodolite.errors import InvalidArgument
from theodolite.plots import Panel, plot_small_multiples
from theodolite.plots.printed import figure_bytes
from theodolite.reporting.contents import Contents, Reportable, read_trees
from theodolite.reporting.files import write_bytes
from theodolite.reporting.numbers import text
from theodolite.reporting.pictures import themed_svg
from theodolite.reporting.summary import ModelSummary, Summary, summarize

SEVERAL = 3
"""From this many models on, the report shows small panels in place of large ones."""
NOTES = 2
ACROSS_IN_PRINT = 3


def panels_of(surveys: Sequence[Contents], models: Sequence[ModelSummary]) -> list[Panel]:
    """The first plane of every survey that has one, under its label and first numbers."""
    return [
        Panel(
            c.label, c.planes[0], tuple(f"{h.label} {text(h.number)}" for h in m.headline[:NOTES])
        )
        for c, m in zip(surveys, models, strict=True)
        if c.planes
    ]


def multiples_picture(surveys: Sequence[Contents], summary: Summary) -> str:
    """The panels as inline SVG in the page's colors; empty below three models."""
    panels = panels_of(surveys, summary.models)
    if len(surveys) < SEVERAL or not panels:
        return ""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "multiples"}):
        figure = Figure(dpi=140)
        figure.patch.set_alpha(0.0)
        canvas = FigureCanvasSVG(figure)
        for ax in plot_small_multiples(panels, figure, across=ACROSS_IN_PRINT):
            ax.patch.set_alpha(0.0)
        out = io.StringIO()
        canvas.print_svg(  # type: ignore[no-untyped-call]
            out, metadata={"Date": None, "Creator": None}
        )
    return themed_svg(out.getvalue(), "multiples")


def save_multiples(
    trees: Sequence[Reportable], folder: str | Path, *, form: str = "png"
) -> list[Path]:
    """Write the panels of several surveys as one picture, ``small_multiples.png`` or ``.pdf``.

    Returns its path, or nothing where no survey has a plane. Raises ``InvalidArgument`` for
    another format and ``StorageError`` where the folder cannot be written.
    """
    if form not in ("png", "pdf"):
        raise InvalidArgument(f"form must be 'png' or 'pdf'; got {form!r}.", code="E-H06")
    surveys = read_trees(trees)
    panels = panels_of(surveys, summarize(surveys).models)
    if not panels:
        return []
    figure = Figure()
    plot_small_multiples(panels, figure)
    path = Path(folder) / f"small_multiples.{form}"
    return [write_bytes(path, figure_bytes(figure, form))]
