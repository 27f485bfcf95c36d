"""Many planes as small panels. Oracle: the data handed in, read back from the artists."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from theodolite import results
from theodolite.errors import InvalidArgument
from theodolite.plots import Panel, heights, plot_small_multiples
from theodolite.plots.printed import printed_figure


def plane(factor: float = 1.0, reach: float = 1.0, columns: int = 5, rows: int = 4) -> xr.Dataset:
    """``factor * (1 + alpha**2 + 10 beta)`` lifted above zero, on a grid that is not square."""
    alpha, beta = np.linspace(-reach, reach, columns), np.linspace(-reach, reach, rows)
    a, b = np.meshgrid(alpha, beta, indexing="ij")
    return results.dataset(
        "plane",
        {"loss": (("alpha", "beta"), factor * (20 + a**2 + 10 * b), {"long_name": "loss"})},
        {"alpha": alpha, "beta": beta},
        normalize="filter",
    )


def meshes(axes) -> list[QuadMesh]:
    return [next(c for c in ax.collections if isinstance(c, QuadMesh)) for ax in axes]


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (2, 1), (4, 1), (5, 2), (12, 3)])
def test_one_panel_a_model_in_the_order_given(count: int, rows: int) -> None:
    # Kills: panels sorted, dropped, or more than four in a row.
    figure = Figure()
    axes = plot_small_multiples([Panel(f"m{k}", plane(1 + k)) for k in range(count)], figure)
    assert [ax.texts[0].get_text() for ax in axes] == [f"m{k}" for k in range(count)]
    assert len({round(ax.get_position().y0, 6) for ax in axes}) == rows
    assert len({round(ax.get_position().x0, 6) for ax in axes}) == min(count, 4)


def test_all_panels_share_colors_span_and_lines() -> None:
    # Kills: a scale a panel; a span a panel, which would blow up the narrow plane.
    planes = [plane(1.0), plane(3.0, reach=0.5), plane(2.0)]
    axes = plot_small_multiples([Panel("m", p) for p in planes], Figure())
    scale = heights(planes)
    assert {m.get_clim() for m in meshes(axes)} == {(scale.low, scale.high)}
    assert {(ax.get_xlim(), ax.get_ylim()) for ax in axes} == {((-1, 1), (-1, 1))}


def test_swapped_axes_beta_runs_upward() -> None:
    # Kills: the field drawn without its transpose.
    (ax,) = plot_small_multiples([Panel("m", plane())], Figure())
    (mesh,) = meshes([ax])
    cells = np.asarray(mesh.get_array()).reshape(4, 5)
    np.testing.assert_allclose(cells, plane()["loss"].values.T)


def test_long_labels_and_notes_stay_above_their_panel() -> None:
    # Kills: a label that runs over its neighbor; more notes than there is room for.
    panel = Panel("x" * 80, plane(), ("one", "two", "three"))
    ax, _ = plot_small_multiples([panel, panel], Figure())
    texts = [t.get_text() for t in ax.texts]
    assert texts[0] == "x" * 29 + "…"
    assert sorted(texts[1:]) == ["one", "two"]


def test_what_is_no_plane_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="E-P05"):
        plot_small_multiples([], Figure())
    with pytest.raises(InvalidArgument, match="E-P03"):
        plot_small_multiples([Panel("m", xr.Dataset(attrs={"quantity": "line"}))], Figure())


def test_a_printed_plane_is_seen_from_above_and_from_the_side() -> None:
    # Kills: the surface left out; two scales.
    figure = printed_figure(plane(), log=False)
    flat, surface = (ax for ax in figure.axes if ax.get_label() != "<colorbar>")
    assert surface.name == "3d"
    assert meshes([flat])[0].get_clim() == pytest.approx(surface.get_zlim())


def test_a_quantity_without_a_figure_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match=r"'trace'.*E-P04"):
        printed_figure(xr.Dataset({"trace": 1.0}, attrs={"quantity": "trace"}))
