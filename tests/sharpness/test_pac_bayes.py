"""The sigma of PAC-Bayes bounds against linear models whose error curve is known.

Oracles: the normal distribution (classification), quadratics (regression).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.stats import norm
from scipy.stats import t as student
from torch import nn

import theodolite as td
from sharpness.bowls import bowl, classifier, form, vector
from theodolite.errors import InvalidArgument
from theodolite.sharpness import pac_bayes_sharpness
from theodolite.sharpness.bisection import RATIO, crossing
from theodolite.sharpness.pac_bayes import deviation_of

H, W = [4.0, 1.0, 2.0], [0.5, -2.0, 1.0]


def near(found: xr.Dataset, exact: float) -> bool:
    """Within four standard errors, as the interval gives them, of at most 4 % each."""
    error = float(found.sigma_high - found.sigma_low) / (
        2 * student.ppf(0.975, found.sizes["draw"] - 1)
    )
    return abs(float(found.sigma) - exact) < 4 * error < 0.16 * exact


def one_weight_an_example(margin: float = 0.7, examples: int = 60) -> td.Objective:
    """Two classes, inputs that are unit vectors, each example right by the same margin."""
    model = nn.Linear(examples, 2, bias=False).double()
    with torch.no_grad():
        model.weight[0], model.weight[1] = margin, 0.0
    data = (torch.eye(examples, dtype=torch.float64), torch.zeros(examples, dtype=torch.long))
    return td.Objective(model, nn.CrossEntropyLoss(), data)


def test_the_error_of_a_linear_classifier_reaches_a_tenth_at_a_known_sigma() -> None:
    # kills: sigma squared as a standard deviation, the loss in place of the error.
    # Oracle: the margin is N(0.7, 2 sigma^2), so the error is Phi(-0.7 / (sqrt 2 sigma)).
    exact = 0.7 / math.sqrt(2) / -norm.ppf(0.1)
    found = pac_bayes_sharpness(one_weight_an_example(), draws=40)
    assert near(found, exact)
    assert float(found.pac_bayes_sharpness) == pytest.approx(float(found.sigma) ** -2, rel=1e-12)
    assert found.attrs["on"] == "error"


def test_magnitudes_scale_the_deviation() -> None:
    # kills: no weight in the deviation. Oracle: the margin is N(0.7, 0.49 sigma^2).
    exact = 0.7 / 0.7 / -norm.ppf(0.1)
    found = pac_bayes_sharpness(
        one_weight_an_example(), magnitude_aware=True, epsilon=0.0, draws=40
    )
    assert near(found, exact)


def test_the_deviation_is_the_root_of_the_variance() -> None:
    # kills: the variance passed as a standard deviation (as in a published implementation).
    w = vector(3.0, 0.0)
    assert deviation_of(w, 4.0, 5.0).tolist() == [13.0, 5.0]
    assert deviation_of(w, 4.0, None).tolist() == [4.0, 4.0]


def test_with_epsilon_the_sigma_of_a_quadratic_is_known() -> None:
    # kills: epsilon squared twice, epsilon left out.
    # Oracle: the mean rise is sum h (sigma^2 w^2 + epsilon^2) / 2.
    weighed = sum(h * w * w for h, w in zip(H, W, strict=True))
    exact = math.sqrt((2 * 1.5 - sum(H) * 0.09) / weighed)
    h, center = vector(*H), vector(*W)
    objective = form(lambda w: 0.5 * (h * (w - center) ** 2).sum(), W)
    found = pac_bayes_sharpness(
        objective, magnitude_aware=True, loss_rise=1.5, epsilon=0.3, draws=400
    )
    assert near(found, exact)


def test_intervals_contain_the_truth_about_as_often_as_they_say() -> None:
    # kills: the two ends exchanged, an interval of one standard error.
    objective, exact, held = bowl([1.0] * 10, [0.0] * 10), math.sqrt(2 * 0.2 / 10), 0
    for seed in range(30):
        found = pac_bayes_sharpness(objective, loss_rise=0.2, draws=8, seed=seed)
        held += float(found.sigma_low) <= exact <= float(found.sigma_high)
    assert 25 <= held <= 30


def test_the_bound_term_is_that_of_jiang() -> None:
    # kills: 2 for 4 sigma^2, the norm of theta in place of the distance, parameters for examples.
    objective = one_weight_an_example()
    origin = objective.start + 0.1
    found = pac_bayes_sharpness(objective, origin=origin, draws=10)
    sigma = float(found.sigma)
    exact = 120 * 0.01 / (4 * sigma**2) + math.log(60 / sigma) + 10
    assert float(found.bound_term) == pytest.approx(exact, rel=1e-9)


def test_every_sigma_tried_is_recorded_with_its_draws() -> None:
    # kills: draws that differ from sigma to sigma.
    found = pac_bayes_sharpness(bowl(H, W), loss_rise=0.1, draws=5)
    assert found.rise.dims == ("tried", "draw")
    assert (np.diff(found.tried.values) > 0).all()
    mean = found.rise.values.mean(1)
    assert found.mean_rise.values == pytest.approx(mean, rel=1e-12)
    assert found.attrs["passes"] == 1 + found.sizes["tried"] * 5
    sigma = found.tried.values  # the same z: the rise is a z + b z^2 in sigma, for each draw
    for k in range(5):
        design = np.stack([sigma, sigma**2], 1)
        rest = (
            found.rise.values[:, k] - design @ np.linalg.lstsq(design, found.rise.values[:, k])[0]
        )
        assert np.abs(rest).max() < 1e-9 * np.abs(found.rise.values[:, k]).max()


def test_a_loss_that_never_rises_has_no_sigma() -> None:
    # kills: the end of the search returned as the answer.
    found = pac_bayes_sharpness(form(lambda w: 0 * w.sum() + 1, [0.5]), loss_rise=0.1, draws=2)
    assert np.isnan(float(found.sigma))
    assert np.isnan(float(found.pac_bayes_sharpness))


def test_a_loss_that_is_not_finite_counts_as_above_the_level() -> None:
    # kills: NaN compared as if it were small.
    found = pac_bayes_sharpness(form(lambda w: -w.log().sum(), [0.5]), loss_rise=0.1, draws=5)
    assert 0 < float(found.sigma) < 1


@pytest.mark.parametrize("place", [-70.3, -1.0, 0.4, 12.7, 100.2])
def test_a_crossing_is_found_wherever_it_is(place: float) -> None:
    # kills: the wrong half kept, no interpolation, a search in one direction.
    asked: list[int] = []

    def rising(k: int) -> float:
        asked.append(k)
        return 2 * (k - place) + 5

    found = crossing(rising, 5.0)
    assert found == pytest.approx(place, abs=1e-9)
    assert len(asked) < 50
    bent = crossing(lambda k: (k - place) ** 3, 0.0)
    assert math.floor(bent or 0.0) == math.floor(place)
    assert pytest.approx(2) == RATIO**8


def test_bad_arguments_are_refused_by_name() -> None:
    objective = classifier()
    with pytest.raises(InvalidArgument, match=r"error_rise must be above 0 and below 1; got 1.5"):
        pac_bayes_sharpness(objective, error_rise=1.5)
    with pytest.raises(InvalidArgument, match="loss_rise must be given: the targets are no class"):
        pac_bayes_sharpness(bowl(H, W))
    with pytest.raises(InvalidArgument, match="loss_rise must be positive"):
        pac_bayes_sharpness(objective, loss_rise=0.0)
    with pytest.raises(InvalidArgument, match="origin goes with magnitude_aware=False"):
        pac_bayes_sharpness(objective, magnitude_aware=True, origin=objective.start)
    with pytest.raises(InvalidArgument, match="origin must have shape"):
        pac_bayes_sharpness(objective, origin=vector(1.0))
    with pytest.raises(InvalidArgument, match="epsilon must be 0 or more"):
        pac_bayes_sharpness(objective, magnitude_aware=True, epsilon=-1.0)
