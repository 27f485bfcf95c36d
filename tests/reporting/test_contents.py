"""Reading survey trees. Oracle: trees put together by hand, and a table of what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from tests.reporting import fixtures, shapes, spectra

from theodolite.errors import InvalidArgument, InvalidData, InvalidType
from theodolite.reporting.contents import read_trees


def tree(**children: xr.Dataset) -> xr.DataTree:
    return xr.DataTree.from_dict({"/": xr.Dataset(), **children})


def test_parts_are_found_by_quantity(bowl: xr.DataTree) -> None:
    (found,) = read_trees(bowl)
    assert (len(found.planes), len(found.lines)) == (2, 3)
    for part in ("spectrum", "eigenvalues", "trace", "certificate", "training"):
        assert getattr(found, part) is not None


def test_planes_come_in_the_order_of_their_numbers() -> None:
    # Kills: sorting names as text, where plane_10 precedes plane_2.
    parts = {f"plane_{k}": shapes.plane("bowl", index=k, steps=(3, 3)) for k in (10, 2, 0)}
    (found,) = read_trees(tree(**parts))
    assert [p.attrs["plane"] for p in found.planes] == [0, 2, 10]


def test_a_single_result_is_a_report() -> None:
    (found,) = read_trees(shapes.plane("bowl", steps=(3, 3)))
    assert len(found.planes) == 1


def test_a_mapping_names_the_models(bowl: xr.DataTree, chaos: xr.DataTree) -> None:
    assert [c.label for c in read_trees({"first": bowl, "second": chaos})] == ["first", "second"]


def test_equal_names_are_told_apart(bowl: xr.DataTree) -> None:
    # Kills: two columns that nobody can tell apart.
    other = fixtures.survey("bowl", target="another target")
    by_target = [c.label for c in read_trees([bowl, other])]
    assert by_target == [
        "ResNet-20 (Fashion-MNIST, residual networks)",
        "ResNet-20 (another target)",
    ]
    assert [c.label for c in read_trees([bowl, bowl])] == ["ResNet-20 [1]", "ResNet-20 [2]"]


def test_settings_come_from_the_survey_else_from_its_planes(bowl: xr.DataTree) -> None:
    (found,) = read_trees(bowl)
    assert found.note("normalize") == "filter"
    assert found.note("examples") == shapes.EXAMPLES
    assert found.note("nothing", "otherwise") == "otherwise"


def test_a_stopped_run_is_reported_as_far_as_it_went() -> None:
    # Kills: a crash on groups that have no numbers yet.
    unfinished = spectra.eigenvalues("bowl").drop_vars("residual")
    node = spectra.spectrum("bowl")
    node["node"][1:] = np.nan
    (found,) = read_trees(
        tree(plane_0=shapes.plane("bowl", steps=(3, 3)), eigenvalues=unfinished, spectrum=node)
    )
    assert found.eigenvalues is None
    assert found.spectrum is not None
    assert found.spectrum.sizes["probe"] == 1


def test_a_spectrum_without_a_finished_probe_is_none() -> None:
    node = spectra.spectrum("bowl")
    node["node"][:] = np.nan
    (found,) = read_trees(tree(plane_0=shapes.plane("bowl", steps=(3, 3)), spectrum=node))
    assert found.spectrum is None


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([], InvalidArgument, "there is nothing to report: no survey"),
        ({}, InvalidArgument, "there is nothing to report: no survey"),
        (xr.DataTree(), InvalidArgument, "there is nothing to report: the tree holds no result"),
        ("runs/a", InvalidType, "made from survey trees or results; got str"),
        ([3.0], InvalidType, "got float"),
    ],
)
def test_what_is_no_survey_is_refused(given: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        read_trees(given)  # type: ignore[arg-type]


def test_a_result_of_a_newer_version_is_refused() -> None:
    newer = shapes.plane("bowl", steps=(3, 3)).assign_attrs(schema=99)
    with pytest.raises(InvalidData, match=r"'plane_0' has schema 99; this version reads up to 1"):
        read_trees(tree(plane_0=newer))


@pytest.mark.parametrize(
    ("headline", "message"),
    [
        ("{not json", "'headline' of the survey is not JSON"),
        ("{}", "must hold a list; got dict"),
        ('[{"name": "loss"}]', "needs name, label and value"),
        ("[3]", "needs name, label and value"),
    ],
)
def test_a_broken_headline_is_refused_by_name(headline: str, message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        read_trees(fixtures.survey("bowl", steps=(3, 3), headline=headline))
