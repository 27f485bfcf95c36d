"""Meshes of planes as files: VTU for ParaView, GLB for the web and Blender, PLY for the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, UInt8

from theodolite.exporting.optional import needed
from theodolite.exporting.surface_mesh import SurfaceMesh, SurfaceSettings, surface_mesh
from theodolite.plots.height_scale import shown

Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""(alpha, beta, height) to glTF's x right, y up, z toward the viewer: x = alpha, y = height,
z = -beta. A rotation by a quarter turn about alpha, so nothing is mirrored."""
GRAY = (0.5, 0.5, 0.5, 1.0)


def write_vtu(plane: xr.Dataset, path: Path, settings: SurfaceSettings) -> None:
    """An unstructured grid of quads and triangles with every variable of the plane at its points.

    Heights are those of the report; ``log10_<variable>`` and the variables themselves are point
    data, unclipped. The scale is field data as numbers (``height_is_log10``, ``height_high``,
    ``points_left_out``...), and all facts are a comment at the top of the file as JSON.
    """
    meshio = needed("meshio", extra="3d", purpose="VTU")
    mesh = surface_mesh(plane, settings)
    values = np.asarray(mesh.values[settings.variable], dtype=np.float64)
    log10 = np.full(values.shape, np.nan)
    np.log10(values, out=log10, where=values > 0)
    point_data = {**mesh.values, f"log10_{settings.variable}": log10}
    blocks = [("quad", mesh.quads), ("triangle", mesh.triangles)]
    grid = meshio.Mesh(
        mesh.points,
        [(kind, block) for kind, block in blocks if len(block)],
        point_data={k: _vtk_array(v) for k, v in point_data.items()},
    )
    grid.write(path, file_format="vtu")
    _insert_field_data(path, mesh)


def write_glb(plane: xr.Dataset, path: Path, settings: SurfaceSettings) -> None:
    """A glTF 2.0 scene: the surface with a color at every point, on a gray base at its lowest
    value; alpha runs along x, height along y, beta against z. The scene's extras hold the facts.

    Colors are the report's, converted from sRGB to the linear values that glTF asks for.
    """
    trimesh = needed("trimesh", extra="3d", purpose="GLB")
    mesh = surface_mesh(plane, settings)
    surface = trimesh.Trimesh(
        mesh.points @ Y_UP.T,
        mesh.all_triangles(),
        vertex_colors=eight_bit(linear_light(mesh.colors)),
        process=False,
    )
    scene = trimesh.Scene()
    scene.add_geometry(surface, node_name="surface", geom_name="surface")
    scene.add_geometry(_base(trimesh, mesh), node_name="base", geom_name="base")
    scene.metadata = {"theodolite": mesh.facts}
    path.write_bytes(
        trimesh.exchange.gltf.export_glb(
            scene, include_normals=True, unitize_normals=True, tree_postprocessor=_matte
        )
    )


def write_ply(plane: xr.Dataset, path: Path, settings: SurfaceSettings) -> None:
    """The same surface, float32 points and 8-bit sRGB colors; z is up, the facts are comments."""
    trimesh = needed("trimesh", extra="3d", purpose="PLY")
    mesh = surface_mesh(plane, settings)
    surface = trimesh.Trimesh(
        mesh.points, mesh.all_triangles(), vertex_colors=eight_bit(mesh.colors), process=False
    )
    content = trimesh.exchange.ply.export_ply(surface, vertex_normal=False)
    head, end, body = content.partition(b"end_header\n")
    first, _, rest = head.partition(b"element vertex")
    notes = "".join(f"comment {k} {json.dumps(v)}\n" for k, v in mesh.facts.items())
    path.write_bytes(first + notes.encode("ascii") + b"element vertex" + rest + end + body)


def linear_light(colors: Float[np.ndarray, "point 4"]) -> Float[np.ndarray, "point 4"]:
    """sRGB colors as linear light, opacity unchanged (IEC 61966-2-1).

    >>> eight_bit(linear_light(np.array([[0.0, 188 / 255, 1.0, 0.5]]))).tolist()
    [[0, 128, 255, 128]]
    """
    light = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    light[:, 3] = colors[:, 3]
    return light


def eight_bit(colors: Float[np.ndarray, "point 4"]) -> UInt8[np.ndarray, "point 4"]:
    """Colors from 0 to 1 as whole numbers from 0 to 255."""
    return np.asarray(np.rint(255 * colors), dtype=np.uint8)


def _base(trimesh: Any, mesh: SurfaceMesh) -> Any:
    """A gray rectangle under the whole plane, at the lowest height, facing up."""
    low = float(shown(np.array(mesh.scale.low), mesh.scale))
    (x0, y0, _), (x1, y1, _) = mesh.points.min(axis=0), mesh.points.max(axis=0)
    corners = np.array([[x0, y0, low], [x1, y0, low], [x1, y1, low], [x0, y1, low]])
    return trimesh.Trimesh(corners @ Y_UP.T, [[0, 1, 2], [0, 2, 3]], process=False)


def _matte(tree: dict[str, Any]) -> None:
    """Give both parts a material that is no metal: glTF's default one is, and looks black."""
    materials = tree.setdefault("materials", [])
    for name, color in (("surface", (1.0, 1.0, 1.0, 1.0)), ("base", GRAY)):
        part = next(m for m in tree["meshes"] if m["name"] == name)
        part["primitives"][0]["material"] = len(materials)
        materials.append(
            {
                "name": name,
                "doubleSided": True,
                "pbrMetallicRoughness": {
                    "baseColorFactor": list(color),
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.9,
                },
            }
        )


def _insert_field_data(path: Path, mesh: SurfaceMesh) -> None:
    """Add what meshio's writer leaves out: field data, which must be numbers to be read back."""
    facts = mesh.facts
    numbers: dict[str, list[float]] = {
        "height_is_log10": [float(mesh.scale.log)],
        **{k: [float(facts[k])] for k in ("height_low", "height_high", "largest_value")},
        "points_clipped_at_height_high": [float(mesh.scale.clipped)],
        "points_left_out": [float(facts["left_out"])],
        "alpha_range": facts["alpha_range"],
        "beta_range": facts["beta_range"],
    }
    arrays = "".join(
        f'<DataArray type="Float64" Name="{name}" NumberOfTuples="{len(values)}" format="ascii">'
        f"{' '.join(map(repr, values))}</DataArray>\n"
        for name, values in numbers.items()
    )
    comment = json.dumps(facts).replace("--", "-\\u002d")
    mark = "<UnstructuredGrid>"
    added = f"<!-- {comment} -->\n{mark}\n<FieldData>\n{arrays}</FieldData>"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mark, added, 1), encoding="utf-8")


def _vtk_array(values: np.ndarray) -> np.ndarray:
    """An array of a type that VTK has: whole numbers as int32, the rest as float64."""
    whole = values.dtype.kind in "biu"
    return np.ascontiguousarray(values, dtype=np.int32 if whole else np.float64)
