"""Grids of several axes.

Oracles: closed forms; the dense plane and the line, bit by bit; the whole against its slices.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import theodolite as td
from theodolite.errors import InvalidArgument
from theodolite.surfaces import volume_rows
from theodolite.surfaces.volumes import axes_of

from .formulas import Parameters, double, normal, quadratic
from .test_rows import pair


def eye(size: int) -> torch.Tensor:
    return torch.eye(size, dtype=torch.float64)


def test_a_cube_of_a_known_quadratic_is_the_formula() -> None:
    # kills: axes in another order, a direction used twice, an axis left out
    center = double(0.0, 0.0, 0.0, 0.0)
    directions = eye(4)[:3] * double(1.0, 2.0, 3.0).unsqueeze(1)
    made = td.volume(quadratic(center), directions, span=((-1, 1), (0, 1), (0, 2)), steps=(3, 2, 5))
    a, b, c = np.meshgrid([-1, 0, 1], [0, 1], [0, 0.5, 1, 1.5, 2], indexing="ij")
    assert np.allclose(made.loss.values, (a**2 + (2 * b) ** 2 + (3 * c) ** 2) / 2, rtol=1e-14)
    assert made.loss.dims == ("axis_1", "axis_2", "axis_3")
    assert made.attrs["direction_norms"] == [1.0, 2.0, 3.0]
    assert made.attrs["steps"] == [3, 2, 5]
    assert made.attrs["axis_cosines"] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("batch_norm", ["frozen", "recompute"])
def test_two_axes_are_the_dense_plane_and_one_is_the_line_bit_for_bit(batch_norm: str) -> None:
    # kills: sums in another order; a buffer carried from point to point
    train, test = pair(batch_norm=batch_norm)
    directions = td.random_directions(train)
    flat = td.plane(train, directions, steps=(5, 4), method="dense", evaluation="plain", test=test)
    made = td.volume(train, directions, steps=(5, 4), test=test)
    long = td.line(train, directions[0], steps=5, test=test)
    thin = td.volume(train, directions[:1], steps=5, test=test)
    for name in ("loss", "loss_error", "accuracy", "test_loss", "status"):
        assert np.array_equal(made[name].values, flat[name].values), name
        assert np.array_equal(thin[name].values, long[name].values), name
    assert made.attrs["normalize"] == "filter"


def test_the_start_is_exact_and_slices_are_the_whole() -> None:
    # kills: a slice that depends on those before it; a start that is only nearly the start
    train, _ = pair()
    directions = td.random_directions(train, count=3)
    made = td.volume(train, directions, steps=3)
    assert float(made.loss[1, 1, 1]) == train.value(train.start)
    axes = axes_of((-1, 1), 3, 3)
    for rows in ([2], [1, 0]):
        part = volume_rows(train, directions, axes=axes, rows=rows)
        for name, values in part.items():
            assert np.array_equal(values, made[name].values[rows], equal_nan=True), name


def test_progress_counts_every_pass() -> None:
    # kills: passes beyond one a point
    seen: list[tuple[int, int]] = []
    train, test = pair()
    directions = td.random_directions(train, count=3)
    td.volume(train, directions, steps=2, test=test, progress=lambda k, n: seen.append((k, n)))
    assert seen == [(k + 1, 16) for k in range(16)]


def test_a_double_well_in_three_dimensions_is_found() -> None:
    # kills: axes of the topology that are not those of the volume
    def wells(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x, y, z = outputs.unbind(1)
        return (1 - 4 * x**2) ** 2 + 0.1 * (x > 0.25).double() + y**2 + z**2 + 0 * targets[:, 0]

    objective = td.Objective(Parameters(torch.zeros(3).double()), wells, (torch.zeros(1, 1),) * 2)
    made = td.volume(objective, eye(3), steps=(41, 5, 5))
    found = td.topology(made)
    assert found.sizes["pair"] == 2
    assert float(found.death[1]) == 1.0
    assert found.minimum_place.values.tolist() == [[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0]]
    assert float(found.persistence[1]) == pytest.approx(0.9, rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"directions": normal(5)}, "E-Q11", "shape"),
        ({"directions": "none"}, "E-Q11", "shape"),
        ({"directions": normal(2, 4)}, "E-G03", "shape"),
        ({"directions": torch.stack([*normal(2, 5), normal(2, 5).sum(0)])}, "E-Q12", "depend"),
        ({"steps": 101}, "E-Q13", "1,030,301 points"),
        ({"steps": (3, 3)}, "E-G01", "3 axes"),
        ({"span": ((-1, 1), (1, -1), (0, 1))}, "E-G01", r"span\[1\]"),
    ],
)
def test_what_makes_no_volume_is_refused(settings, code: str, words: str) -> None:
    objective = quadratic(normal(5))
    given = {"directions": normal(3, 5, seed=1), "steps": 3} | settings
    with pytest.raises(InvalidArgument, match=words) as caught:
        td.volume(objective, given.pop("directions"), **given)
    assert caught.value.code == code


def test_more_points_are_allowed_when_asked_for() -> None:
    # kills: a limit that cannot be raised
    with pytest.raises(InvalidArgument):
        axes_of((-1, 1), 11, 3, most_points=1000)
    assert len(axes_of((-1, 1), 11, 3, most_points=1331)) == 3
