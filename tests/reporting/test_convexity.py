"""Bowls that are none, overlays and the convexity panel, from planted planes and spectra.

Oracle: quadratics with chosen eigenvalues, whose random slices are known to be bowls.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import xarray as xr
from tests.reporting import fixtures

from theodolite import results
from theodolite.reporting import report
from theodolite.reporting.contents import Contents, read_trees
from theodolite.reporting.convexity import bowl_note, bowl_warning, lowest_curvature, nonconvexity
from theodolite.reporting.overlays import DOWN, SADDLE, UP, overlay_choices, pack_overlays
from theodolite.reporting.sentences import plain_text

RNG = np.random.default_rng(0)


def slice_of(eigenvalues: np.ndarray, seed: int = 0) -> xr.Dataset:
    """A random plane through the minimum or saddle of a quadratic with these eigenvalues."""
    d = np.random.default_rng(seed).normal(size=(2, len(eigenvalues)))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    seen = (d * eigenvalues) @ d.T
    x = np.linspace(-1, 1, 9)
    a, b = np.meshgrid(x, x, indexing="ij")
    loss = 1 + 0.5 * (seen[0, 0] * a * a + 2 * seen[0, 1] * a * b + seen[1, 1] * b * b)
    dims = ("alpha", "beta")
    variables = {
        "loss": (dims, loss, {"long_name": "loss"}),
        "status": results.status_variable(dims, np.full(loss.shape, results.OK)),
    }
    return results.dataset("plane", variables, {"alpha": x, "beta": x}, normalize="filter")


def ends_of(eigenvalues: np.ndarray, residual: float = 0.01) -> xr.Dataset:
    ends = np.array([eigenvalues.max(), eigenvalues.min()])
    notes = {"long_name": "residual"}
    variables = {"residual": (("eigenvalue",), np.full(2, residual), notes)}
    return results.dataset("eigenpairs", variables, {"eigenvalue": ends})


def a_map(smallest: float, points: int = 9) -> xr.Dataset:
    x = np.linspace(-1, 1, 3)
    full = {
        "largest_eigenvalue": 2.0,
        "largest_residual": 0.01,
        "smallest_eigenvalue": smallest,
        "smallest_residual": 0.01,
        "ratio": smallest / 2,
        "ratio_error": 0.006,
        "products": 20.0,
        "converged": 1.0,
    }
    dims = ("alpha", "beta")
    variables = {k: (dims, np.full((3, 3), v), {"long_name": k}) for k, v in full.items()}
    variables["status"] = results.status_variable(dims, np.ones((3, 3)))
    found = results.dataset("convexity", variables, {"alpha": x, "beta": x}, tolerance=0.01)
    return found


def contents(**children: xr.Dataset) -> Contents:
    return read_trees(xr.DataTree.from_dict(children))[0]


MANY = np.linspace(0.5, 1.5, 400)
HIDDEN = np.concatenate([MANY, [-0.12, -0.12]])


def test_a_bowl_whose_hessian_bends_down_is_told() -> None:
    # kills: no warning, the largest eigenvalue cited, the residual of another pair
    found = contents(plane_0=slice_of(HIDDEN), eigenvalues=ends_of(HIDDEN))
    warning = bowl_warning(found)
    assert warning is not None
    assert plain_text(warning) == (
        "The plane looks like a bowl, but the Hessian there has a negative direction: "
        "\N{MINUS SIGN}0.12 ± 0.01; random slices hide it."
    )


def test_a_true_bowl_is_not_told_on() -> None:
    # kills: a warning for every bowl; a residual taken as negative curvature
    for low in (0.5, 0.0, -0.005):
        values = np.append(MANY, low)
        found = contents(plane_0=slice_of(values), eigenvalues=ends_of(values))
        assert bowl_warning(found) is None


def test_a_plane_that_shows_its_saddle_needs_no_warning() -> None:
    # kills: a warning from the Hessian alone
    saddle = np.concatenate([MANY, -MANY])
    planes = [slice_of(saddle, seed) for seed in range(40)]
    plane = next(p for p in planes if float(p.loss.min()) < 0.9999)
    assert bowl_warning(contents(plane_0=plane, eigenvalues=ends_of(saddle))) is None


def test_several_planes_are_counted() -> None:
    found = contents(
        plane_0=slice_of(HIDDEN), plane_1=slice_of(HIDDEN, 1), eigenvalues=ends_of(HIDDEN)
    )
    warning = bowl_warning(found)
    assert warning is not None
    assert plain_text(warning).startswith("At the start 2 of 2 planes look like bowls, but")


def test_the_lowest_curvature_comes_from_pairs_then_the_map_then_the_spectrum() -> None:
    # kills: the map read away from the start, a spectrum taken before eigenvalues
    spectrum = fixtures.spectrum("chaos")
    node = float(spectrum.node.min())
    every = {"eigenvalues": ends_of(HIDDEN), "convexity": a_map(-0.3), "spectrum": spectrum}
    for wanted in (-0.12, -0.3, node):
        found = lowest_curvature(contents(plane_0=slice_of(HIDDEN), **every))
        assert found is not None
        assert found.number.value == wanted
        every.pop(next(iter(every)))
    assert lowest_curvature(contents(plane_0=slice_of(HIDDEN))) is None


def test_the_note_for_the_terminal_is_the_sentence() -> None:
    tree = xr.DataTree.from_dict({"plane_0": slice_of(HIDDEN), "eigenvalues": ends_of(HIDDEN)})
    assert "looks like a bowl, but" in bowl_note(tree)
    tree = xr.DataTree.from_dict({"plane_0": slice_of(MANY), "eigenvalues": ends_of(MANY)})
    assert bowl_note(tree) == ""


def test_the_map_is_put_into_words() -> None:
    # kills: undecided points counted as sure, the mean without its error
    said = nonconvexity(contents(convexity=a_map(-0.3)))
    assert said is not None
    assert plain_text(said) == (
        "The full Hessian has a negative direction at 9 of 9 points of the convexity map; the "
        "smallest curvature there is \N{MINUS SIGN}0.150 ± 0.006 times the largest on average."
    )
    undecided = nonconvexity(contents(convexity=a_map(-0.005)))
    assert undecided is not None
    assert "at 0 of 9 points of the convexity map (9 more are undecided)" in plain_text(undecided)


def test_the_page_has_the_panel_and_the_sentence(tmp_path: Path) -> None:
    tree = xr.DataTree.from_dict(
        {"plane_0": slice_of(HIDDEN), "eigenvalues": ends_of(HIDDEN), "convexity": a_map(-0.3)}
    )
    page = report(tree, tmp_path / "page.html").read_text("utf-8")
    assert 'id="convexity"' in page
    assert "9 points, 180 Hessian-vector products." in page
    assert 'data-cited="hidden_curvature" data-error="0.01"' in page
    alone = report(slice_of(HIDDEN), tmp_path / "alone.html").read_text("utf-8")
    assert 'id="convexity"' not in alone


def test_two_equal_surveys_have_pictures_of_their_own(tmp_path: Path) -> None:
    # kills: the place of a survey looked up by equality, so that ids are there twice
    parts = {"plane_0": slice_of(HIDDEN), "convexity": a_map(-0.3)}
    both = [xr.DataTree.from_dict(parts) for _ in range(2)]
    page = report(both, tmp_path / "page.html").read_text("utf-8")
    section = page[page.index('id="convexity"') :]
    section = section[: section.index("</section>")]
    ids = re.findall(r'\bid="([^"]+)"', section)
    assert len(ids) == len(set(ids))
    assert section.count('aria-label="Convexity map of') == 2
    swatches = re.findall(r'class="column-title">(.*?)<h3>', section, re.DOTALL)
    assert len(set(swatches)) == 2


def curved(sign_x: int, sign_y: int) -> xr.Dataset:
    x = np.linspace(-1, 1, 9)
    loss = 3 + sign_x * x[:, None] ** 2 + sign_y * x**2 + 0.5 * x[:, None]
    return xr.Dataset(
        {"loss": (("alpha", "beta"), loss)}, {"alpha": x, "beta": x}, {"quantity": "plane"}
    )


def test_overlays_carry_one_code_a_point_and_slopes_at_some() -> None:
    # kills: codes exchanged, axes of the slopes exchanged, arrows on the border
    for signs, code in (((1, 1), UP), ((1, -1), SADDLE), ((-1, 1), SADDLE), ((-1, -1), DOWN)):
        packed = pack_overlays(curved(*signs))["loss"]
        codes = np.frombuffer(base64.b64decode(packed["signs"]), np.uint8)
        assert codes.tolist() == [code] * 81
    i, j = packed["at"]
    assert i == j == list(range(1, 8))
    slopes = np.frombuffer(base64.b64decode(packed["slopes"]["f32"]), "<f4").reshape(2, 7, 7)
    x = np.linspace(-1, 1, 9)[1:8]
    exact = np.stack(np.broadcast_arrays(0.5 - 2 * x[:, None], -2 * x))
    flat = np.hypot(*exact) == 0  # the top of the dome: no direction, so no arrow
    assert np.isnan(slopes[:, flat]).all()
    np.testing.assert_allclose(slopes[:, ~flat], exact[:, ~flat], rtol=1e-6, atol=1e-7)


def test_a_plane_too_small_to_fit_has_no_overlay() -> None:
    small = curved(1, 1).isel(alpha=slice(4))
    assert pack_overlays(small) == {}
    assert overlay_choices([small]) == [("none", "None")]
    names = [value for value, _ in overlay_choices([curved(1, 1)])]
    assert names == ["none", "curvature", "gradient"]
