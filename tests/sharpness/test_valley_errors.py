"""Errors of gaps and excesses along several lines that share their examples.

Oracles: the spread of closed forms over many fresh samples, coverage of the population's values,
and the jackknife.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

import theodolite as td
from sharpness.bowls import vector
from theodolite.sharpness import shifted_valley
from theodolite.sharpness.perturbed import weighted_mean_and_error
from theodolite.sharpness.valley_errors import QUANTITIES, error_over_examples, influence
from theodolite.sharpness.valley_lines import Profile, valley

WEIGHTS = vector(0.5, -0.3, 1.0)
RULES = {"train": vector(0.6, -0.2, 0.9), "test": vector(1.1, 0.1, 0.4)}
SIZES = {"train": 60, "test": 90}
GRID = np.linspace(-1.5, 1.5, 5)
LINES = torch.stack([vector(1.0, 0.0, 0.0), vector(0.8, 0.6, 0.0), vector(0.0, 0.6, -0.8)])


def sample(split: str, seed: int, rule: Tensor | None = None) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2 * seed + (split == "test"))
    x = torch.randn(SIZES[split], 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(SIZES[split], generator=generator, dtype=torch.float64)
    return x, (x @ (RULES[split] if rule is None else rule) + noise)[:, None]


def objective(data: tuple[Tensor, Tensor]) -> td.Objective:
    model = nn.Linear(3, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(WEIGHTS[None])
    return td.Objective(model, nn.MSELoss(), data)


def measured(seed: int, lines: Tensor = LINES, rule: Tensor | None = None) -> xr.Dataset:
    both = [objective(sample(split, seed, rule)) for split in SIZES]
    return shifted_valley(*both, directions=lines, span=(-1.5, 1.5), steps=len(GRID))


def exact(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> np.ndarray:
    """Gap and excess by line, from the parabolas of the two samples."""
    (a, ours), (b, theirs) = ((x @ LINES.T, y - (x @ WEIGHTS)[:, None]) for x, y in (train, test))
    lowest, others = ((u * r).sum(0) / (u * u).sum(0) for u, r in ((a, ours), (b, theirs)))

    def loss(u: Tensor, r: Tensor, at: Tensor) -> Tensor:
        return (r - at * u).square().mean(0)

    there = loss(b, theirs, lowest)
    return torch.stack([there - loss(a, ours, lowest), there - loss(b, theirs, others)]).numpy()


def population() -> dict[str, float]:
    """Means over lines of what infinitely many examples would say."""
    ours, theirs = (RULES[k] - WEIGHTS for k in SIZES)
    places = [(LINES @ r) / LINES.square().sum(1) for r in (ours, theirs)]
    excess = float(((places[1] - places[0]) ** 2 * LINES.square().sum(1)).mean())
    points = places[0][:, None] * LINES
    gap = ((points - theirs).square().sum(1) - (points - ours).square().sum(1)).mean()
    return {"gap": float(gap), "excess": excess, "predicted_excess": excess}


def estimates(seed: int, rule: Tensor | None = None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By quantity, values by line, and the error of their mean and of each, without networks."""
    data = [sample(split, seed, rule) for split in SIZES]
    found, values = [], []
    for line in LINES:
        made, losses = [], []
        for x, y in data:
            along, left = x @ line, y[:, 0] - x @ WEIGHTS
            rows = torch.stack([(left - a * along).square() for a in GRID])
            weights = torch.ones(len(x), dtype=torch.float64)
            profile = Profile(rows, weights, [weighted_mean_and_error(r, weights) for r in rows])
            made.append((profile, valley(profile, GRID)))
            losses.append(lambda at, u=along, r=left: (r - at * u).square())
        (_, ours), (test, theirs) = made
        own, there = (loss(ours.minimum) for loss in losses)
        lowest = losses[1](theirs.minimum)
        slope = test.slope(GRID, ours.minimum)
        found.append(influence(ours, theirs, own, there, lowest, slope))
        excess = float((there - lowest).mean())
        half = 0.5 * theirs.curvature * (theirs.minimum - ours.minimum) ** 2
        values.append((float(there.mean() - own.mean()), excess, half))
    ones = [torch.ones(size, dtype=torch.float64) for size in SIZES.values()]
    made = {}
    for k, name in enumerate(QUANTITIES):
        groups = [found, *([one] for one in found)]
        errors = [error_over_examples(group, name, ones) for group in groups]
        made[name] = np.array(values)[:, k], np.array(errors)
    return made


@pytest.fixture(scope="module")
def samples() -> list[dict[str, tuple[np.ndarray, np.ndarray]]]:
    return [estimates(seed) for seed in range(150)]


