"""The few main numbers, from results whose answer is known.

Oracle: a parabola, spectra written by hand, means and standard errors computed on paper.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from theodolite.surveys.headline import headline


def line(curvature: float, slope: float = 0.0, **attrs: object) -> xr.Dataset:
    alpha = np.linspace(-1, 1, 21)
    loss = 2.0 + slope * alpha + 0.5 * curvature * alpha**2
    attrs = {"quantity": "line", "normalize": "filter", **attrs}
    return xr.Dataset({"loss": ("alpha", loss)}, {"alpha": alpha}, attrs)


def numbers(**parts: xr.Dataset) -> dict[str, dict]:
    tree = xr.DataTree(children={k: xr.DataTree(v) for k, v in parts.items()})
    return {n["name"]: n for n in headline(tree)}


def test_the_rise_at_ten_percent_is_the_even_part_averaged_over_lines():
    # kills: one-sided differences (the slope would show), averaging before the difference
    found = numbers(line_0=line(40.0, slope=9.0), line_1=line(80.0, slope=-3.0))["rise"]
    assert found["value"] == pytest.approx(0.5 * (0.2 + 0.4))
    assert found["error"] == pytest.approx(0.1)  # std([0.2, 0.4], ddof=1) / sqrt(2)
    assert "2 random directions" in found["explain"]


def test_lines_of_another_normalization_or_too_short_do_not_count():
    short = line(40.0).isel(alpha=slice(10, 12))
    assert numbers(line_0=line(40.0, normalize="none"), line_1=short) == {}
    broken = line(40.0)
    broken["loss"][:11] = np.nan
    assert numbers(line_0=broken) == {}
    assert numbers(line_0=line(40.0))["rise"]["error"] is None


def test_planes_stand_in_where_there_are_no_lines():
    alpha, beta = np.linspace(-1, 1, 21), np.linspace(-0.5, 0.5, 11)
    loss = 1 + 20 * alpha[:, None] ** 2 + 40 * beta**2
    attrs = {"quantity": "plane", "normalize": "filter"}
    plane = xr.Dataset({"loss": (("alpha", "beta"), loss)}, {"alpha": alpha, "beta": beta}, attrs)
    assert numbers(plane_0=plane)["rise"]["value"] == pytest.approx((0.2 + 0.4) / 2)
    assert numbers(plane_0=plane, line_0=line(10.0))["rise"]["value"] == pytest.approx(0.05)


def test_the_ends_of_the_spectrum_carry_their_own_residuals():
    # kills: taking the first and last of an unsorted list, swapping residuals
    pairs = xr.Dataset(
        {"residual": ("eigenvalue", [0.2, 0.01, 0.3])}, {"eigenvalue": [3.0, 9.0, -1.0]}
    )
    found = numbers(eigenvalues=pairs)
    ends = {k: (v["value"], v["error"]) for k, v in found.items()}
    assert ends == {"largest_eigenvalue": (9.0, 0.01), "smallest_eigenvalue": (-1.0, 0.3)}


def test_negative_mass_is_averaged_over_probes_that_are_done():
    # kills: counting rounding noise around zero, weighing unfinished probes as zero, an error of
    # probes that all see the same where the nodes leave 0 to 70 % open
    node = np.array([[-1.0, -1e-9, 5.0], [-2.0, 0.0, 5.0], [np.nan] * 3])
    weight = np.array([[0.1, 0.6, 0.3], [0.3, 0.4, 0.3], [np.nan] * 3])
    spectrum = xr.Dataset(
        {k: (("probe", "step"), v) for k, v in (("node", node), ("weight", weight))}
    )
    found = numbers(spectrum=spectrum)["negative_weight"]
    assert (found["value"], found["error"]) == (pytest.approx(20.0), pytest.approx(50.0))
    assert found["note"] == "the nodes allow 0 to 70 %"
    assert numbers(spectrum=spectrum.isel(probe=[2])) == {}


def test_start_and_trace_are_passed_through_and_infinities_become_none():
    start = xr.Dataset(
        {
            "loss": ("split", [0.5, 0.75]),
            "loss_error": ("split", [0.01, 0.02]),
            "accuracy": ("split", [0.9, np.nan]),
            "accuracy_error": ("split", [0.003, np.nan]),
        },
        {"split": ["train", "test"]},
    )
    trace = xr.Dataset({"trace": ((), np.inf), "standard_error": ((), np.nan)})
    found = numbers(start=start, trace=trace)
    assert list(found) == ["loss", "test_loss", "accuracy", "test_accuracy", "trace"]
    assert (found["test_loss"]["value"], found["test_loss"]["error"]) == (0.75, 0.02)
    assert (found["trace"]["value"], found["test_accuracy"]["value"]) == (None, None)
    assert (found["accuracy"]["value"], found["accuracy"]["unit"]) == (90.0, "%")
    assert all(n["label"] and n["explain"].endswith(".") for n in found.values())
