"""Escapes in a survey, from the saddles of a linear autoencoder, whose index is a theorem.

Oracles: Baldi and Hornik's count of negative directions, and `escape_time` called directly.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import theodolite as td
from theodolite.curvature import Descent, critical_point, escape_time
from theodolite.errors import InvalidArgument
from theodolite.objective.arrangement import chunked
from theodolite.surveys import load_run
from theodolite.surveys.measures import MEASURES, escapes, saddles
from theodolite.surveys.measures.escapes import nothing_to_escape
from theodolite.testing.saddles import LinearAutoencoder

NET = LinearAutoencoder((3.0, 2.0, 1.0), hidden=1)
SETTINGS = {
    "saddles": {
        "count": 1,
        "search": "newton-mr",
        "max_products": 300,
        "escape_runs": 2,
        "escape_steps": 400,
        "escape_batch": 2,
    }
}


def target(chosen: tuple[int, ...]) -> td.Target:
    """A network beside the critical point of some principal directions."""
    objective = NET.objective()
    generator = torch.Generator().manual_seed(1)
    start = NET.point(chosen)
    start = start + 0.01 * torch.randn(len(start), generator=generator, dtype=start.dtype)
    nn.utils.vector_to_parameters(start, objective.model.parameters())
    return td.Target(td.Objective(objective.model, nn.MSELoss(), objective.data.source))


@pytest.fixture(scope="module")
def searches() -> list[object]:
    """Grows by one with every search for a critical point of the run below."""
    return []


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, searches: list[object]) -> xr.DataTree:
    """A run that was interrupted in the first escape, and continued."""
    folder = tmp_path_factory.mktemp("escapes") / "run"
    how = {"measures": ["saddles"], "settings": SETTINGS, "seed": 2, "out": folder}

    def counting(*given: object, **settings: object) -> xr.Dataset:
        searches.append(given)
        return critical_point(*given, **settings)

    def interrupted(*given: object, **settings: object) -> xr.Dataset:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(saddles, "critical_point", counting)
        with patched.context() as once:
            once.setattr(escapes, "escapes_from", interrupted)
            with pytest.raises(KeyboardInterrupt):
                td.survey(target((1,)), **how)
        assert "escape_gradient" not in load_run(folder).children
        return td.survey(target((1,)), **how)


def test_a_resumed_run_takes_the_point_that_is_saved(tree, searches):
    # kills: a search repeated after a resume, which no plan counts
    assert "escape_gradient" in tree.children
    assert len(searches) == 1


def test_the_saddle_found_is_left_as_the_function_says(tree):
    # kills: another point, a rate or noise not passed on, full batches called batches
    point = torch.from_numpy(tree["critical_point"]["point"].values)
    assert int(tree["critical_point"]["certain_negative"].max()) == NET.negative_directions((1,))
    objective = target((1,)).objective
    top = float(torch.linalg.eigvalsh(td.hessian(objective, point).dense())[-1])
    for method, noise in (("gradient", None), ("perturbed", 1e-4), ("stochastic", None)):
        found = tree[f"escape_{method}"].to_dataset()
        assert found.attrs["rate"] == pytest.approx(1 / top, rel=1e-2)
        direct = escape_time(
            chunked(objective, 2),
            point,
            descent=Descent(method, rate=found.attrs["rate"], noise=noise, max_steps=400),
            runs=2,
            seed=2,
        )
        np.testing.assert_array_equal(found["steps"], direct["steps"])
        np.testing.assert_array_equal(found["predicted"], direct["predicted"])
    noisy = tree["escape_isotropic"].to_dataset()
    assert noisy.attrs["noise"] == pytest.approx(float(noisy["batch_noise_mean"]) ** 0.5)


def test_a_minimum_says_that_there_is_nothing_to_escape():
    # kills: runs from a minimum, an error where there is a reason
    tree = td.survey(target((0,)), measures=["saddles"], settings=SETTINGS, seed=2)
    for method in ("gradient", "perturbed", "stochastic", "isotropic"):
        found = tree[f"escape_{method}"].to_dataset()
        assert found.sizes["run"] == 0
        assert "no" in found.attrs["reason"]
    assert NET.negative_directions((0,)) == 0


def test_reasons_follow_the_verdict():
    # kills: a minimum told as undetermined, a refused point as a saddle
    def point(accepted: str, certain: int, verdict: str) -> xr.Dataset:
        return xr.Dataset(
            {
                "certain_negative": ("tau", [certain]),
                "verdict": ("tau", [verdict]),
            },
            coords={"tau": [1e-6]},
            attrs={"accepted": accepted, "reason": "the gradient is flat"},
        )

    assert nothing_to_escape(point("true", 2, "saddle with at least 2 directions")) == ""
    assert "minimum up to tau = 1e-06" in nothing_to_escape(point("true", 0, "minimum up to tau"))
    assert "certified" in nothing_to_escape(point("true", 0, "undetermined"))
    assert "no critical point: the gradient" in nothing_to_escape(point("false", 2, "saddle"))


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("search", "none", "escape_runs of saddles needs a search"),
        ("radius", 0.0, "radius of saddles must be positive"),
        ("jump", 0, "jump of saddles must be positive"),
        ("displacement", -1.0, "displacement of saddles must be at least 0"),
        ("displacement", 0.5, "displacement of saddles must be below radius, 0.1"),
        ("escape_rate", "fast", "escape_rate of saddles must be positive, or 0"),
        ("escape_steps", 0, "escape_steps of saddles must be a whole number, at least 1"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name, wrong, message):
    measure = MEASURES["saddles"]
    settings = {**measure.presets["quick"], **SETTINGS["saddles"], name: wrong}
    with pytest.raises(InvalidArgument, match=message):
        measure.groups(target((1,)), settings, 0)


def test_nothing_is_planned_unless_asked_for():
    measure = MEASURES["saddles"]
    settings = {**measure.presets["quick"], **SETTINGS["saddles"], "escape_runs": 0}
    names = [g.name for g in measure.groups(target((1,)), settings, 0)]
    assert names == ["saddle_index", "critical_point"]
    several = measure.groups(target((1,)), {**settings, "escape_runs": 3}, 0)
    assert sum(g.name.startswith("escape_") for g in several) == 4
    assert several[-1].passes == 3 * (400 * 3 + 200)
    batches = next(g for g in several if g.name == "escape_stochastic")
    assert batches.passes == pytest.approx(3 * (400 * 2 + 200))  # two of three examples


def test_a_search_that_is_not_saved_is_made(tree):
    # kills: an escape that needs the store, as workers have none
    measure = MEASURES["saddles"]
    groups = measure.groups(target((1,)), {**measure.presets["quick"], **SETTINGS["saddles"]}, 2)
    gradient = next(g for g in groups if g.name == "escape_gradient")
    assert gradient.after == "critical_point"
    found = gradient.open(target((1,)))(0)
    resumed = gradient.resume(target((1,)), tree["critical_point"].to_dataset())(0)
    xr.testing.assert_identical(found, resumed)


def test_runs_that_would_be_ended_before_they_can_leave_are_not_made():
    # kills: thousands of steps at a nearly flat saddle, and no word on how many it takes
    short = {"saddles": {**SETTINGS["saddles"], "escape_steps": 3}}
    made = td.survey(target((1,)), measures=["saddles"], settings=short, seed=2)
    point = torch.from_numpy(made["critical_point"]["point"].values)
    rate = 1 / float(made["critical_point"].attrs["scale"])
    direct = escape_time(target((1,)).objective, point, descent=Descent(rate=rate), runs=2, seed=2)
    expected = float(np.quantile(direct["predicted"], 0.5, method="inverted_cdf"))
    found = made["escape_gradient"].to_dataset()
    assert found.sizes["run"] == 0
    assert f"about {expected:,.0f} steps and would be ended after 3" in found.attrs["reason"]
    assert "Raise escape_steps or displacement" in found.attrs["reason"]


def test_the_saddle_is_looked_at_once_for_all_kinds_of_descent(monkeypatch):
    # kills: an eigenpair and a covariance for every kind
    looked: list[object] = []
    known = escapes.saddle_of

    def counting(*given: object, **settings: object) -> object:
        looked.append(given)
        return known(*given, **settings)

    monkeypatch.setattr(escapes, "saddle_of", counting)
    tree = td.survey(target((1,)), measures=["saddles"], settings=SETTINGS, seed=2)
    assert sum(name.startswith("escape_") for name in tree.children) == 4
    assert len(looked) == 1


def test_the_products_for_the_direction_are_told_once(monkeypatch):
    # kills: minutes of silence before the first run; the direction looked for by every method
    made = [xr.Dataset(attrs={"scale": 4.0})]
    monkeypatch.setattr(escapes, "nothing_to_escape", lambda _: "")
    point = NET.point((1,))
    made[0]["point"] = ("parameter", point.numpy())
    of = target((1,))
    settings = {**MEASURES["saddles"].presets["quick"], **SETTINGS["saddles"]}
    groups = escapes.escape_groups(of, settings, 2, lambda *_: made[0])
    told: list[str] = []
    for group in groups[:2]:
        group.open(of)(0, told.append)
    products = [word for word in told if word.endswith("products of about 150")]
    assert len(products) >= 3
    assert products == [f"{k} products of about 150" for k in range(1, len(products) + 1)]
