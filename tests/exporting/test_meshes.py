"""Mesh files. Oracle: meshio and trimesh read them back; the glTF 2.0 layout byte by byte."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import meshio
import numpy as np
import pytest
import trimesh
import xarray as xr
from matplotlib import colormaps
from tests.exporting.planted import decades, gappy, plane, tilted

from theodolite.exporting.meshes import (
    Y_UP,
    eight_bit,
    linear_light,
    write_glb,
    write_ply,
    write_vtu,
)
from theodolite.exporting.surface_mesh import SurfaceSettings, surface_mesh


def glb(result: xr.Dataset, folder: Path) -> tuple[Path, dict]:
    """The file, checked chunk by chunk, and the JSON in it."""
    path = folder / "plane.glb"
    write_glb(result, path, SurfaceSettings())
    content = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, kind = struct.unpack_from("<I4s", content, 12)
    assert kind == b"JSON"
    assert size % 4 == 0
    text = json.loads(content[20 : 20 + size])
    rest, kind = struct.unpack_from("<I4s", content, 20 + size)
    assert kind == b"BIN\0"
    assert rest % 4 == 0
    assert 28 + size + rest == len(content)
    assert sum(b["byteLength"] for b in text["bufferViews"]) <= text["buffers"][0]["byteLength"]
    return path, text


@pytest.mark.parametrize("result", [tilted(), tilted(turned=True), decades(), gappy()])
def test_glb_points_are_the_data_in_real_units(result: xr.Dataset, tmp_path: Path) -> None:
    # Kills: axes exchanged, a mirrored rotation, heights scaled to a box, a moved scene graph.
    path, _ = glb(result, tmp_path)
    scene = trimesh.load(path, process=False)
    place, name = scene.graph["surface"]
    np.testing.assert_array_equal(place, np.eye(4))
    x, y, z = scene.geometry[name].vertices.T
    expected = surface_mesh(result, SurfaceSettings()).points
    np.testing.assert_allclose(np.stack([x, -z, y], axis=1), expected, rtol=1e-6, atol=1e-6)


def test_glb_a_tilted_plane_keeps_its_equation(tmp_path: Path) -> None:
    # f = alpha + 10 beta, so height - x + 10 z = 0 with z against beta. Kills: swapped axes.
    path, _ = glb(tilted(), tmp_path)
    x, y, z = trimesh.load(path, process=False).geometry["surface"].vertices.T
    np.testing.assert_allclose(y - x + 10 * z, 0, atol=1e-5)


def test_the_turn_to_y_up_mirrors_nothing() -> None:
    # Kills: beta along +z, which is a reflection (determinant -1).
    assert np.linalg.det(Y_UP) == pytest.approx(1.0)
    np.testing.assert_array_equal(Y_UP @ [0, 0, 1], [0, 1, 0])


def test_glb_normals_point_up_and_are_those_of_the_plane(tmp_path: Path) -> None:
    # Kills: clockwise faces; normals of another orientation.
    path, text = glb(tilted(), tmp_path)
    surface = trimesh.load(path, process=False).geometry["surface"]
    up = np.array([-1.0, 1.0, 10.0]) / np.sqrt(102.0)
    np.testing.assert_allclose(surface.face_normals, np.tile(up, (12, 1)), atol=1e-5)
    part = next(m for m in text["meshes"] if m["name"] == "surface")["primitives"][0]
    assert {"POSITION", "NORMAL", "COLOR_0"} <= set(part["attributes"])
    assert part["mode"] == 4


def test_glb_colors_are_the_reports_as_linear_light(tmp_path: Path) -> None:
    # Kills: sRGB written where glTF asks for linear light, or another color map or scale.
    path, _ = glb(decades(), tmp_path)
    look = trimesh.load(path, process=False).geometry["surface"].visual
    colors = np.asarray(look.vertex_attributes["color"]) / 255
    srgb = colormaps["cividis"](np.linspace(0, 1, 12))[:, :3]
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(colors[:, :3], light, atol=0.5 / 255 + 1e-7)


def test_linear_light_of_known_grays() -> None:
    # IEC 61966-2-1: 50 % linear light is sRGB 188; 0 and 255 stay.
    grays = np.array([[0, 188, 255, 7]]) / 255
    np.testing.assert_array_equal(eight_bit(linear_light(grays)), [[0, 128, 255, 7]])


def test_glb_base_is_axis_aligned_under_the_lowest_point(tmp_path: Path) -> None:
    # Kills: a base that cuts the surface or leaves its span.
    path, text = glb(gappy(), tmp_path)
    scene = trimesh.load(path, process=False)
    base, surface = scene.geometry["base"], scene.geometry["surface"]
    low, high = surface.bounds
    np.testing.assert_allclose(base.bounds, [low, [high[0], low[1], high[2]]], atol=1e-6)
    np.testing.assert_allclose(base.face_normals, [[0, 1, 0]] * 2)
    assert all(m["pbrMetallicRoughness"]["metallicFactor"] == 0 for m in text["materials"])


def test_glb_extras_say_what_is_drawn(tmp_path: Path) -> None:
    _, text = glb(gappy(), tmp_path)
    facts = text["scenes"][0]["extras"]["theodolite"]
    assert facts["seed"] == 7
    assert facts["scale"] == "linear"
    assert facts["alpha_range"] == [-1.0, 2.0]
    assert facts["left_out"] == 2
    assert facts["points"]["diverged"] == 1


def test_ply_holds_the_same_points_and_srgb_colors(tmp_path: Path) -> None:
    # Kills: glTF's turned axes or linear colors in PLY, comments that break the header.
    path = tmp_path / "plane.ply"
    write_ply(decades(), path, SurfaceSettings())
    back = trimesh.load(path, process=False)
    mesh = surface_mesh(decades(), SurfaceSettings())
    np.testing.assert_allclose(back.vertices, mesh.points, rtol=1e-6)
    np.testing.assert_array_equal(back.visual.vertex_colors, eight_bit(mesh.colors))
    np.testing.assert_array_equal(back.faces, mesh.all_triangles())
    head = path.read_bytes().partition(b"end_header")[0].decode("ascii")
    assert 'comment scale "log10"' in head
    assert "property float x" in head
    assert "property uchar red" in head


def test_vtu_holds_every_variable_and_the_scale(tmp_path: Path) -> None:
    # Kills: clipped or log values as point data, left-out points written, a scale not stated.
    path = tmp_path / "plane.vtu"
    write_vtu(gappy(), path, SurfaceSettings())
    back = meshio.read(path)
    mesh = surface_mesh(gappy(), SurfaceSettings())
    np.testing.assert_array_equal(back.points, mesh.points)
    assert [(c.type, len(c.data)) for c in back.cells] == [("quad", 1), ("triangle", 5)]
    known = (gappy()["status"] == 1).values
    loss = gappy()["loss"].values[known]
    np.testing.assert_array_equal(back.point_data["loss"], loss)
    np.testing.assert_array_equal(back.point_data["loss_error"], 0.1 * loss)
    np.testing.assert_allclose(back.point_data["log10_loss"], np.log10(loss), rtol=1e-15)
    assert set(back.point_data["status"]) == {1}
    assert back.field_data["points_left_out"] == 2
    assert back.field_data["height_is_log10"] == 0


def test_vtu_heights_on_a_log_scale_are_log10(tmp_path: Path) -> None:
    path = tmp_path / "plane.vtu"
    write_vtu(decades(), path, SurfaceSettings(log=True))
    back = meshio.read(path)
    np.testing.assert_allclose(back.points[:, 2], back.point_data["log10_loss"], atol=1e-14)
    assert back.field_data["height_is_log10"] == 1


def test_a_note_cannot_end_the_comment_it_stands_in(tmp_path: Path) -> None:
    # Kills: "--" unescaped, which is no XML.
    path = tmp_path / "plane.vtu"
    write_vtu(tilted().assign_attrs(model="a --> b <x> \u2028"), path, SurfaceSettings())
    assert len(meshio.read(path).points) == 12
    ply = tmp_path / "plane.ply"
    write_ply(plane(np.ones((4, 3)), model="line\nend_header"), ply, SurfaceSettings())
    assert len(trimesh.load(ply, process=False).vertices) == 12
