"""Packing, tables, sparks, still pictures, provenance, files. Oracle: inputs read back."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from tests.reporting import fixtures, shapes, spectra

from theodolite.errors import InvalidArgument
from theodolite.plots import heights
from theodolite.reporting import save_figures
from theodolite.reporting.contents import Contents, read_trees
from theodolite.reporting.headline import Headline
from theodolite.reporting.numbers import Number
from theodolite.reporting.pack import json_for_script, pack_array, pack_plane, page_data
from theodolite.reporting.pictures import picture
from theodolite.reporting.provenance import command_text, fact_groups
from theodolite.reporting.sparks import EDGE, WIDTH, contour_art, sparks
from theodolite.reporting.summary import summarize
from theodolite.reporting.tables import headline_rows, line_table, plane_table


def test_arrays_survive_packing() -> None:
    values = np.array([[1.5, np.nan], [np.inf, -3e-7]])
    packed = pack_array(values)
    back = np.frombuffer(base64.b64decode(packed["f32"]), "<f4").reshape(packed["shape"])
    np.testing.assert_array_equal(back, values.astype("<f4"))


def test_what_float32_cannot_hold_is_infinite_and_no_warning() -> None:
    packed = pack_array(np.array([1e300]))
    assert np.isinf(np.frombuffer(base64.b64decode(packed["f32"]), "<f4")).all()


def test_descending_axes_are_packed_ascending() -> None:
    # Kills: values that keep their order while the axis is turned around.
    plane = shapes.plane("bowl", steps=(4, 3))
    turned = pack_plane(plane.isel(alpha=slice(None, None, -1)))
    assert turned == pack_plane(plane)


@pytest.mark.parametrize("text", ["</script>", "<!--", "a\u2028b\u2029", "&lt;", "]]>"])
def test_no_text_in_the_data_can_leave_the_script(text: str) -> None:
    written = json_for_script({text: text})
    assert json.loads(written) == {text: text}
    assert not re.search("[<>&\u2028\u2029]", written)


def test_nan_is_null_in_the_data() -> None:
    assert json_for_script([float("nan"), 1.0]) == "[null,1.0]"


def test_all_models_share_the_scale_of_a_plane(both: tuple[Contents, ...]) -> None:
    # Kills: a scale of the first model.
    found = page_data(both, "t")["scales"][0]["loss"]
    wanted = heights([c.planes[0] for c in both])
    assert (found["log"]["low"], found["log"]["high"]) == (wanted.low, wanted.high)
    assert found["default"] == "log"
    assert page_data(both, "t")["scales"][0]["accuracy"]["log"] is None


def test_the_status_of_test_data_is_packed_beside() -> None:
    plane = shapes.plane("bowl", steps=(2, 2))
    plane["test_status"] = (("alpha", "beta"), np.array([[1, 2], [1, 1]], np.uint8))
    packed = pack_plane(plane)["status"]
    assert base64.b64decode(packed["train"]) == bytes([1, 1, 1, 1])
    assert base64.b64decode(packed["test"]) == bytes([1, 2, 1, 1])


def test_a_large_plane_is_thinned_to_a_table_and_says_so() -> None:
    table = plane_table(shapes.plane("chaos"))
    assert table.thinned
    assert (len(table.rows), len(table.head)) == (11, 12)
    assert table.rows[0][0] == "\N{MINUS SIGN}1"
    assert table.rows[0][1] == "diverged"
    assert table.rows[-1][1] == "not computed"


def test_a_small_plane_is_shown_whole() -> None:
    plane = shapes.plane("bowl", steps=(3, 2))
    table = plane_table(plane)
    assert not table.thinned
    assert [len(r) for r in table.rows] == [3, 3, 3]
    assert float(table.rows[2][1]) == pytest.approx(float(plane["loss"][2, 0]), rel=5e-3)


def test_lines_are_tabled_with_their_errors() -> None:
    table = line_table([shapes.line("bowl", k) for k in range(2)])
    assert table.head == ("distance", "line 1", "line 2")
    assert all("±" in cell for row in table.rows for cell in row[1:])


def test_two_models_get_a_difference(both: tuple[Contents, ...]) -> None:
    rows = {r.name: r for r in headline_rows(summarize(both).models)}
    assert rows["largest_eigenvalue"].difference == "268.000 ± 0.031"
    assert rows["params"].difference == "0"


def headline(value: float, error: float | None, samples: tuple[float, ...] = ()) -> Headline:
    return Headline("x", "X", Number(value, error), "", samples)


def test_sparks_share_one_axis() -> None:
    # Kills: an axis of each model's own, where equal places mean different numbers.
    a, b = sparks([headline(10.0, 1.0), headline(20.0, 2.0)])
    assert (a.low, b.high) == (EDGE, WIDTH - EDGE)
    per_unit = (WIDTH - 2 * EDGE) / (22.0 - 9.0)
    assert b.value - a.value == pytest.approx(10 * per_unit, abs=0.02)
    assert a.high - a.value == pytest.approx(per_unit, abs=0.02)


def test_sparks_turn_logarithmic_over_large_ratios() -> None:
    a, b, c = sparks([headline(v, 0.001 * v) for v in (1.0, 10.0, 100.0)])
    assert b.value - a.value == pytest.approx(c.value - b.value, abs=0.05)


def test_draws_are_drawn_and_nothing_is_drawn_of_one_number() -> None:
    (row,) = sparks([headline(2.0, 0.5, (1.0, 3.0, float("nan")))])
    assert row.draws == (EDGE, WIDTH - EDGE)
    assert sparks([headline(2.0, 0.5)]) == ()
    assert sparks([headline(float("nan"), None), headline(float("nan"), None)]) == ()


def test_the_ornament_is_made_of_the_plane() -> None:
    assert len(contour_art(shapes.plane("bowl"))) > 8
    assert contour_art(shapes.plane("bowl", steps=(2, 2))) == ()
    assert contour_art(None) == ()


def test_still_pictures_follow_the_page_and_escape_text() -> None:
    # Kills: a style sheet inside a picture that changes the page; text taken as markup.
    def draw(ax: Axes) -> Axes:
        ax.set_title("<script>x()</script> & more", color="#17212b")
        return ax

    svg = picture(draw, "one")
    assert "<style" not in svg
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg
    assert "var(--ink)" in svg
    assert set(re.findall(r'id="(\w+)-', svg)) == {"one"}
    assert svg == picture(draw, "one")


def test_the_command_is_written_as_it_would_be_typed() -> None:
    assert command_text({"command": ["theodolite", "survey", "a b.py:f"]}) == (
        "theodolite survey 'a b.py:f'"
    )
    assert command_text({"command": "make demo"}) == "make demo"
    assert command_text({}) == ""


def test_provenance_is_grouped_and_its_cost_summed() -> None:
    stretches = [{"wall_seconds": 60.0, "cpu_seconds": 100.0}, {"wall_seconds": 90.0}]
    groups = dict(
        fact_groups({"folder": "runs", "versions": {"torch": "2"}, "stretches": stretches})
    )
    assert groups["Run"] == (("folder", "runs"),)
    assert groups["Versions"] == (("torch", "2"),)
    assert groups["Cost"] == (
        ("wall time", "2.5 min"),
        ("processor time", "100.0 s"),
        ("stretches of work", "2"),
    )


def test_figures_are_saved(tmp_path: Path) -> None:
    tree = fixtures.survey("bowl", steps=(3, 3), planes=1, lines=1)
    names = {p.name for p in save_figures(tree, tmp_path)}
    assert names == {
        f"{n}.png" for n in ("plane_0", "surface_0", "lines", "spectrum", "eigenvalues", "training")
    }
    assert all((tmp_path / n).read_bytes().startswith(b"\x89PNG") for n in names)


def test_an_unknown_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"form must be one of .* got 'gif'"):
        save_figures(shapes.plane("bowl", steps=(3, 3)), tmp_path, form="gif")


def test_compared_spectra_lie_on_one_grid(both: tuple[Contents, ...]) -> None:
    data = page_data(both, "t")
    first, second = (s["wide"]["value"] for s in data["spectra"])
    assert first == second
    assert data["wide_within"] > 0


def test_spectra_that_a_linear_axis_shows_have_no_wide_one() -> None:
    node = spectra.spectrum("bowl")
    node["node"][:] = np.linspace(-1, 1, node.sizes["step"])
    tree = xr.DataTree.from_dict({"/": xr.Dataset(), "spectrum": node})
    data = page_data(read_trees(tree), "t")
    assert data["wide_within"] is None
    assert set(data["spectra"][0]) == {"linear"}
