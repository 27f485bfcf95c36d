"""Where files go and what is refused. Oracle: the folder before and after."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import meshio
import numpy as np
import pytest
import xarray as xr
from tests.exporting.planted import gappy, tilted, tree
from tests.reporting.spectra import eigenvalues, trace

import theodolite as td
from theodolite import results
from theodolite.errors import InvalidArgument, InvalidType, StorageError
from theodolite.exporting import FORMATS, export
from theodolite.exporting.chosen import tree_of


def two() -> xr.DataTree:
    return tree(plane_0=tilted(), plane_1=gappy())


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_every_format_writes_a_survey(form: str, tmp_path: Path) -> None:
    survey = tree(plane_0=gappy(), eigenvalues=eigenvalues("bowl"), trace=trace("bowl"))
    files = export(survey, tmp_path / "x", to=form)
    assert all(f.stat().st_size > 100 and f.suffix == f".{form}" for f in files)
    held = [k for k, c in survey.children.items() if FORMATS[form].holds(c.to_dataset())]
    expected = {"nc": ["results"], "csv": list(survey.children)}.get(form, held)
    assert {f.name.split(".")[0] for f in files} == set(expected)
    assert {"plane_0"} <= set(held)
    assert sorted((tmp_path / "x").iterdir()) == sorted(files)


@pytest.mark.parametrize("form", ["csv", "vtu", "glb", "ply", "png", "pdf"])
def test_the_same_result_gives_the_same_bytes(form: str, tmp_path: Path) -> None:
    # Kills: dates and random names in the files.
    first, second = (export(tilted(), tmp_path / f"{k}.{form}")[0] for k in (1, 2))
    assert first.read_bytes() == second.read_bytes()


def test_a_pdf_embeds_its_fonts_and_holds_no_pixels(tmp_path: Path) -> None:
    # Kills: Type 3 fonts, which journals refuse; rasterized cells.
    (path,) = export(gappy(), tmp_path / "plane.pdf")
    content = path.read_bytes()
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    assert b"/Subtype /Image" not in content


def test_a_png_has_300_dots_an_inch(tmp_path: Path) -> None:
    (path,) = export(tilted(), tmp_path / "plane.png")
    content = path.read_bytes()
    at = content.index(b"pHYs") + 4
    per_meter = int.from_bytes(content[at : at + 4], "big")
    assert round(per_meter * 0.0254) == 300


@pytest.mark.parametrize(
    ("path", "options", "code"),
    [
        ("x.xyz", {}, "E-E01"),
        ("x", {"to": "stl"}, "E-E01"),
        ("x.vtu", {}, "E-E02"),
        ("x.csv", {"to": "vtu"}, "E-E03"),
        ("x", {"to": "csv", "what": "plane_9"}, "E-E06"),
        ("x", {"to": "csv", "scale": "sqrt"}, "E-E12"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    path: str, options: dict, code: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgument, match=code):
        export(two(), tmp_path / path, **options)
    assert not list(tmp_path.iterdir())


def test_nothing_to_export_is_an_error(tmp_path: Path) -> None:
    trace = xr.Dataset({"trace": 1.0}, attrs={"quantity": "trace"})
    with pytest.raises(InvalidArgument, match="only planes are surfaces"):
        export(trace, tmp_path / "x", to="glb")
    with pytest.raises(InvalidArgument, match="E-E11"):
        export(tree(plane_0=tilted(), trace=trace), tmp_path / "x", to="vtu", what=["trace"])
    with pytest.raises(InvalidArgument, match="E-E07"):
        export(xr.DataTree(), tmp_path / "x", to="csv")
    with pytest.raises(InvalidType, match="E-E05"):
        tree_of([tilted()])
    with pytest.raises(StorageError, match="E-K07"):
        export(tmp_path, tmp_path / "x", to="csv")


def test_present_files_are_kept_unless_told_otherwise(tmp_path: Path) -> None:
    # Kills: a check file by file, which would write the first before it refuses the second.
    (tmp_path / "plane_1.csv").write_text("mine")
    with pytest.raises(InvalidArgument, match="E-E04"):
        export(two(), tmp_path, to="csv")
    assert [f.name for f in tmp_path.iterdir()] == ["plane_1.csv"]
    assert (tmp_path / "plane_1.csv").read_text() == "mine"
    export(two(), tmp_path, to="csv", overwrite=True)
    assert (tmp_path / "plane_1.csv").read_text() != "mine"


def test_a_full_disk_leaves_the_old_file_and_no_half_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Kills: writing in place.
    (file,) = export(tilted(), tmp_path / "plane.csv")
    before = file.read_bytes()

    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match="E-K02"):
        export(gappy(), file, overwrite=True)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_names_choose_by_number_or_by_kind(tmp_path: Path) -> None:
    files = export(two(), tmp_path / "all", to="csv", what="plane")
    assert [f.stem for f in files] == ["plane_0", "plane_1"]
    (file,) = export(two(), tmp_path / "one.csv", what=["plane_1"])
    assert file.name == "one.csv"


def test_another_variable_and_scale_are_drawn(tmp_path: Path) -> None:
    # Kills: options lost on the way to a mesh.
    options = {"variable": "loss_error", "scale": "log", "distances": True}
    (path,) = export(shifted(), tmp_path / "x.vtu", **options)
    back = meshio.read(path)
    np.testing.assert_allclose(back.points[:, 2], np.log10(back.point_data["loss_error"]))
    assert back.points[:, 0].max() == 4.0


def shifted() -> xr.Dataset:
    """The tilted plane lifted above zero."""
    found = tilted()
    found["loss"] = found["loss"] + 20.0
    found["loss_error"] = found["loss_error"] + 2.0
    return found


def test_topology_and_shape_are_drawn_as_well(tmp_path: Path) -> None:
    # Kills: a quantity that has a plot left out of the figures.
    values = np.add.outer(np.cos(3 * np.arange(9.0)), np.sin(2 * np.arange(7.0))) + 3
    waves = results.dataset(
        "plane",
        {"loss": (("alpha", "beta"), values, {"long_name": "loss"})},
        {"alpha": np.linspace(-1, 1, 9), "beta": np.linspace(-1, 1, 7)},
        normalize="filter",
    )
    for result in (td.topology(waves), td.shape([waves])):
        (file,) = export(result, tmp_path / "figures", to="png")
        assert file.stem == result.attrs["quantity"]
