"""Numbers a report computes itself. Oracle: surfaces whose answer is known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from tests.reporting import fixtures

from theodolite import results
from theodolite.curvature import mass_error, negative_mass
from theodolite.reporting import quantities as q
from theodolite.reporting.contents import Contents, read_trees
from theodolite.reporting.numbers import Number


def plane(a: float, b: float, steps: int = 21, status: np.ndarray | None = None) -> xr.Dataset:
    """The quadratic 1 + a alpha^2 + b beta^2 on [-1, 1], tilted so that no line is even."""
    axis = np.linspace(-1, 1, steps)
    loss = 1 + np.add.outer(a * axis**2 + 0.4 * axis, b * axis**2 - 0.2 * axis)
    good = np.ones(loss.shape, np.uint8) if status is None else status
    dims = ("alpha", "beta")
    return results.dataset(
        "plane",
        {
            "loss": (dims, np.where(good == 1, loss, np.nan), {"long_name": "loss"}),
            "loss_error": (dims, 0.01 + 0 * loss, {"long_name": "standard error"}),
            "status": results.status_variable(dims, good),
        },
        {"alpha": axis, "beta": axis},
        normalize="filter",
    )


def survey(*planes: xr.Dataset) -> Contents:
    parts = {f"plane_{k}": p for k, p in enumerate(planes)}
    (found,) = read_trees(xr.DataTree.from_dict({"/": xr.Dataset(), **parts}))
    return found


def test_the_rise_of_a_quadratic() -> None:
    # Kills: one sign only, forgetting to subtract the start, a spread instead of its error.
    found = q.rise(survey(plane(3.0, 5.0)), 0.5)
    assert found is not None
    assert found.directions == 2
    assert found.number.value == pytest.approx(0.25 * 4.0)
    assert found.number.error == pytest.approx(0.25 * math.sqrt(2) / math.sqrt(2))


def test_random_lines_come_before_the_axes_of_planes(bowl: xr.DataTree) -> None:
    (found,) = read_trees(bowl)
    assert len(q.lines_through_start(found)) == 3


def test_directions_that_diverge_are_counted_not_averaged() -> None:
    # Kills: an average over what is left of a diverged direction.
    status = np.ones((21, 21), np.uint8)
    status[:6, 10] = 2
    found = q.rise(survey(plane(3.0, 5.0, status=status)), 0.5)
    assert found is not None
    assert (found.directions, found.left_out) == (1, 1)
    assert found.number.value == pytest.approx(0.25 * 5.0)
    assert found.number.error is None


def test_at_ten_percent_the_number_of_the_survey_is_cited() -> None:
    # Kills: two different numbers of the same name on one page.
    rows = '[{"name": "rise", "label": "Rise", "value": 0.123, "error": 0.004}]'
    (found,) = read_trees(fixtures.survey("bowl", headline=rows))
    at_ten = q.rise(found, 0.1)
    elsewhere = q.rise(found, 0.25)
    assert at_ten is not None
    assert at_ten.number == Number(0.123, 0.004)
    assert elsewhere is not None
    assert elsewhere.number.value != 0.123


@pytest.mark.parametrize(("steps", "distance"), [(41, 0.1), (21, 0.1), (9, 0.25), (3, 1.0)])
def test_the_distance_in_words_is_one_the_grid_resolves(steps: int, distance: float) -> None:
    assert q.word_distance(survey(plane(1.0, 1.0, steps=steps))) == distance


@pytest.mark.parametrize(
    ("a", "b", "share"), [(1.0, 2.0, 0.0), (-1.0, -2.0, 100.0), (1.0, -1.0, 50.0), (0.0, 0.0, 0.0)]
)
def test_the_share_that_curves_downward(a: float, b: float, share: float) -> None:
    # Kills: the sign of the second difference, one axis only.
    found = q.bend_share(survey(plane(a, b)))
    assert found is not None
    assert found.value == pytest.approx(share)


def test_rounding_is_not_curvature() -> None:
    noisy = plane(0.0, 0.0)
    noisy["loss"] = noisy["loss"] * (1 + 1e-8 * np.random.default_rng(0).normal(size=(21, 21)))
    assert q.bend_share(survey(noisy)) == Number(0.0, 0.0, unit="%")


def test_uneven_grids_bend_by_slopes() -> None:
    # Kills: second differences that assume even steps (they call x^2 on this grid concave).
    x = np.array([-1.0, -0.9, 0.0, 1.0])
    uneven = plane(1.0, 1.0, steps=4).assign_coords(alpha=x, beta=x)
    uneven["loss"] = (("alpha", "beta"), np.add.outer(x**2, x**2))
    assert q.bend_share(survey(uneven)) == Number(0.0, 0.0, unit="%")


def test_diverged_points_are_counted_among_those_tried() -> None:
    status = np.ones((21, 21), np.uint8)
    status[0, :3], status[20, :5] = 2, 0
    assert q.diverged(survey(plane(1.0, 1.0, status=status))) == (3, 441 - 5)


def test_the_start_is_read_at_the_middle() -> None:
    assert q.start_value(survey(plane(1.0, 1.0))) == Number(1.0, 0.01)
    assert q.start_value(survey(plane(1.0, 1.0)), "test_loss") is None


def test_a_plane_that_misses_the_start_has_no_start_value() -> None:
    # Kills: taking the nearest point for the start.
    assert q.start_value(survey(plane(1.0, 1.0, steps=20))) is None


def test_mean_and_error() -> None:
    assert q.mean_with_error([1.0, 3.0]) == Number(2.0, 1.0)
    assert q.mean_with_error([1.0]) == Number(1.0, None)


def test_errors_add_in_quadrature() -> None:
    assert q.difference(Number(1.0, 3.0), Number(5.0, 4.0)) == Number(4.0, 5.0)
    assert q.difference(Number(1.0), Number(5.0, 4.0)).error is None
    assert q.difference(Number(1, exact=True), Number(3, exact=True)) == Number(2, exact=True)
    found = q.ratio(Number(2.0, 0.2), Number(4.0, 0.4))
    assert found is not None
    assert (found.value, found.error) == (2.0, pytest.approx(2 * math.hypot(0.1, 0.1)))
    assert q.ratio(Number(-1.0, 0.1), Number(2.0, 0.1)) is None


def test_spectral_numbers_are_those_of_the_data(chaos: xr.DataTree) -> None:
    tree = chaos.copy()
    tree.attrs = {k: v for k, v in tree.attrs.items() if k != "headline"}
    (found,) = read_trees(tree)
    top = q.largest_eigenvalue(found)
    assert top is not None
    assert (top.value, top.error) == (310.0, pytest.approx(0.031))
    trace = tree["trace"].to_dataset()
    assert q.trace_value(found) == Number(float(trace["trace"]), float(trace["standard_error"]))
    weight = q.negative_weight(found)
    assert weight is not None
    spectrum = tree["spectrum"].to_dataset()
    below = spectrum["node"] < -1e-3 * float(abs(spectrum["node"]).max())
    shares = spectrum["weight"].where(below, 0).sum("step")
    assert weight.value == pytest.approx(100 * float(shares.mean()))
    assert weight.error == pytest.approx(100 * mass_error(negative_mass(spectrum)))
