"""The valleys of a survey against a linear regression, whose minima along a line are known.

Oracle: the closed form of the minimum along every line the survey chose.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

import theodolite as td
from theodolite.sharpness import noise
from theodolite.surveys.measures import MEASURES
from theodolite.surveys.measures.valleys import FAR, RISE, SHIFTS, lines_of

SETTINGS = {
    "sharpness": {
        "steps": 2,
        "draws": 2,
        "products": 2,
        "directions": 1,
        "factor": 0,
        "valleys": 2,
        "valley_top": 2,
        "valley_steps": 9,
    }
}


def data(seed: int, examples: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(examples, 4, generator=generator, dtype=torch.float64) * torch.arange(1.0, 5.0)
    return x, x.sum(1, keepdim=True) + torch.randn(examples, 1, generator=generator).double()


def target(*, test: bool = True) -> td.Target:
    torch.manual_seed(0)
    model = nn.Linear(4, 1, bias=False).double()
    with torch.no_grad():
        model.weight.fill_(0.9)
    train, held = (td.Objective(model, nn.MSELoss(), data(k, 60 * k)) for k in (1, 2))
    return td.Target(train, test=held if test else None)


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    return td.survey(target(), measures=["sharpness"], settings=SETTINGS, seed=4)


def bottom(seed: int, d: Tensor) -> tuple[float, float]:
    """Minimum and curvature of the loss along d."""
    x, y = data(seed, 60 * seed)
    r, along = (x * 0.9).sum(1) - y[:, 0], x @ d
    return -float((along * r).sum() / (along**2).sum()), 2 * float((along**2).mean())


def test_every_line_has_the_minima_of_the_closed_form(tree):
    # kills: units exchanged for reaches, test and training data exchanged, another point
    found = tree["shifted_valley"].to_dataset()
    x, _ = data(1, 60)
    values, vectors = torch.linalg.eigh(2 * x.T @ x / 60)
    like = torch.zeros(4, dtype=torch.float64)
    drawn = [noise.gaussian(like, 4, "valley", k) for k in range(2)]
    units = [vectors[:, 3], vectors[:, 2], *(d / d.norm() for d in drawn)]
    names = ["eigenvector 1", "eigenvector 2", "random 1", "random 2"]
    assert found["name"].values.tolist() == names
    for k, unit in enumerate(units):
        length = float(found["length"][k])
        places = [length * float(found[f"{s}_minimum"][k]) for s in ("train", "test")]
        exact = [bottom(seed, unit) for seed in (1, 2)]
        sign = 1 if k > 1 or places[0] * exact[0][0] > 0 else -1
        assert [sign * p for p in places] == pytest.approx([e[0] for e in exact], rel=1e-4)
        bends = [float(found[f"{s}_curvature"][k]) / length**2 for s in ("train", "test")]
        assert bends == pytest.approx([e[1] for e in exact], rel=1e-3)
        shift = exact[1][0] - exact[0][0]
        assert float(found["predicted_excess"][k]) == pytest.approx(
            0.5 * exact[1][1] * shift**2, rel=1e-3
        )
    assert float(bottom(1, units[0])[1]) == pytest.approx(float(values[3]))


def test_losses_along_a_line_are_those_of_the_objectives(tree):
    # kills: losses of another split or another line, errors without the square root
    found, of = tree["shifted_valley"].to_dataset(), target()
    drawn = noise.gaussian(of.objective.start, 4, "valley", 1)
    step = float(found["alpha"][2]) * float(found["length"][3]) * drawn / drawn.norm()
    for split, objective in (("train", of.objective), ("test", of.test)):
        losses = objective.losses(objective.start + step)
        assert float(found[f"{split}_loss"][3, 2]) == pytest.approx(float(losses.mean()))
        error = float(losses.std()) / math.sqrt(len(losses))
        assert float(found[f"{split}_loss_error"][3, 2]) == pytest.approx(error, rel=1e-9)


def test_lines_reach_past_both_minima():
    # kills: the slope of one data set only, a reach without the curvature, an endless one
    of = target()
    lines = lines_of(of.objective, of.test, 3, 1, "kept", 4)
    assert torch.allclose(lines.units.norm(dim=1), torch.ones(4, dtype=torch.float64))
    loss, norm = float(of.objective.value()), float(of.objective.start.norm())
    for unit, reach in zip(lines.units, lines.reach.tolist(), strict=True):
        ours, bend = bottom(1, unit)
        test_slope = float(of.test.gradient(of.objective.start) @ unit) / bend
        wanted = max(SHIFTS * max(abs(ours), abs(test_slope)), math.sqrt(2 * RISE * loss / bend))
        assert reach == pytest.approx(min(wanted, norm), rel=1e-3)


def test_a_line_that_curves_down_has_a_reach_of_its_own():
    model = nn.Linear(2, 1, bias=False).double()
    x = torch.eye(2, dtype=torch.float64)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return -(outputs[:, 0] ** 2)

    one = td.Objective(model, loss, (x, x[:, :1]))
    lines = lines_of(one, one, 2, 0, "kept", 0)
    assert lines.reach.tolist() == pytest.approx([FAR * float(one.start.norm())] * 2)


def test_without_test_data_one_sentence_says_so():
    # kills: a survey that fails, or is silent, where there is nothing to compare
    tree = td.survey(target(test=False), measures=["sharpness"], settings=SETTINGS, seed=4)
    assert "shifted_valley" not in tree.children
    assert tree["sharpness"].attrs["no_valleys"].startswith("The target has no test data")
    quiet = {"sharpness": {**SETTINGS["sharpness"], "valleys": 0, "valley_top": 0}}
    unasked = td.survey(target(test=False), measures=["sharpness"], settings=quiet)
    assert unasked["sharpness"].attrs["no_valleys"] == ""


def test_the_plan_counts_the_lines():
    measure = MEASURES["sharpness"]
    base = {**measure.presets["quick"], **SETTINGS["sharpness"]}
    few, many = (measure.groups(target(), {**base, "valleys": n}, 0)[-1].passes for n in (2, 4))
    each = 6 + (9 + 3) * 3.0  # one product, and every point of both data sets: 60 and 120 examples
    assert many - few == pytest.approx(2 * each)
    assert np.isfinite(few)
    assert len(measure.groups(target(), {**base, "valleys": 0, "valley_top": 0}, 0)) == 2


def test_more_lines_than_eigenvectors_are_said():
    # kills: lines left out in silence
    asked = {"sharpness": {**SETTINGS["sharpness"], "valleys": 0, "valley_top": 7}}
    with pytest.warns(td.errors.TheodoliteWarning, match="valley_top of sharpness asks for 7"):
        tree = td.survey(target(), measures=["sharpness"], settings=asked)
    assert tree["shifted_valley"].sizes["direction"] == 4
