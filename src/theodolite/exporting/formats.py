"""Writing results in one of the formats, each result to a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import xarray as xr

from theodolite.errors import InvalidArgument
from theodolite.exporting import meshes
from theodolite.exporting.chosen import Exportable, results_of, tree_of
from theodolite.exporting.destination import files_for, refuse_present, write_whole
from theodolite.exporting.netcdf import write_netcdf
from theodolite.exporting.surface_mesh import SurfaceSettings
from theodolite.exporting.tables import tables_of, write_csv
from theodolite.plots.printed import can_print, figure_bytes, printed_figure

Write = Callable[[Path], object]
SCALES = {"log": True, "linear": False, None: None}


@dataclass(frozen=True)
class Format:
    """A format: what it is good for, and the results it can hold."""

    title: str
    holds: Callable[[xr.Dataset], bool]
    lacking: str


def is_plane(result: xr.Dataset) -> bool:
    """Whether a result is a surface over (alpha, beta)."""
    return result.attrs.get("quantity") == "plane" and {"alpha", "beta"} <= set(result.dims)


def _anything(result: xr.Dataset) -> bool:
    return bool(result.data_vars)


PLANES = "only planes are surfaces"
FIGURES = "no plot is known for what there is"
FORMATS = {
    "nc": Format("netCDF-4, everything in one file", _anything, ""),
    "csv": Format("tidy tables", _anything, ""),
    "vtu": Format("surfaces for ParaView", is_plane, PLANES),
    "glb": Format("surfaces for Blender and the web, with colors", is_plane, PLANES),
    "ply": Format("surfaces for mesh tools, with colors", is_plane, PLANES),
    "png": Format("figures in pixels", can_print, FIGURES),
    "pdf": Format("figures for print", can_print, FIGURES),
}
MESHES = {"vtu": meshes.write_vtu, "glb": meshes.write_glb, "ply": meshes.write_ply}


def export(
    source: Exportable,
    path: str | Path,
    *,
    to: str | None = None,
    what: str | Sequence[str] = (),
    variable: str = "loss",
    scale: str | None = None,
    distances: bool = False,
    overwrite: bool = False,
) -> list[Path]:
    """Write results in a format that other programs read; return the files written.

    Parameters
    ----------
    source
        A survey tree, a single result, or the path of a run folder.
    path
        A file for one result (or netCDF), else a folder, in which each result becomes a file
        named after it.
    to
        ``nc`` (one file with everything), ``csv``, ``vtu``, ``glb``, ``ply``, ``png`` or ``pdf``;
        None takes it from the suffix of `path`.
    what
        Names of the results to write: ``plane_0``, or ``plane`` for every plane. Without names
        all that the format can hold are written.
    variable, scale
        What surfaces and figures of planes and lines show, and on which scale: ``log``,
        ``linear``, or None for what the report chooses. Tables and netCDF hold everything.
    distances
        Whether the axes of meshes are Euclidean distances (steps times the norms of the
        directions) instead of steps along the directions.
    overwrite
        Whether files already there may be replaced; without it nothing is written if one is.

    Returns
    -------
    The paths, in the order of the results.

    Raises
    ------
    InvalidArgument
        For an unknown format (E-E01), a file name for several results (E-E02) or of another
        format (E-E03), files already there (E-E04), names the survey has not (E-E06), nothing to
        export (E-E07, E-E08, E-E11), distances without norms (E-E09), a package that is missing
        (E-E10, with the extra to install), an unknown scale (E-E12).
    InvalidType
        For a source that is no result (E-E05).
    StorageError
        Where a folder holds no run (E-K07) or a file cannot be written (E-K01 to E-K09).

    Notes
    -----
    Cost: no forward passes, and torch is not imported. Memory: the results, and one mesh or
    figure at a time. Each file appears whole or not at all; several files are written one after
    another. Not checked: that the results of `source` belong to one model.

    Examples
    --------
    >>> import tempfile, xarray as xr
    >>> line = xr.Dataset({"loss": ("alpha", [1.0, 0.1])}, {"alpha": [0.0, 0.5]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (file,) = td.export(line, f"{folder}/line.csv")
    ...     file.read_text().splitlines()[-2:]
    ['0.0,1.0', '0.5,0.1']
    """
    place = Path(path)
    form = format_of(place, to)
    if scale not in SCALES:
        raise InvalidArgument(
            f"scale must be 'log', 'linear' or None; got {scale!r}.", code="E-E12"
        )
    names = (what,) if isinstance(what, str) else tuple(what)
    settings = SurfaceSettings(variable, SCALES[scale], distances)
    writers = planned(tree_of(source), names, form, settings)
    files = files_for(place, list(writers), form)
    if not overwrite:
        refuse_present(files)
    return [write_whole(f, w) for f, w in zip(files, writers.values(), strict=True)]


def format_of(path: Path, to: str | None) -> str:
    """The format asked for, by name or by the suffix of `path`; raises ``InvalidArgument``.

    >>> format_of(Path("run.VTU"), None), format_of(Path("figures"), "pdf")
    ('vtu', 'pdf')
    """
    suffix = path.suffix.lower().lstrip(".")
    form = suffix if to is None else to.lower().lstrip(".")
    if form not in FORMATS:
        got = f"a path without a known suffix, {path.name!r}" if to is None else repr(to)
        raise InvalidArgument(
            f"to must be one of {', '.join(FORMATS)}; got {got}.",
            fix="pass to='csv' (--to csv), or a path (-o) that ends in .csv.",
            code="E-E01",
        )
    if suffix in FORMATS and suffix != form and not path.is_dir():
        raise InvalidArgument(
            f"path must end in .{form} or name a folder; got {path.name!r} for to={form!r}.",
            fix=f"use {path.with_suffix('.' + form).name!r}, or to={suffix!r}.",
            code="E-E03",
        )
    return form


def planned(
    tree: xr.DataTree, what: Sequence[str], form: str, settings: SurfaceSettings
) -> dict[str, Write]:
    """What is to be written: a file's name without suffix -> the function that fills it."""
    found = results_of(tree, what)
    kept = {k: v for k, v in found.items() if FORMATS[form].holds(v)}
    refused = [k for k in found if k not in kept]
    if not kept or (what and refused):
        names = ", ".join(refused)
        raise InvalidArgument(
            f"{names} cannot be written as {form}.",
            why=f"{FORMATS[form].lacking}.",
            fix="choose others with `what` (--what), or use csv or nc, which hold every result.",
            code="E-E11",
        )
    if form == "nc":
        return {"results": partial(write_netcdf, _only(tree, what, kept))}
    if form == "csv":
        return {
            f"{name}.{dims}" if dims else name: partial(write_csv, table, name)
            for name, result in kept.items()
            for dims, table in tables_of(_readable(result)).items()
        }
    if form in MESHES:
        return {k: partial(_mesh, v, form, settings) for k, v in kept.items()}
    return {k: partial(_figure, v, form, settings) for k, v in kept.items()}


def _readable(result: xr.Dataset) -> xr.Dataset:
    """Without the eigenvectors a run keeps for warm starts: millions of rows beside ten numbers."""
    if "layout" not in result.attrs or "vector" not in result:
        return result
    return result.drop_vars("vector").assign_attrs(left_out="vector: export to nc for it")


def _only(tree: xr.DataTree, what: Sequence[str], kept: dict[str, xr.Dataset]) -> xr.DataTree:
    """The whole tree, or one of the chosen results under the same root attributes."""
    if not what:
        return tree
    chosen = xr.DataTree(children={k: xr.DataTree(v) for k, v in kept.items()})
    chosen.attrs = dict(tree.attrs)
    return chosen


def _mesh(plane: xr.Dataset, form: str, settings: SurfaceSettings, path: Path) -> None:
    MESHES[form](plane, path, settings)


def _figure(result: xr.Dataset, form: str, settings: SurfaceSettings, path: Path) -> None:
    figure = printed_figure(result, variable=settings.variable, log=settings.log)
    path.write_bytes(figure_bytes(figure, form))
