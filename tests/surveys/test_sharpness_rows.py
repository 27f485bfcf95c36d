"""Every row of the table of sharpness against the function it stands for, here and rescaled.

Oracle: that function called directly, with settings that differ from its defaults.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

import theodolite as td
from theodolite.errors import InvalidArgument, StorageError
from theodolite.seeds import torch_generator
from theodolite.sharpness.adam_scale import adam_scale
from theodolite.surveys.measures import MEASURES
from theodolite.surveys.measures.sharpness import cost, opening
from theodolite.training import save_state

SEED = 5
SETTINGS: dict[str, Any] = {
    "definitions": "all",
    "steps": 3,
    "restarts": 2,
    "draws": 4,
    "products": 6,
    "directions": 3,
    "batch_size": 10,
    "layers": 3,
    "error_rise": 0.2,
    "pac_draws": 4,
    "pac_epsilon": 2e-3,
    "rho": 0.1,
    "adaptive_rho": 0.3,
    "sigma": 0.05,
    "factor": 3.0,
    "learning_rate": 0.1,
    "momentum": 0.5,
    "p": "inf",
    "by": "filter",
    "eta0": 0.01,
    "subspace": 2,
}


def network(loss: nn.Module | None = None, kind: type[nn.Module] = nn.ReLU) -> td.Objective:
    torch.manual_seed(0)
    layers = (nn.Linear(4, 5), kind(), nn.Linear(5, 5), kind(), nn.Linear(5, 3))
    model = nn.Sequential(*layers).double()
    x = torch.randn(30, 4, dtype=torch.float64)
    y = model(x).argmax(1) if loss is None else torch.randn(30, 3, dtype=torch.float64)
    return td.Objective(model, loss or nn.CrossEntropyLoss(), (x, y))


def settings(**changed: Any) -> dict[str, Any]:
    return {**MEASURES["sharpness"].presets["quick"], **SETTINGS, **changed}


@pytest.fixture(scope="module")
def objective() -> td.Objective:
    return network()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other weights of the same network, in a file."""
    torch.manual_seed(1)
    state = {k: torch.randn_like(v) for k, v in network().model.state_dict().items()}
    return save_state(state, tmp_path_factory.mktemp("origin") / "first.safetensors")


@pytest.fixture(scope="module")
def table(objective: td.Objective, origin: Path) -> xr.Dataset:
    chosen = settings(origin=str(origin))
    return opening(chosen, SEED, td.Target(objective))(0).set_index(measure="measure")


def worst(objective: td.Objective, theta: Tensor) -> xr.Dataset:
    how = {"rho": 0.1, "p": math.inf, "steps": 3, "restarts": 2, "batch_size": 10, "seed": SEED}
    return td.worst_case_sharpness(objective, theta=theta, **how)


def adaptive(objective: td.Objective, theta: Tensor) -> xr.Dataset:
    how = {"p": math.inf, "steps": 3, "restarts": 2, "batch_size": 10, "seed": SEED}
    return td.adaptive_sharpness(objective, theta=theta, rho=0.3, by="filter", eta0=0.01, **how)


def scaled(objective: td.Objective, theta: Tensor) -> xr.Dataset:
    scale = adam_scale(objective, theta=theta, batch_size=10, seed=SEED)
    return td.largest_curvature(
        objective, theta=theta, preconditioner=scale, seed=SEED, engine="kept"
    )


def random_mean(objective: td.Objective, theta: Tensor) -> xr.Dataset:
    """The mean of three curvatures, from the dense Hessian."""
    matrix = td.hessian(objective, theta).dense()
    values = []
    for k in range(3):
        generator = torch_generator(SEED, "directional", k)
        d = torch.randn(len(theta), generator=generator, dtype=torch.float64)
        values.append(float(d @ matrix @ d / (d @ d)))
    mean, error = np.mean(values), np.std(values, ddof=1) / 3**0.5
    return xr.Dataset({"value": mean, "standard_error": error})


def second(objective: td.Objective, theta: Tensor) -> xr.Dataset:
    how = {"sigma": 0.05, "draws": 4, "second_order": True, "seed": SEED, "engine": "kept"}
    found = td.average_sharpness(objective, theta=theta, **how)
    return found.assign(standard_error=found["second_order_error"])


