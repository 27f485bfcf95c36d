"""netCDF. Oracle: xarray reads the file back identical, attributes included."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests.exporting.planted import gappy, tilted, tree
from tests.reporting import fixtures

from theodolite.errors import InvalidArgument
from theodolite.exporting import export


def read(path: Path) -> xr.DataTree:
    with xr.open_datatree(path, engine="h5netcdf") as found:
        return found.load()


@pytest.mark.parametrize("kind", ["bowl", "chaos"])
def test_a_whole_survey_comes_back_identical(kind: str, tmp_path: Path) -> None:
    # Kills: a group, coordinate or attribute lost; gaps filled; status turned to float.
    survey = fixtures.survey(kind, steps=(9, 7))
    (path,) = export(survey, tmp_path / "run.nc")
    back = read(path)
    assert back.identical(survey)
    assert back["plane_0"]["status"].dtype == np.uint8
    assert dict(back.attrs) == dict(survey.attrs)


def test_a_single_result_is_a_group_of_its_quantity(tmp_path: Path) -> None:
    (path,) = export(gappy(), tmp_path / "plane.nc")
    assert read(path)["plane"].to_dataset().identical(gappy())


def test_only_the_named_results_are_written(tmp_path: Path) -> None:
    (path,) = export(tree(plane_0=tilted(), plane_1=gappy()), tmp_path / "x.nc", what="plane_1")
    back = read(path)
    assert list(back.children) == ["plane_1"]
    assert back.attrs["target"] == "planted"


def test_long_attributes_and_hard_ones_survive(tmp_path: Path) -> None:
    # Kills: HDF5's 64 KB limit for attributes met; integers beyond 64 bits; the empty text.
    result = tilted().assign_attrs(
        provenance=json.dumps({"k": "v" * 200_000}),
        empty="",
        words=["a", "b"],
        numbers=[1.5, 2.5],
        one=[3],
        huge=2**70,
        nothing=None,
        unicode="λ ± 0.1",
    )
    (path,) = export(result, tmp_path / "plane.nc")
    attrs = read(path)["plane"].attrs
    for name in ("provenance", "empty", "unicode", "seed"):
        assert attrs[name] == result.attrs[name]
    assert list(attrs["words"]) == ["a", "b"]
    assert list(attrs["numbers"]) == [1.5, 2.5]
    assert attrs["one"] == 3
    assert attrs["huge"] == str(2**70)
    assert attrs["nothing"] == "null"


def test_the_caller_s_tree_is_left_alone(tmp_path: Path) -> None:
    # Kills: attributes or encodings changed in place.
    survey = tree(plane_0=tilted().assign_attrs(nothing=None))
    loss = survey["plane_0"]["loss"].variable
    loss.encoding["zlib"], loss.attrs["nothing"] = True, None
    export(survey, tmp_path / "plane.nc")
    assert survey["plane_0"].attrs["nothing"] is None
    assert survey["plane_0"]["loss"].attrs["nothing"] is None
    assert survey["plane_0"]["loss"].encoding == {"zlib": True}


@pytest.mark.parametrize(
    ("missing", "form", "extra"),
    [("h5netcdf", "nc", "export"), ("h5py", "nc", "export"), ("meshio", "vtu", "3d"),
     ("trimesh", "glb", "3d"), ("trimesh", "ply", "3d")],
)  # fmt: skip
def test_a_missing_package_names_its_extra(
    missing: str, form: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Kills: the bare ImportError of an optional package.
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InvalidArgument, match="E-E10") as caught:
        export(tilted(), tmp_path / f"plane.{form}")
    assert f"theodolite[{extra}]" in caught.value.fix
    assert not list(tmp_path.iterdir())
