"""``theodolite export``. Oracle: the run's own store, read back from the files."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import xarray as xr

from theodolite.surveys import load_run

SURVEY = ("survey", "mine.py:build", "--measures", "planes", "-o", "runs/a")


@pytest.fixture
def run(call, quick) -> Path:
    assert call(*SURVEY).code == 0
    return Path("runs/a")


def test_a_run_goes_to_every_kind_of_file(call, run) -> None:
    said = call("export", run, "--to", "nc")
    assert said.out.strip() == "runs/a/export/results.nc"
    with (
        warnings.catch_warnings(),  # xarray sets a filter of its own while it reads
        xr.open_datatree(said.out.strip(), engine="h5netcdf") as back,
    ):
        assert back.identical(load_run(run))
    said = call("export", run, "--to", "csv", "--json")
    files = json.loads(said.out)["files"]
    assert all(Path(f).exists() for f in files)
    assert "runs/a/export/csv/plane_0.csv" in files
    said = call("export", run, "-o", "out.glb", "--what", "plane_0", "--scale", "linear")
    assert (said.code, said.out.strip()) == (0, "out.glb")
    assert Path("out.glb").read_bytes()[:4] == b"glTF"


def test_nothing_is_replaced_without_force(call, run) -> None:
    Path("out").mkdir()
    Path("out/plane_0.png").write_text("mine")
    again = ("export", run, "--to", "png", "-o", "out", "--what", "plane_0")
    said = call(*again)
    assert said.code == 2
    assert "E-E04" in said.err
    assert [f.read_text() for f in Path("out").iterdir()] == ["mine"]
    assert call(*again, "--force").code == 0
    assert [f.read_bytes()[:4] for f in Path("out").iterdir()] == [b"\x89PNG"]


def test_results_are_chosen_by_name(call, run) -> None:
    assert call("export", run, "--to", "csv", "-o", "out", "--what", "plane_0,start").code == 0
    names = {f.name for f in Path("out").iterdir()}
    assert {"plane_0.csv", "start.csv"} <= names
    assert {n.partition(".")[0] for n in names} == {"plane_0", "start"}


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["nowhere", "--to", "csv"], 2, "E-K07"),
        ([".", "--to", "csv"], 2, "a run folder has a results.zarr inside"),
        (["nowhere", "--to", "stl"], 2, "nc, csv, vtu, glb, ply, png, pdf"),
        (["nowhere"], 2, "E-E01"),
    ],
)
def test_what_cannot_be_exported_is_told_in_a_few_lines(call, argv, code, said) -> None:
    found = call("export", *argv)
    assert found.code == code
    assert said in found.err
    assert not found.out
    assert "Traceback" not in found.err