def pac(objective: td.Objective, theta: Tensor, **how: Any) -> xr.Dataset:
    return td.pac_bayes_sharpness(
        objective, theta=theta, error_rise=0.2, epsilon=2e-3, draws=4, seed=SEED, **how
    )


def flat(layer: str) -> Callable[[td.Objective, Tensor], xr.Dataset]:
    return lambda objective, theta: td.relative_flatness(
        objective, theta=theta, layer=layer, products=6, seed=SEED, engine="kept"
    )


ROWS: dict[str, tuple[Callable[[td.Objective, Tensor], xr.Dataset], str, str]] = {
    "largest_curvature, preconditioned": (scaled, "largest_curvature", "residual"),
    "directional_curvature, gradient": (
        lambda o, theta: td.directional_curvature(o, theta=theta),
        "directional_curvature",
        "",
    ),
    "directional_curvature, random": (random_mean, "value", "standard_error"),
    "worst_case_sharpness, batchwise": (worst, "worst_case_sharpness", "standard_error"),
    "adaptive_sharpness, batchwise": (adaptive, "adaptive_sharpness", "standard_error"),
    "average_sharpness, second order": (second, "second_order", "standard_error"),
    "pac_bayes_sigma": (pac, "sigma", ""),
    "pac_bayes_sigma, magnitude-aware": (
        lambda o, theta: pac(o, theta, magnitude_aware=True),
        "sigma",
        "",
    ),
    "relative_flatness": (flat("4"), "relative_flatness", ""),
    "relative_flatness, 2": (flat("2"), "relative_flatness", ""),
    "relative_flatness, 0": (flat("0"), "relative_flatness", ""),
}
"""By row: the function, its variable and its error."""


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_what_its_function_gives_here_and_rescaled(
    name: str, table: xr.Dataset, objective: td.Objective
) -> None:
    """Kills: a setting not passed on, rows exchanged, the rescaled value of another point, the
    error of another number."""
    function, variable, error = ROWS[name]
    at = table.sel(measure=name)
    moved = td.layer_rescaling(objective, factor=3.0)
    for theta, prefix in ((objective.start, ""), (moved, "rescaled_")):
        direct = function(objective, theta)
        value = float(np.ravel(direct[variable].values)[0])
        assert float(at[f"{prefix}value"]) == pytest.approx(value, rel=1e-9), prefix
        if error:
            spread = float(np.ravel(direct[error].values)[0])
            assert float(at[f"{prefix}error"]) == pytest.approx(spread, rel=1e-6, abs=1e-12)
        if variable == "sigma":
            ends = [float(direct[f"sigma_{end}"]) for end in ("low", "high")]
            found = [float(at[f"{prefix}{end}"]) for end in ("low", "high")]
            np.testing.assert_array_equal(found, ends)  # the upper end may be unknown
            assert ends[0] < value


def test_the_bound_is_that_of_the_origin_with_an_interval(
    table: xr.Dataset, objective: td.Objective, origin: Path
) -> None:
    """Kills: the ends of sigma's interval not exchanged, the origin of another file."""
    at = table.sel(measure="pac_bayes_bound")
    state = td.training.load_state(origin)
    gap = float((objective.start - objective.space.flatten(state)).norm())
    sigma = table.sel(measure="pac_bayes_sigma")
    for name, end in (("value", "value"), ("low", "high"), ("high", "low")):
        s = float(sigma[end])
        exact = gap**2 / (4 * s * s) + math.log(30 / s) + 10
        assert float(at[name]) == pytest.approx(exact, rel=1e-9), name
    assert str(at["kind"].values) == "interval"
    assert float(at["rescaled_value"]) != pytest.approx(float(at["value"]))


def test_no_row_is_left_unproven(table: xr.Dataset) -> None:
    # kills: a new measure nobody compared. The other basic ones are in test_sharpness_measure.
    basic = {"largest_curvature", "worst_case_sharpness", "adaptive_sharpness", "fisher_rao_norm"}
    basic |= {"average_sharpness", "average_sharpness, adaptive", "keskar_sharpness"}
    assert set(table["measure"].values) == {*ROWS, *basic, "pac_bayes_bound"}
    assert table.attrs["left_out"] == "[]"


