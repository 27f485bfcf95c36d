"""The still pictures as files, for papers and slides."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from theodolite.errors import InvalidArgument
from theodolite.plots import (
    function_distance_matrix,
    heights,
    plot_averages,
    plot_barrier,
    plot_edge,
    plot_eigenvalues,
    plot_function_distances,
    plot_line,
    plot_minima_graph,
    plot_monitored,
    plot_path_profile,
    plot_plane,
    plot_plane_3d,
    plot_spectral_density,
    plot_training,
    plot_trajectory,
    plot_trajectory_distance,
    plot_trajectory_losses,
    share_log,
)
from theodolite.reporting.connection_parts import pair_of
from theodolite.reporting.contents import Contents, Reportable, read_trees
from theodolite.reporting.files import write_bytes

FORMATS = ("png", "pdf", "svg")
Drawing = tuple[Callable[[Axes], Axes], str | None]


def save_figures(tree: Reportable, folder: str | Path, *, form: str = "png") -> list[Path]:
    """Write every picture of one survey into `folder` as `form` (png, pdf or svg).

    Returns the paths. Raises ``InvalidArgument`` for another format and ``StorageError`` where
    the folder cannot be written.
    """
    if form not in FORMATS:
        raise InvalidArgument(f"form must be one of {FORMATS}; got {form!r}.", code="E-H06")
    (contents,) = read_trees(tree)
    paths = []
    for name, (draw, projection) in drawings(contents).items():
        figure = Figure(figsize=(6.4, 5.2), dpi=200, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.add_subplot(projection=projection))
        out = io.BytesIO()
        figure.savefig(out, format=form)
        paths.append(write_bytes(Path(folder) / f"{name}.{form}", out.getvalue()))
    return paths


def drawings(contents: Contents) -> Mapping[str, Drawing]:
    """What can be drawn of a survey: file name -> (function of axes, projection)."""
    found: dict[str, Drawing] = {}
    for k, plane in enumerate(contents.planes):
        scale = heights(plane)
        found[f"plane_{k}"] = (partial(plot_plane, plane, scale=scale), None)
        found[f"surface_{k}"] = (partial(plot_plane_3d, plane, scale=scale), "3d")
    if contents.lines:
        found["lines"] = (partial(_all_lines, contents), None)
    if contents.spectrum is not None:
        draw = partial(plot_spectral_density, contents.spectrum, eigenvalues=contents.eigenvalues)
        found["spectrum"] = (draw, None)
    if contents.eigenvalues is not None:
        found["eigenvalues"] = (partial(plot_eigenvalues, contents.eigenvalues), None)
    if contents.trajectory is not None:
        below = contents.trajectory_plane
        found["trajectory"] = (partial(plot_trajectory, contents.trajectory, plane=below), None)
        found["trajectory_distance"] = (
            partial(plot_trajectory_distance, contents.trajectory),
            None,
        )
        if "loss" in contents.trajectory:
            losses = partial(plot_trajectory_losses, contents.trajectory)
            found["trajectory_losses"] = (losses, None)
    if contents.monitor is not None and contents.monitor.sizes["time"]:
        found["sharpness"] = (partial(plot_edge, contents.monitor), None)
        for name in ("loss", "gradient_norm", "distance_from_start", "step_angle"):
            if name in contents.monitor:
                draw = partial(plot_monitored, contents.monitor, variable=name)
                found[f"monitor_{name}"] = (draw, None)
    found |= _connections(contents)
    if contents.averages is not None:
        found["averages"] = (partial(plot_averages, contents.averages), None)
    if contents.training is not None:
        found["training"] = (partial(plot_training, contents.training), None)
    return found


def _connections(contents: Contents) -> dict[str, Drawing]:
    """Lines between weights by pair, curves, how answers differ, and the graph."""
    parts, made = contents.connections, dict[str, Drawing]()
    for k, found in enumerate(contents.barriers):
        pair = pair_of(found)
        again = contents.barriers_recomputed.get(k)
        matched = parts.aligned.get(pair)
        draw = partial(plot_barrier, found, recomputed=again)
        if matched is not None:
            draw = partial(plot_barrier, found if again is None else again, aligned=matched)
        made["barrier_{}_{}".format(*pair)] = (draw, None)
    for pair, found in parts.curves.items():
        draw = partial(
            plot_path_profile,
            found,
            line=parts.lines.get(pair),
            aligned=parts.aligned_curves.get(pair),
        )
        made["path_{}_{}".format(*pair)] = (draw, None)
    if len(parts.functions) > 1:
        matrix = function_distance_matrix([parts.functions[k] for k in sorted(parts.functions)])
        made["different_answers"] = (partial(plot_function_distances, matrix), None)
    if parts.graph is not None:
        made["minima_graph"] = (partial(plot_minima_graph, parts.graph), None)
    return made


def _all_lines(contents: Contents, ax: Axes) -> Axes:
    log = share_log(list(contents.lines))
    for k, line in enumerate(contents.lines):
        plot_line(line, ax, series=k, label=f"line {k + 1}", log=log)
    ax.legend(frameon=False)
    return ax
