"""Curvature along directions against quadratics."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sharpness.bowls import bowl, vector
from theodolite.errors import InvalidArgument, InvalidType
from theodolite.sharpness import directional_curvature


def test_it_is_the_rayleigh_quotient_of_each_direction_and_of_the_gradient() -> None:
    # kills: no division by the squared length, the gradient at the start instead of theta.
    directions = torch.stack([vector(2.0, 0.0), vector(3.0, 3.0)])
    found = directional_curvature(bowl([4.0, 1.0], [9.0, 9.0]), directions, theta=vector(1.0, 2.0))
    g = np.array([4.0, 2.0])
    along = (4 * g[0] ** 2 + g[1] ** 2) / (g @ g)
    assert found.directional_curvature.values == pytest.approx([4, 2.5, along], rel=1e-12)
    slopes = [4, 6 / 2**0.5, np.linalg.norm(g)]
    assert found.slope.values == pytest.approx(slopes, rel=1e-12)
    assert found.name.values.tolist() == ["0", "1", "gradient"]


def test_a_gradient_of_zero_has_no_direction() -> None:
    # kills: a curvature of 0 where there is none.
    found = directional_curvature(bowl([4.0, 1.0], [0.0, 0.0]), vector(0.0, 1.0))
    assert found.directional_curvature.values[0] == pytest.approx(1)
    assert np.isnan(found.directional_curvature.values[1])


def test_bad_arguments_are_refused_by_name() -> None:
    objective = bowl([4.0, 1.0], [1.0, 1.0])
    with pytest.raises(InvalidArgument, match=r"directions must have shape \(direction, 2\)"):
        directional_curvature(objective, vector(1.0))
    with pytest.raises(InvalidArgument, match=r"directions\[0\] is zero"):
        directional_curvature(objective, vector(0.0, 0.0))
    unchecked = getattr(directional_curvature, "__wrapped__", directional_curvature)
    with pytest.raises(InvalidType, match="directions must be a tensor of floats; got list"):
        unchecked(objective, [1.0, 0.0])
