"""CSV. Oracle: Python's own csv reader (RFC 4180) and the numbers handed in, bit for bit."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import xarray as xr
from tests.exporting.planted import gappy, plane, tilted
from tests.reporting.spectra import certificate, spectrum, trace

from theodolite.exporting import export
from theodolite.exporting.tables import tables_of


def read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The comment lines and the rows, as a reader of RFC 4180 sees them."""
    text = path.read_bytes().decode("utf-8")
    lines = text.split("\r\n")
    notes = [line for line in lines if line.startswith("# ")]
    body = "\r\n".join(lines[len(notes) :])
    return notes, list(csv.DictReader(body.splitlines(keepends=True), strict=True))


def table(result: xr.Dataset, folder: Path) -> tuple[list[str], list[dict[str, str]]]:
    (path,) = export(result, folder / "table.csv", overwrite=True)
    return read(path)


def test_every_number_reads_back_as_the_same_float64(tmp_path: Path) -> None:
    # Kills: digits cut (%g, 12 digits), which loses the last bits of a float64.
    values = np.random.default_rng(0).standard_normal((4, 3)) * 10.0 ** np.arange(
        -150, 150, 25
    ).reshape(4, 3)
    _, rows = table(plane(values), tmp_path)
    assert [float(r["loss"]) for r in rows] == values.ravel().tolist()


def test_swapped_axes_each_row_names_its_own_point(tmp_path: Path) -> None:
    # Kills: rows in the order of the stored array, alpha and beta exchanged.
    mixed = tilted().assign(loss=tilted()["loss"].transpose("beta", "alpha"))
    assert mixed["loss"].dims != mixed["status"].dims
    for result in (tilted(), tilted(turned=True), mixed):
        _, rows = table(result, tmp_path)
        assert len(rows) == 12
        for row in rows:
            assert float(row["loss"]) == float(row["alpha"]) + 10 * float(row["beta"])
            assert float(row["loss_error"]) == 0.1 * float(row["loss"])


def test_missing_numbers_are_empty_and_the_status_says_why(tmp_path: Path) -> None:
    # Kills: "nan" in cells, rows without a value dropped, status as a float.
    result = gappy()
    result["loss"][3, 2] = np.nan
    _, rows = table(result, tmp_path)
    assert rows[-1]["loss"] == ""
    assert rows[0]["loss"] == "inf"
    assert [r["status"] for r in rows].count("1") == 10
    assert rows[0]["status"] == "2"


def test_the_comment_block_explains_settings_and_columns(tmp_path: Path) -> None:
    notes, _ = table(tilted().assign_attrs(model="two\nlines", big=[1, 2]), tmp_path)
    assert "# seed: 7" in notes
    assert json.loads(next(n for n in notes if n.startswith("# model: "))[9:]) == "two\nlines"
    assert "# column loss: loss [nat]" in notes
    assert any(n.startswith("# column status: status: 0 not computed") for n in notes)


def test_texts_are_quoted_and_no_formula_runs(tmp_path: Path) -> None:
    # Kills: commas, quotes and line ends unquoted; a cell that a spreadsheet would run.
    found = xr.Dataset(
        {"figure": ("check", [1.0, 2.0, 3.0])},
        {"check": ['a, "b"', "c\r\nd", "=HYPERLINK(1)"]},
    )
    _, rows = table(found, tmp_path)
    assert [r["check"] for r in rows] == ['a, "b"', "c\r\nd", "'=HYPERLINK(1)"]


def test_scalars_are_repeated_and_named_so(tmp_path: Path) -> None:
    notes, rows = table(trace("bowl"), tmp_path)
    assert len({r["trace"] for r in rows}) == 1
    assert any(
        n.startswith("# column trace") and n.endswith("(repeated along probe)") for n in notes
    )
    assert [float(r["sample"]) for r in rows] == trace("bowl")["sample"].values.tolist()


def test_results_of_any_shape_lose_nothing(tmp_path: Path) -> None:
    # Kills: a product of unrelated dimensions, or variables of the second set left out.
    both = xr.Dataset(
        {"a": (("x", "y"), np.ones((2, 3))), "b": ("z", [1.0]), "c": ("y", [1.0, 2, 3])}
    )
    assert {k: set(map(str, v.data_vars)) for k, v in tables_of(both).items()} == {
        "": {"a", "c"}, "z": {"b"}
    }  # fmt: skip
    files = export(both.assign_attrs(quantity="odd"), tmp_path / "odd", to="csv")
    assert [f.name for f in files] == ["odd.csv", "odd.z.csv"]
    assert len(read(files[0])[1]) == 6
    density = spectrum("bowl")
    _, rows = table(density, tmp_path)
    assert len(rows) == density["node"].size
    assert (
        len(table(certificate("certified"), tmp_path)[1]) == certificate("certified").sizes["check"]
    )


def test_a_result_without_dimensions_is_one_row(tmp_path: Path) -> None:
    _, rows = table(xr.Dataset({"value": 0.1}, attrs={"quantity": "number"}), tmp_path)
    assert rows == [{"value": "0.1"}]


def test_a_plane_with_held_out_points_keeps_its_name_for_the_grid(tmp_path: Path) -> None:
    # A run's variables come sorted by name. Kills: the first variable's dimensions as the table.
    held = xr.Dataset({"a_held_out": ("held_out", [1.0, 2.0])})
    both = xr.merge([held, tilted()], combine_attrs="drop").assign_attrs(tilted().attrs)
    files = export(both[sorted(both.data_vars)], tmp_path / "x", to="csv")
    assert [f.name for f in files] == ["plane.csv", "plane.held_out.csv"]
    assert len(read(files[0])[1]) == 12
