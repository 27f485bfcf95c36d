"""Planes as meshes. Oracle: closed forms (a tilted plane has its own equation), grid counts."""

from __future__ import annotations

import numpy as np
import pytest
from tests.exporting.planted import ALPHA, BETA, decades, gappy, plane, tilted

from theodolite.errors import InvalidArgument
from theodolite.exporting.surface_mesh import SurfaceSettings, cells, surface_mesh


@pytest.mark.parametrize("turned", [False, True])
def test_swapped_axes_a_tilted_plane_keeps_its_equation(turned: bool) -> None:
    # Peers drew loss[i, j] with i along the vertical axis (loss-landscapes, tomgoldstein's plots).
    # Kills: a missing transpose, meshgrid with indexing="xy", alpha and beta exchanged.
    mesh = surface_mesh(tilted(turned), SurfaceSettings(log=False))
    x, y, z = mesh.points.T
    np.testing.assert_array_equal(z, np.minimum(x + 10 * y, mesh.scale.high))
    assert mesh.scale.clipped == 0
    assert sorted(set(x)) == list(ALPHA)
    assert sorted(set(y)) == list(BETA)


def test_square_only_a_grid_of_four_by_three_has_six_cells() -> None:
    # Kills: len(alpha) used for both axes, as peers that need square grids do.
    mesh = surface_mesh(tilted(), SurfaceSettings())
    assert (len(mesh.points), len(mesh.quads), len(mesh.triangles)) == (12, 6, 0)


def test_no_interpolation_every_vertex_is_a_measured_number() -> None:
    # Peers refine with interp2d before they draw. Kills: resampling, smoothing, filled gaps.
    mesh = surface_mesh(decades(), SurfaceSettings(log=True))
    np.testing.assert_allclose(mesh.points[:, 2], np.linspace(-2, 2, 12), rtol=0, atol=1e-14)


def test_cells_turn_counterclockwise_seen_from_above() -> None:
    # Kills: corners in reversed order, which turns every normal down.
    mesh = surface_mesh(gappy(), SurfaceSettings())
    a, b, c = (mesh.points[mesh.all_triangles()[:, k], :2] for k in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    assert (area > 0).all()


def test_diverged_and_failed_points_are_left_out_and_not_filled() -> None:
    # Kills: status ignored (the failed point's 123 would be drawn), gaps closed over.
    mesh = surface_mesh(gappy(), SurfaceSettings())
    assert len(mesh.points) == 10
    assert 123.0 not in mesh.values["loss"]
    x, y = mesh.points[:, 0], mesh.points[:, 1]
    gone = ((x == ALPHA[0]) & (y == BETA[0])) | ((x == ALPHA[2]) & (y == BETA[1]))
    assert not gone.any()
    # One cell lost its only corner: a triangle. The failed point touches four cells: triangles.
    assert (len(mesh.quads), len(mesh.triangles)) == (1, 5)
    dropped = 0.5 * (ALPHA[1] - ALPHA[0]) * (BETA[1] - BETA[0])
    whole = (ALPHA[-1] - ALPHA[0]) * (BETA[-1] - BETA[0])
    assert projected_area(mesh) == pytest.approx(whole - 5 * dropped)
    assert mesh.facts["left_out"] == 2


def projected_area(mesh) -> float:
    corners = mesh.points[mesh.all_triangles(), :2]
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return float(np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).sum() / 2)


def test_a_cell_with_two_corners_is_no_cell() -> None:
    quads, triangles = cells(np.array([[0, 1], [-1, -1]]))
    assert not len(quads)
    assert not len(triangles)


def test_distances_are_steps_times_the_norms_of_the_directions() -> None:
    # Kills: the norm of the other direction, or of theta.
    mesh = surface_mesh(tilted(), SurfaceSettings(distances=True))
    assert sorted(set(mesh.points[:, 0])) == list(2.0 * ALPHA)
    assert sorted(set(mesh.points[:, 1])) == list(5.0 * BETA)


def test_heights_clipped_as_in_the_report_and_said_so() -> None:
    # Kills: clipping left out or not counted; the values themselves clipped too.
    values = np.ones((4, 3)) + 0.01 * np.arange(12).reshape(4, 3)
    values[3, 2] = 1e4
    mesh = surface_mesh(plane(values), SurfaceSettings(log=False))
    assert mesh.points[:, 2].max() == mesh.scale.high < 1e4
    assert mesh.facts["points_clipped_at_height_high"] == 1
    assert mesh.facts["largest_value"] == mesh.values["loss"].max() == 1e4


def test_what_cannot_be_a_surface_is_refused() -> None:
    none = plane(np.full((4, 3), np.nan))
    with pytest.raises(InvalidArgument, match="E-E08"):
        surface_mesh(none, SurfaceSettings())
    nameless = tilted()
    del nameless.attrs["direction_norm_beta"]
    with pytest.raises(InvalidArgument, match="direction_norm_beta"):
        surface_mesh(nameless, SurfaceSettings(distances=True))
    with pytest.raises(InvalidArgument, match="E-P02"):
        surface_mesh(tilted(), SurfaceSettings(log=True))
    with pytest.raises(InvalidArgument, match="E-P01"):
        surface_mesh(tilted(), SurfaceSettings(variable="nothing"))


def test_fitted_points_are_counted_and_named() -> None:
    # Kills: a surface from few evaluations passed off as measured at every point.
    fitted = tilted().assign_attrs(method="adaptive", held_out_error=0.01)
    how = np.ones((4, 3), np.uint8)
    how[0, 0], how[1, 2] = 0, 2
    fitted["sampled"] = (("alpha", "beta"), how)
    facts = surface_mesh(fitted, SurfaceSettings()).facts
    assert (facts["points_fitted"], facts["method"], facts["held_out_error"]) == (
        2,
        "adaptive",
        0.01,
    )
    assert surface_mesh(tilted(), SurfaceSettings()).facts["points_fitted"] == 0