def test_errors_are_the_spread_over_fresh_samples(samples):
    """Kills: the mean of the lines' errors, lines taken as independent, training or test examples
    left out, the slope at the training minimum left out, an influence of the other sign."""
    fresh = np.stack([exact(*(sample(split, 5000 + k) for split in SIZES)) for k in range(3000)])
    for k, name in enumerate(("gap", "excess")):
        errors = np.mean([f[name][1] for f in samples], axis=0)
        spreads = [fresh[:, k].mean(1).std(), *fresh[:, k].std(0)]
        np.testing.assert_allclose(errors, spreads, rtol=0.1, err_msg=name)
    # negative control: the mean of the lines' errors is too wide, independent lines too narrow
    assert errors[1:].mean() > 1.15 * spreads[0]
    assert np.sqrt((errors[1:] ** 2).sum()) / 3 < 0.8 * spreads[0]


def test_errors_cover_the_population_as_often_as_they_should(samples):
    """Kills: an error that is too small by a third, one twice as wide."""
    for name, truth in population().items():
        off = np.array([f[name][0].mean() - truth for f in samples])
        errors = np.array([f[name][1][0] for f in samples])
        for times, share in ((1, 0.68), (2, 0.95)):
            bound = 4 * np.sqrt(share * (1 - share) / len(samples))
            covered = (np.abs(off) < times * errors).mean()
            assert abs(covered - share) < bound, (name, times, covered)


def test_without_a_shift_the_excess_is_within_its_error_of_none():
    """Kills: the second-order term left out, so that a shift by chance looks sure."""
    found = [estimates(seed, rule=RULES["train"]) for seed in range(60)]
    for name in ("excess", "predicted_excess"):
        ratios = np.array([f[name][0].mean() / f[name][1][0] for f in found])
        assert (ratios < 1.5).mean() >= 0.95
        assert (ratios > 0).all()


def test_errors_are_those_of_the_jackknife():
    """Kills: weights of the other data set, a count in place of count minus one."""
    data = {split: sample(split, 7) for split in SIZES}
    found = measured(7)
    total = np.zeros(2)
    for split, size in SIZES.items():
        left = []
        for k in range(size):
            kept = {**data, split: tuple(part[torch.arange(size) != k] for part in data[split])}
            left.append(exact(kept["train"], kept["test"]).mean(1))
        total += (size - 1) / size * ((left - np.mean(left, axis=0)) ** 2).sum(0)
    error = float(found["mean_gap_example_error"])
    assert error == pytest.approx(np.sqrt(total[0]), rel=0.05)
    second = float(found["mean_excess_example_error"])
    assert second == pytest.approx(np.sqrt(total[1]), rel=0.08)
    # on a quadratic the prediction is the excess itself
    assert float(found["mean_predicted_excess_example_error"]) == pytest.approx(second, rel=1e-6)


def test_without_any_shift_the_error_is_of_second_order():
    """Kills: the second-order term left out, count in place of count minus one. Training and test
    data are the same, so that only half the square of a Gaussian shift is left."""
    data = sample("train", 3)
    found = shifted_valley(
        objective(data), objective(data), directions=LINES, span=(-1.5, 1.5), steps=len(GRID)
    )
    assert float(abs(found["shift"]).max()) < 1e-12
    exact = found["test_curvature"] * found["shift_error"] ** 2 / 2**0.5
    for name in ("excess", "predicted_excess"):
        np.testing.assert_allclose(found[f"{name}_error"], exact, rtol=1e-6)


def test_one_line_twice_has_the_error_of_one():
    """Kills: lines taken as independent samples."""
    once, twice = measured(1, LINES[:1]), measured(1, LINES[[0, 0]])
    for name in QUANTITIES:
        error = float(once[f"{name}_error"][0])
        assert float(twice[f"mean_{name}_example_error"]) == pytest.approx(error, rel=1e-12)
        assert float(once[f"mean_{name}_example_error"]) == pytest.approx(error, rel=1e-12)
        assert float(twice[f"mean_{name}_error"]) == pytest.approx(0, abs=1e-12)


def test_a_line_without_a_minimum_is_left_out_of_the_means():
    """Kills: one NaN that spoils all means, weights of a line that is not there."""
    far = torch.stack([LINES[0], 1e-3 * LINES[1]])
    both, one = measured(3, far), measured(3, LINES[:1])
    assert np.isnan(both["excess"].values).tolist() == [False, True]
    for name in QUANTITIES:
        for kind in ("", "_example_error"):
            assert float(both[f"mean_{name}{kind}"]) == float(one[f"mean_{name}{kind}"])
