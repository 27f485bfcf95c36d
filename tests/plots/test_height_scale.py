"""The scale of heights and colors. Oracle: values chosen so that the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from theodolite.errors import InvalidArgument
from theodolite.plots.height_scale import contour_levels, finite_values, heights, plain, shown


def plane(values: object, status: object = None) -> xr.Dataset:
    """A row of loss values."""
    data = {"loss": ("alpha", np.asarray(values, dtype=float))}
    if status is not None:
        data["status"] = ("alpha", np.asarray(status, dtype=np.uint8))
    return xr.Dataset(data, attrs={"quantity": "plane"})


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([0.01, 1.0, 1.01], True),  # kills: >= 3 decades, natural log
        ([0.01, 0.5, 1.0], False),  # kills: >= instead of >
        ([0.0, 1.0, 1e6], False),  # kills: log of zero
        ([-1.0, 1.0, 1e6], False),
        ([5.0, 5.0, 5.0], False),
    ],
)
def test_log_is_chosen_above_two_decades_of_positive_values(values: list[float], log: bool) -> None:
    assert heights(plane(values)).log is log


def test_the_choice_is_recorded() -> None:
    attrs = heights(plane([0.1, 1.0, 100.0])).attrs()
    assert attrs["decades"] == pytest.approx(3.0)
    assert attrs["log"] is True
    assert attrs["levels"]


def test_a_log_scale_of_zero_is_refused_with_the_number() -> None:
    with pytest.raises(InvalidArgument, match=r"log must be False: the smallest loss is 0"):
        heights(plane([0.0, 1.0]), log=True)


def test_an_unknown_variable_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match=r"variable must be one of \['loss'\]; got 'lost'"):
        heights(plane([1.0]), "lost")


def test_one_scale_covers_all_planes() -> None:
    # Kills: a scale of the first plane only.
    both = heights([plane([1.0, 2.0]), plane([0.001, 0.5])])
    assert (both.low, both.top, both.log) == (0.001, 2.0, True)


def test_what_diverged_or_was_not_computed_does_not_stretch_the_scale() -> None:
    # Kills: ignoring the status.
    scale = heights(plane([1.0, 2.0, 1e30, 7.0], [1, 1, 2, 0]))
    assert (scale.low, scale.top) == (1.0, 2.0)


def test_test_data_have_a_status_of_their_own() -> None:
    # Kills: reading the training status for a test variable.
    data = xr.Dataset(
        {
            "test_loss": ("alpha", [1.0, 2.0, 3.0]),
            "status": ("alpha", np.array([1, 1, 1], np.uint8)),
            "test_status": ("alpha", np.array([1, 2, 1], np.uint8)),
        }
    )
    assert finite_values(data, "test_loss").tolist() == [1.0, 3.0]


def test_a_few_giants_are_clipped_and_counted() -> None:
    # Kills: no clipping, clipping at the quantile itself, counting what is not clipped.
    values = np.concatenate([np.linspace(0, 1, 99), [1000.0]])
    scale = heights(plane(values))
    assert scale.clipped == 1
    assert 1.0 < scale.high < 1.3
    assert scale.top == 1000.0
    assert shown(values, scale).max() == scale.high


def test_an_ordinary_range_is_not_clipped() -> None:
    scale = heights(plane(np.linspace(0, 1, 100)))
    assert (scale.clipped, scale.high) == (0, 1.0)


def test_no_finite_value_gives_an_empty_scale() -> None:
    scale = heights(plane([np.nan, np.inf], [2, 2]))
    assert (scale.log, scale.levels, scale.clipped) == (False, (), 0)


def test_log_heights_are_decades() -> None:
    scale = heights(plane([0.01, 1.0, 100.0]))
    np.testing.assert_allclose(shown(np.array([0.01, 1.0, 100.0]), scale), [-2, 0, 2], atol=1e-12)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(("low", "high"), [(0.05, 60.0), (1e-6, 1e9), (3.0, 3.5), (0.9, 1.1)])
def test_levels_are_few_sorted_and_strictly_inside(low: float, high: float, log: bool) -> None:
    levels = contour_levels(low, high, log=log)
    assert 3 <= len(levels) <= 15
    assert levels == sorted(set(levels))
    assert all(low < v < high for v in levels)


def test_log_levels_are_one_two_five() -> None:
    assert contour_levels(0.4, 11.0, log=True) == [0.5, 1.0, 2.0, 5.0, 10.0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.3, "0.3"), (-20.0, "\N{MINUS SIGN}20"), (12345.0, "12,345"), (1.5e-7, "1.5e-7")],
)
def test_labels_are_plain(value: float, text: str) -> None:
    assert plain(value) == text


def test_one_axis_has_one_style_of_numbers():
    # kills: "1e5" beside "10,000"; seen beside each other on the axis of radii
    labels = [plain(10.0**k) for k in range(-2, 6)]
    assert labels == ["0.01", "0.1", "1", "10", "100", "1,000", "10,000", "100,000"]
    assert (plain(1e6), plain(-250000.0)) == ("1e6", "\N{MINUS SIGN}250,000")
