"""Principal directions and projections of points.

Oracles: NumPy's singular value decomposition of all points at once; planted paths; the normal
equations' defining property (the residual is orthogonal to every direction).
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.directions import Points
from theodolite.directions import points as reading
from theodolite.errors import InvalidArgument, InvalidType, NotFinite


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def space_of(size: int) -> td.ParameterSpace:
    return td.ParameterSpace.from_model(nn.Linear(size, 1, bias=False))


POINTS = normal(7, 40, seed=1) * torch.arange(1, 8, dtype=torch.float64)[:, None] + 100.0


def dense(points: Tensor, center: str) -> tuple[np.ndarray, np.ndarray]:
    """Axes and shares from one decomposition of all points."""
    moves = points - (points[-1] if center == "last" else points.mean(dim=0))
    _, values, axes = np.linalg.svd(moves.numpy(), full_matrices=False)
    return axes, values**2 / (values**2).sum()


@pytest.mark.parametrize("center", ["last", "mean"])
def test_axes_and_shares_are_those_of_one_decomposition(center: str) -> None:
    # Kills: centering left out or done for the wrong `center`; shares of one definition given
    # for the other; eigenvalues instead of their roots in the length of an axis.
    made = td.principal_directions(space_of(40), POINTS, count=3, center=center)
    axes, shares = dense(POINTS, center)
    cosines = np.abs(np.sum(axes[:3] * made.directions.numpy(), axis=1))
    assert np.allclose(cosines, 1, atol=1e-9)
    assert np.allclose(made.explained_variance, shares[:6], atol=1e-12)
    assert np.allclose(made.explained_variance_centered, dense(POINTS, "mean")[1][:6], atol=1e-12)
    assert np.allclose(made.explained_variance_from_last, dense(POINTS, "last")[1][:6], atol=1e-12)
    gram = made.directions @ made.directions.T
    assert torch.allclose(gram, torch.eye(3, dtype=torch.float64), atol=1e-12)
    found = td.projection(made.directions, POINTS, made.origin)
    assert np.allclose(found.coordinates, made.coordinates, atol=1e-8)
    assert (made.coordinates[np.abs(made.coordinates).argmax(axis=0), range(3)] > 0).all()


def test_points_read_in_parts_give_the_same_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Kills: an offset lost between ranges of coordinates; reading whole points; distances of the
    # last range alone.
    class Lazy:
        size = 40
        widest = 0

        def __len__(self) -> int:
            return len(POINTS)

        def piece(self, index: int, start: int, stop: int) -> Tensor:
            Lazy.widest = max(Lazy.widest, stop - start)
            return POINTS[index, start:stop].clone()

    whole = td.principal_directions(space_of(40), POINTS)
    monkeypatch.setattr(reading, "NUMBERS", 3 * len(POINTS))
    assert isinstance(Lazy(), Points)
    parts = td.principal_directions(space_of(40), Lazy())
    assert Lazy.widest == 3
    assert torch.allclose(whole.directions, parts.directions, atol=1e-10)
    assert torch.allclose(whole.origin, parts.origin)
    shadows = td.projection(whole.directions, Lazy(), whole.origin)
    assert np.allclose(shadows.coordinates, whole.coordinates, atol=1e-8)
    moves = (POINTS - whole.origin).numpy()
    far = moves - whole.coordinates @ whole.directions.numpy()
    assert np.allclose(shadows.residual, np.linalg.norm(far, axis=1), atol=1e-8)
    assert np.allclose(shadows.distance, np.linalg.norm(moves, axis=1))


def test_a_planted_path_in_a_plane_is_recovered_exactly() -> None:
    # Kills: any projection that is not onto the plane; residuals by subtracting squares.
    basis = torch.linalg.qr(normal(500, 2, seed=2)).Q.T
    path = normal(9, 2, seed=3) @ basis + normal(500, seed=4)
    made = td.principal_directions(space_of(500), path)
    found = td.projection(made.directions, path, made.origin)
    assert found.residual.max() < 1e-12
    inside = basis @ made.directions.T
    assert np.allclose(np.abs(np.linalg.det(inside.numpy())), 1, atol=1e-10)
    gaps = np.linalg.norm(np.diff(found.coordinates, axis=0), axis=1)
    assert np.allclose(gaps, torch.linalg.vector_norm(path.diff(dim=0), dim=1).numpy())


def test_coordinates_are_least_squares_not_inner_products_over_a_length() -> None:
    # A known tool divides by the length once: along a direction of length 100 the coordinate
    # 0.5 becomes 50. Kills: `inner / length`, and inner products without the Gram matrix.
    long = torch.zeros(4, dtype=torch.float64)
    long[0] = 100.0
    found = td.projection(long[None], [0.5 * long], torch.zeros(4, dtype=torch.float64))
    assert found.coordinates.tolist() == [[0.5]]


def test_skew_axes_of_any_length_give_the_coordinates_points_were_made_with() -> None:
    # Kills: inner products with each direction on its own.
    axes = normal(3, 60, seed=5) * torch.tensor([1e3, 1.0, 1e-3], dtype=torch.float64)[:, None]
    axes[1] += 0.9 * axes[1].norm() * axes[0] / axes[0].norm()
    true, origin = normal(5, 3, seed=6), normal(60, seed=7)
    off = normal(5, 60, seed=8)
    basis = torch.linalg.qr(axes.T).Q
    off -= off @ basis @ basis.T
    found = td.projection(axes, true @ axes + off + origin, origin)
    assert np.allclose(found.coordinates, true.numpy(), rtol=1e-7, atol=1e-7)
    assert np.allclose(found.residual, off.norm(dim=1).numpy(), rtol=1e-9)


def test_single_precision_points_far_from_the_origin_keep_their_digits() -> None:
    # Kills: a Gram matrix of the points themselves instead of their differences, in float32.
    small = (1e-3 * normal(6, 3000, seed=9)).float() + 50.0
    axes, shares = dense(small.double(), "last")
    made = td.principal_directions(space_of(3000), small)
    assert made.directions.dtype == torch.float32
    assert np.allclose(made.explained_variance, shares[:5], atol=1e-9)
    assert np.allclose(np.abs((axes[:2] * made.directions.numpy()).sum(axis=1)), 1, atol=1e-6)


def test_another_last_point_and_points_of_an_objective() -> None:
    # Kills: `theta` ignored.
    objective = td.Objective(
        nn.Linear(40, 1, bias=False).double(), nn.MSELoss(), (normal(3, 40), normal(3, 1))
    )
    made = td.principal_directions(objective, list(POINTS[:-1]), theta=POINTS[-1])
    assert torch.equal(made.origin, POINTS[-1])
    moves = (POINTS[:-1] - POINTS[-1]).numpy()
    values = np.linalg.svd(moves, compute_uv=False) ** 2
    assert np.allclose(made.explained_variance, values / values.sum(), atol=1e-12)


def test_what_is_refused() -> None:
    space, line = space_of(40), torch.outer(torch.arange(4.0), torch.ones(40))
    rows = [
        (lambda: td.principal_directions(space, []), InvalidArgument, "E-J01"),
        (lambda: td.principal_directions(space, POINTS[:1]), InvalidArgument, "E-J01"),
        (lambda: td.principal_directions(space, POINTS[:, :9]), InvalidArgument, "E-J01"),
        (lambda: td.principal_directions(space, [torch.arange(40)] * 2), InvalidType, "E-J01"),
        (lambda: td.principal_directions(space, 3), InvalidType, "E-J01"),
        (lambda: td.principal_directions(space, POINTS, center="first"), InvalidArgument, "E-J03"),
        (lambda: td.principal_directions(space, POINTS, count=0), InvalidArgument, "E-J03"),
        (lambda: td.principal_directions(space, line), InvalidArgument, "E-J04"),
        (lambda: td.principal_directions(space, POINTS * torch.nan), NotFinite, "E-J02"),
        (lambda: td.projection(POINTS[:2] / 0, POINTS, POINTS[0]), NotFinite, "E-J02"),
        (lambda: td.projection(POINTS[:2], POINTS, POINTS[0] * torch.nan), NotFinite, "E-J02"),
        (
            lambda: td.projection(torch.ones(2, 40), POINTS, POINTS[0]),
            InvalidArgument,
            "E-J05",
        ),
        (lambda: td.projection(torch.zeros(1, 40), POINTS, POINTS[0]), InvalidArgument, "E-J05"),
        (lambda: td.projection(torch.ones(1, 3), POINTS, POINTS[0]), InvalidArgument, "E-J01"),
        (lambda: td.projection(torch.ones(40), POINTS, POINTS[0]), InvalidArgument, "E-J01"),
    ]
    for call, kind, code in rows:
        with pytest.raises(kind) as caught:
            call()
        assert caught.value.code == code


def test_a_last_point_that_is_none_is_refused_and_not_stretched_to_the_length_of_points() -> None:
    # Kills: `theta` unchecked, so that one number is subtracted from every coordinate, and NaN
    # in it is told as points too far apart.
    for length in (1, 7):
        with pytest.raises(InvalidArgument, match=rf"theta must have shape \(40,\).*\({length},\)"):
            td.principal_directions(space_of(40), POINTS, theta=POINTS[0, :length])
    with pytest.raises(NotFinite, match="theta holds NaN"):
        td.principal_directions(space_of(40), POINTS, theta=POINTS[0] * torch.nan)


def test_equal_points_are_not_told_to_ask_for_one_axis() -> None:
    # Kills: an advice that fails again.
    with pytest.raises(InvalidArgument, match="span 0 dimensions") as caught:
        td.principal_directions(space_of(40), [POINTS[0]] * 3)
    assert "count" not in caught.value.fix


def test_reading_in_parts_leaves_the_points_as_they_are() -> None:
    # Kills: differences taken in place in the caller's tensors.
    points = POINTS.clone()
    made = td.principal_directions(space_of(40), points, theta=points[2])
    td.projection(made.directions, points, points[0])
    assert torch.equal(points, POINTS)
