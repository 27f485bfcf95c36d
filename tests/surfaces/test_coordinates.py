"""The grid: exact ends, an exact zero, even spacing, and what is no grid.

Oracle: rational arithmetic.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from theodolite.errors import InvalidArgument
from theodolite.surfaces.coordinates import coordinates

SPANS = [(-1, 1), (0, 1), (-0.3, 0.3), (-0.3, 0.6), (-0.1, 0.7), (2, 3), (-5, -1), (-1, 0), (0, 50)]
COUNTS = [2, 3, 4, 7, 10, 31, 50, 51]


@pytest.mark.parametrize("span", SPANS, ids=str)
@pytest.mark.parametrize("steps", COUNTS)
def test_values_are_the_even_division_of_the_span(span, steps):
    # kills: a missing end point, one step too many, single precision
    made = coordinates(span, steps)
    low, high = Fraction(str(span[0])), Fraction(str(span[1]))
    exact = [low + (high - low) * Fraction(k, steps - 1) for k in range(steps)]
    assert made.dtype == np.float64
    assert (made[0], made[-1], len(made)) == (span[0], span[1], steps)
    assert np.abs(made - np.array([float(e) for e in exact])).max() <= 1e-15 * max(map(abs, span))
    assert [k for k, v in enumerate(made) if v == 0] == [k for k, e in enumerate(exact) if e == 0]
    assert (np.diff(made) > 0).all()


@pytest.mark.parametrize("steps", COUNTS)
@pytest.mark.parametrize("half", [1, 0.3, 0.7, 1e-8, 1e8])
def test_a_symmetric_span_has_symmetric_values(half, steps):
    # kills: a zero that is 1e-17, and a left half that is not the mirror of the right
    made = coordinates((-half, half), steps)
    assert np.array_equal(made, -made[::-1])
    assert (0.0 in made) == (steps % 2 == 1)
    assert not np.signbit(made[made == 0]).any()


def test_a_value_near_zero_is_only_snapped_when_it_is_rounding():
    assert coordinates((1e-6, 1), 3)[0] == 1e-6
    assert coordinates((-1e-6, 1), 3)[0] == -1e-6


def test_one_step_is_one_point():
    assert coordinates((0.5, 0.5), 1).tolist() == [0.5]
    assert coordinates((0, 0), 1).tolist() == [0]


@pytest.mark.parametrize(
    ("span", "steps", "message"),
    [
        ((1, -1), 5, r"span must increase; got \(1, -1\).*pass \(-1, 1\)"),
        ((math.nan, 1), 5, r"span must be finite; got \(nan, 1\)"),
        ((-math.inf, 1), 5, r"span must be finite; got \(-inf, 1\)"),
        ((-1e308, 1e308), 5, r"span must be finite"),
        ((0, 1, 2), 5, r"span must be two numbers \(low, high\); got \(0, 1, 2\)"),
        (1, 5, r"span must be two numbers \(low, high\); got 1"),
        (("a", "b"), 5, r"span must be two numbers"),
        ((0, 1), 0, r"steps must be a whole number, at least 2; got 0"),
        ((0, 1), -3, r"steps must be a whole number, at least 2; got -3"),
        ((0, 1), 2.5, r"steps must be a whole number, at least 2; got 2.5"),
        ((0, 1), True, r"steps must be a whole number, at least 2; got True"),
        ((0, 1), 1, r"steps=1 does not fit the span \(0, 1\).*two ends need two"),
        ((1, 1), 2, r"steps=2 does not fit the span \(1, 1\)"),
    ],
)
def test_what_makes_no_grid_is_refused_by_name(span, steps, message):
    with pytest.raises(InvalidArgument, match=f"(?s){message}") as refused:
        coordinates(span, steps)
    assert refused.value.code == "E-G01"


def test_the_axis_of_a_plane_is_named():
    with pytest.raises(InvalidArgument, match=r"span\[1\] must increase"):
        coordinates((1, 0), 3, "[1]")
