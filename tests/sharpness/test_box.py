"""Keskar's sharpness against quadratics whose largest value in a box lies at a corner."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sharpness.bowls import bowl, classifier, form, vector
from theodolite.errors import InvalidArgument
from theodolite.results import DIVERGED
from theodolite.sharpness import keskar_sharpness, noise

H, W = [4.0, 1.0, 2.0], [0.5, -2.0, 1.0]


def exact(epsilon: float) -> float:
    """Every coordinate of a diagonal quadratic goes to its farther wall."""
    pairs = list(zip(H, W, strict=True))
    base = sum(0.5 * h * w * w for h, w in pairs)
    top = sum(0.5 * h * (abs(w) + epsilon * (abs(w) + 1)) ** 2 for h, w in pairs)
    return 100 * (top - base) / (1 + base)


def test_on_a_quadratic_it_is_the_value_at_a_corner_of_the_box() -> None:
    # kills: the "+1" of the box, "1 + loss" of the ratio, per cent, the box in units of w alone.
    found = keskar_sharpness(bowl(H, W), epsilon=(1e-3, 5e-4, 0.3))
    values = [exact(e) for e in (1e-3, 5e-4, 0.3)]
    assert found.keskar_sharpness.values == pytest.approx(values, rel=1e-9)
    assert found.at_bounds.values.tolist() == [1, 1, 1]
    assert found["keskar_sharpness"].attrs["units"] == "%"


def test_flat_in_absolute_units_is_not_zero() -> None:
    # kills: the loss in its own units, in which SciPy's stopping rules end the search at once.
    tiny = [1e-7 * h for h in H]
    found = keskar_sharpness(bowl(tiny, W), epsilon=1e-3)
    rise = sum(
        0.5 * h * ((abs(w) + 1e-3 * (abs(w) + 1)) ** 2 - w * w)
        for h, w in zip(tiny, W, strict=True)
    )
    assert float(found.keskar_sharpness[0]) == pytest.approx(100 * rise, rel=1e-5)


def test_at_an_exact_minimum_the_search_leaves_it() -> None:
    # kills: a start at a gradient of zero, which goes nowhere.
    found = keskar_sharpness(bowl([4.0, 1.0], [0.0, 0.0]), epsilon=0.1)
    assert float(found.keskar_sharpness[0]) == pytest.approx(100 * 0.5 * 5 * 0.01, rel=1e-9)


@pytest.mark.parametrize("columns", ["orthonormal", "gaussian"])
def test_on_a_line_it_is_the_larger_end(columns: str) -> None:
    # kills: the transpose in place of the pseudo-inverse, columns that are not normalized (or are).
    objective = bowl(H, W)
    w, h = vector(*W), torch.tensor(H, dtype=torch.float64)
    found = keskar_sharpness(objective, epsilon=0.1, subspace=1, columns=columns, draws=3, seed=4)
    base = 0.5 * float(w @ (h * w))
    expected = []
    for draw in range(3):
        a = noise.gaussian(w, 4, f"subspace {draw}", 0)
        a = a / a.norm() if columns == "orthonormal" else a
        reach = 0.1 * (abs(float(a @ w) / float(a @ a)) + 1)
        ends = [w + s * reach * a for s in (-1, 1)]
        top = max(0.5 * float(e @ (h * e)) for e in ends)
        expected.append(100 * (top - base) / (1 + base))
    assert found.phi.values[:, 0] == pytest.approx(expected, rel=1e-9)
    assert float(found.keskar_sharpness[0]) == pytest.approx(np.mean(expected), rel=1e-9)
    error = np.std(expected, ddof=1) / np.sqrt(3)
    assert float(found.standard_error[0]) == pytest.approx(error, rel=1e-9)


def test_a_subspace_of_full_size_and_orthonormal_columns_is_a_turned_box() -> None:
    # kills: columns that are not orthogonal to each other. Oracle: all corners of the box.
    objective, w, h = bowl(H, W), vector(*W), torch.tensor(H, dtype=torch.float64)
    found = keskar_sharpness(objective, epsilon=0.2, subspace=3, draws=1, seed=2, iterations=30)
    a = torch.stack([noise.gaussian(w, 2, "subspace 0", k) for k in range(3)], 1)
    a = torch.linalg.qr(a)[0]
    reach = 0.2 * ((a.T @ w).abs() + 1)
    corners = torch.cartesian_prod(*([vector(-1.0, 1.0)] * 3)) * reach
    at = w + corners @ a.T
    top, base = float((0.5 * at**2 @ h).max()), 0.5 * float(w @ (h * w))
    assert float(found.keskar_sharpness[0]) == pytest.approx(
        100 * (top - base) / (1 + base), rel=1e-9
    )
    assert np.isnan(float(found.standard_error[0]))


def test_more_columns_change_no_column() -> None:
    # kills: a stream for the whole matrix, whose columns change with their number.
    w = vector(*W)
    first = noise.gaussian(w, 0, "subspace 0", 0)
    assert torch.equal(first, noise.gaussian(w, 0, "subspace 0", 0))
    assert not torch.equal(first, noise.gaussian(w, 0, "subspace 0", 1))


def test_where_the_loss_diverges_there_is_no_number() -> None:
    # kills: the best of the points before the one that is not finite.
    found = keskar_sharpness(form(lambda w: -w.log().sum(), [0.5]), epsilon=(0.5, 1e-3))
    assert np.isnan(found.keskar_sharpness.values).tolist() == [True, False]
    assert found.status.values.tolist() == [DIVERGED, 1]


def test_bad_arguments_are_refused_by_name() -> None:
    objective = bowl(H, W)
    cases = {
        "subspace must be at most the number of parameters, 3; got 4": {"subspace": 4},
        "subspace must be a whole number, 1 or more": {"subspace": 0},
        "columns must be one of": {"columns": "uniform"},
        "iterations must be": {"iterations": 0},
        "epsilon must be positive": {"epsilon": -1e-3},
    }
    for message, settings in cases.items():
        with pytest.raises(InvalidArgument, match=message):
            keskar_sharpness(objective, **settings)
    with pytest.raises(InvalidArgument, match="the loss at theta must be above -1; it is -3"):
        keskar_sharpness(form(lambda w: w.sum(), [-3.0]))
    assert float(keskar_sharpness(classifier()).keskar_sharpness[0]) > 0