def test_basic_rows_with_settings_of_their_own(table: xr.Dataset, objective: td.Objective) -> None:
    """Kills: a norm, a unit, a box or a noise that is not passed on."""
    start = objective.start
    how: dict[str, Any] = {"p": math.inf, "steps": 3, "restarts": 2, "seed": SEED}
    found = {
        "worst_case_sharpness": td.worst_case_sharpness(objective, theta=start, rho=0.1, **how),
        "adaptive_sharpness": td.adaptive_sharpness(
            objective, theta=start, rho=0.3, by="filter", eta0=0.01, **how
        ),
        "keskar_sharpness": td.keskar_sharpness(
            objective, theta=start, epsilon=1e-3, subspace=2, seed=SEED
        ),
        "average_sharpness": td.average_sharpness(
            objective, theta=start, sigma=0.05, draws=4, second_order=False, seed=SEED
        ),
    }
    for name, direct in found.items():
        value = float(np.ravel(direct[name].values)[0])
        assert float(table.sel(measure=name)["value"]) == pytest.approx(value, rel=1e-9), name


def test_settings_are_told(table: xr.Dataset) -> None:
    """Kills: a number without the setting it belongs to, the limit of another rule."""
    names = [str(n) for n in table["measure"].values]
    told = dict(zip(names, map(str, table["setting"].values), strict=True))
    assert told["worst_case_sharpness, batchwise"] == (
        "rho = 0.1, p = inf, 3 steps, 2 starts, batches of 10"
    )
    assert told["adaptive_sharpness"] == (
        "rho = 0.3 of a filter's norm, eta0 = 0.01, p = inf, 3 steps, 2 starts"
    )
    assert told["keskar_sharpness"] == "epsilon = 0.001, 2 random directions"
    assert told["pac_bayes_sigma"] == "error + 20 %, 4 draws"
    top = float(table.sel(measure="largest_curvature")["value"])
    share = f"{top * 0.1 / 2:.2g} of gradient descent's limit"
    assert share in told["largest_curvature"]
    kinds = dict(zip(names, map(str, table["kind"].values), strict=True))
    assert kinds["adaptive_sharpness, batchwise"] == "mean lower bound"
    assert kinds["keskar_sharpness"] == "mean lower bound"


def test_without_class_labels_noise_may_raise_the_loss() -> None:
    """Kills: a survey of a regression without its PAC-Bayes rows."""
    objective = network(nn.MSELoss())
    chosen = settings(subspace=0, restarts=1, steps=2, layers=1, factor=0)
    found = opening(chosen, SEED, td.Target(objective))(0).set_index(measure="measure")
    rise = 0.1 * float(objective.value())
    direct = td.pac_bayes_sharpness(objective, loss_rise=rise, draws=4, seed=SEED)
    row = found.sel(measure="pac_bayes_sigma")
    assert float(row["value"]) == pytest.approx(float(direct["sigma"]), rel=1e-9)
    assert str(row["setting"].values) == f"loss + {rise:.3g}, 4 draws"
    assert np.isnan(found["rescaled_value"]).all()


def test_an_origin_that_is_none_is_refused_before_any_work(tmp_path: Path) -> None:
    """Kills: an origin read after an hour, a message without its name."""
    groups = MEASURES["sharpness"].groups
    target = td.Target(network())
    with pytest.raises(StorageError, match="there is no file"):
        groups(target, settings(origin=str(tmp_path / "none.pt")), 0)
    other = save_state({"0.weight": torch.zeros(5, 4)}, tmp_path / "part.safetensors")
    with pytest.raises(InvalidArgument, match="origin of sharpness must be a file of") as caught:
        groups(target, settings(origin=str(other)), 0)
    assert caught.value.code == "E-H70"
    with pytest.raises(InvalidArgument, match="origin of sharpness must be the path"):
        groups(target, settings(origin=3), 0)


def test_the_plan_counts_what_the_further_rows_cost(objective: td.Objective) -> None:
    """Kills: further rows for nothing, layers that are not counted."""

    def passes(**changed: Mapping[str, Any] | Any) -> float:
        return cost(objective, settings(**changed))

    assert passes() > 1.3 * passes(definitions="basic")
    assert passes(layers=3) - passes(layers=1) == pytest.approx(2 * 6 * 6)
    assert passes(layers=30) == passes(layers=3)
    assert passes(origin="x") - passes() == pytest.approx(20 * 4 + 1)
