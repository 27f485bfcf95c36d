"""Rows O12 to O16: what slices, spectra, plots and pages make of extreme losses and tiny sizes.

Oracle: losses and Hessians written down by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import theodolite as td
from faults.rows import X, Y, check_named, net
from theodolite.errors import InvalidArgument
from theodolite.reporting import write_summary
from theodolite.results import DIVERGED, OK
from theodolite.surveys.headline import mean_and_error

CE = nn.CrossEntropyLoss()


def _linear(n: int = 4) -> nn.Linear:
    model = nn.Linear(n, 1, bias=False).double()
    with torch.no_grad():
        model.weight.fill_(0.3)
    return model


def _of_output(function: Callable[[Tensor], Tensor]) -> td.Objective:
    """The mean of a function of ``x' w`` over the data."""
    return td.Objective(_linear(), lambda o, t: function(o.squeeze(1)), (X, Y))


def _numbers(tree: object, folder: Path, failed: str = "") -> dict[str, dict[str, object]]:
    """The headline after a report and a summary, which must be strict JSON."""
    assert set(json.loads(tree.attrs.get("failures", "{}"))) == set(failed.split())

    def no_number(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    page = td.report(tree, folder / "report.html").read_text("utf-8")
    assert "NaN" not in page.partition("<script")[0]
    text = write_summary(tree, folder / "summary.json").read_text("utf-8")
    return {h["name"]: h for h in json.loads(text, parse_constant=no_number)["headline"]}


def _drawn(plane: object) -> plt.Axes:
    figure, ax = plt.subplots()
    td.plots.plot_plane(plane, ax)
    figure.canvas.draw()
    space = plt.figure().add_subplot(projection="3d")
    td.plots.plot_plane_3d(plane, space)
    space.figure.canvas.draw()
    plt.close("all")
    return ax


def _cliff(outputs: Tensor) -> Tensor:
    return torch.where(outputs.abs() > 1.5, torch.inf * outputs.sign(), outputs**2)


def test_o12_points_without_a_loss_are_marked_and_color_nothing(tmp_path):
    # kills: a status of ok for NaN; a color scale up to infinity; NaN in the page's numbers
    objective = _of_output(_cliff)
    axes = 3 * td.random_directions(objective)
    plane = td.plane(objective, axes, steps=(5, 5))
    for i, a in enumerate(plane.alpha.values):
        for j, b in enumerate(plane.beta.values):
            w = objective.start + a * axes[0] + b * axes[1]
            expected = float(_cliff(X @ w).mean())
            assert plane.status[i, j] == (OK if np.isfinite(expected) else DIVERGED)
            if np.isfinite(expected):
                assert float(plane.loss[i, j]) == pytest.approx(expected, rel=1e-12)
            else:
                assert np.isnan(plane.loss[i, j])
    assert int((plane.status == DIVERGED).sum()) > 5
    ax = _drawn(plane)
    top = float(plane.loss.max())
    assert ax.collections[0].get_clim()[1] == pytest.approx(top)
    assert any("diverged" in t.get_text() for t in ax.get_legend().get_texts())
    settings = {"planes": {"steps": [5, 5]}}
    tree = td.survey(objective, measures=["planes", "lines"], settings=settings)
    assert _numbers(tree, tmp_path)["loss"]["value"] == float(objective.value())


@pytest.mark.parametrize("scale", [1e30, 1e-30, -1e30])
def test_o13_losses_of_any_size_are_measured_to_scale(scale, tmp_path):
    # kills: an error bar or a residual that overflows, and scales that are absolute
    objective = _of_output(lambda z: scale * (1 + z**2))
    plane = td.plane(objective, td.random_directions(objective), steps=(3, 3))
    unit = _of_output(lambda z: 1 + z**2)
    same = td.plane(unit, td.random_directions(unit), steps=(3, 3))
    np.testing.assert_allclose(plane.loss / scale, same.loss, rtol=1e-12)
    np.testing.assert_allclose(plane.loss_error / abs(scale), same.loss_error, rtol=1e-12)
    _drawn(plane)
    tree = td.survey(objective, measures=["lines", "eigenvalues", "spectrum"])
    hessian = scale * 2 * X.T @ X / len(X)
    found = _numbers(tree, tmp_path)
    for name, k in (("smallest_eigenvalue", 0), ("largest_eigenvalue", -1)):
        expected = float(torch.linalg.eigvalsh(hessian)[k])
        assert found[name]["value"] == pytest.approx(expected, rel=1e-9)


def test_o13_a_range_of_many_decades_is_drawn_on_a_log_scale():
    # kills: a linear scale on which one cell hides all others
    objective = _of_output(lambda z: torch.exp(100 * z))
    ax = _drawn(td.plane(objective, 3 * td.random_directions(objective), steps=(5, 5)))
    assert 25 < ax.collections[0].get_clim()[1] < 308  # decades, not losses


def test_o13_error_bars_of_losses_beyond_the_square_root_of_the_largest_number():
    # kills: squares of losses, which leave float64 before the losses do
    large, unit = (_of_output(lambda z, s=s: s * z**2) for s in (1e200, 1.0))
    ratio = large.metrics()["loss_error"] / unit.metrics()["loss_error"]
    assert ratio == pytest.approx(1e200)
    mean, error = mean_and_error(np.array([1e200, 3e200]))
    assert (mean, error) == pytest.approx((2e200, 1e200))


@pytest.mark.parametrize("height", [0.0, 2.0])
def test_o14_a_flat_loss_divides_by_nothing(height, tmp_path):
    # kills: norms, ranges and largest eigenvalues of zero as denominators
    objective = _of_output(lambda z: 0 * z + height)
    assert not td.hessian(objective).matvec(objective.start).any()
    assert td.certify(objective).attrs["verdict"] == "certified"
    _drawn(td.plane(objective, td.random_directions(objective), steps=(3, 3)))
    found = _numbers(td.survey(objective), tmp_path)
    assert (found["loss"]["value"], found["loss"]["error"]) == (height, 0.0)
    for name in ("rise", "largest_eigenvalue", "trace", "negative_weight"):
        assert (found[name]["value"], found[name]["error"]) == (0.0, 0.0)


def test_o14_a_loss_without_derivative_is_told_group_by_group(tmp_path):
    # kills: a survey that dies of a group in which every unit failed
    objective = _of_output(lambda z: torch.full_like(z, 2.0).detach())
    tree = td.survey(objective)
    found = _numbers(tree, tmp_path, failed="spectrum eigenvalues trace sharpness predicted_rise")
    assert found["loss"]["value"] == 2.0
    assert "largest_eigenvalue" not in found
    assert tree["certificate"].attrs["verdict"] == "uncertified"


@pytest.mark.parametrize("n", [1, 2, 3])
def test_o15_data_of_a_few_examples(n, tmp_path):
    # kills: an error bar from one example; a certificate that needs two batches
    model = net()
    objective = td.Objective(model, CE, (X[:n], Y[:n]))
    own = F.cross_entropy(model(X[:n]), Y[:n]).detach()
    assert float(objective.value()) == pytest.approx(float(own), rel=1e-12)
    assert td.certify(objective).attrs["verdict"] == "certified"
    found = _numbers(td.survey(objective, measures=["lines"]), tmp_path)
    assert (found["loss"]["error"] is None) == (n == 1)


def test_o15_a_single_class():
    # kills: a loss of zero taken for a failure; an accuracy of one class
    objective = td.Objective(net(1), CE, (X, 0 * Y))
    assert objective.metrics() == {"loss": 0.0, "loss_error": 0.0}
    assert not objective.gradient().any()


@pytest.mark.parametrize("n", [1, 2, 9])
def test_o16_a_handful_of_parameters(n, tmp_path):
    # kills: defaults larger than the matrix; two directions where there is room for one
    model, x = _linear(n), torch.cat([X, X.flip(1), X**2], 1)[:, :n]
    objective = td.Objective(model, nn.MSELoss(), (x, X[:, :1]))
    exact = torch.linalg.eigvalsh(2 * x.T @ x / len(x)).numpy()
    operator = td.hessian(objective)
    pairs = td.eigenpairs(operator, count=n)
    np.testing.assert_allclose(pairs.eigenvalue, exact[::-1], rtol=1e-6, atol=1e-9)
    density = td.spectral_density(operator, steps=n, probes=2)
    moment = (density.weight * density.node).sum("step")
    assert float(density.weight.sum()) == pytest.approx(2)
    assert moment.shape == (2,)
    trace = td.trace(objective, tolerance=1e-3)
    assert abs(float(trace.trace) - exact.sum()) <= 5 * float(trace.standard_error) + 1e-9
    assert td.certify(objective).attrs["verdict"] == "certified"
    tree = td.survey(objective, measures=["planes", "spectrum", "eigenvalues"])
    found = _numbers(tree, tmp_path, failed="plane_0" if n == 1 else "")
    assert found["largest_eigenvalue"]["value"] == pytest.approx(exact[-1], rel=1e-6)


def test_o16_a_plane_of_one_parameter_is_named():
    objective = td.Objective(_linear(1), nn.MSELoss(), (X[:, :1], X[:, 1:2]))
    with pytest.raises(InvalidArgument, match="parallel") as caught:
        td.plane(objective, td.random_directions(objective), steps=(3, 3))
    check_named(caught.value, "E-G04")
