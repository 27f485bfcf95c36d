"""The index curve against chosen spectra, linear autoencoders and a convex loss."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from theodolite.curvature.saddle_indices import saddle_index
from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator
from theodolite.testing import oracles
from theodolite.testing.saddles import LinearAutoencoder

AUTOENCODER = LinearAutoencoder((4.0, 3.0, 2.0, 1.0), hidden=2)
CHOICES = [c for k in range(3) for c in itertools.combinations(range(4), k)]


@pytest.mark.parametrize("name", oracles.spectra(70))
def test_the_dense_curve_is_that_of_the_spectrum(name: str) -> None:
    # kills: a share of something else than the size, thresholds that are not relative.
    spectrum = oracles.spectra(70)[name]
    curve = saddle_index(
        oracles.operator_with_eigenvalues(spectrum), thresholds=[1e-3, 0.0501, 0.3]
    )
    cuts = np.array([1e-3, 0.0501, 0.3]) * float(spectrum.abs().max())
    exact = (spectrum.numpy()[:, None] < -cuts).mean(0)
    for variable in ("index", "index_low", "index_high"):
        assert curve[variable].values == pytest.approx(exact, abs=1e-15 if name != "zero" else 1)
    assert (curve.certain_negative.values / 70).tolist() == exact.tolist()
    assert curve.attrs["method"] == "dense"


@pytest.mark.parametrize("chosen", CHOICES)
def test_critical_points_of_a_linear_autoencoder_have_the_index_of_theory(
    chosen: tuple[int, ...],
) -> None:
    # kills: any miscount of negative directions beside many zero ones.
    # Oracle: Baldi, Hornik (1989): a minimum only for the leading directions.
    objective, point = AUTOENCODER.objective(), AUTOENCODER.point(chosen)
    assert float(objective.gradient(point).norm()) < 1e-12
    assert float(objective.value(point)) == pytest.approx(AUTOENCODER.loss(chosen))
    curve = saddle_index(td.hessian(objective, point), thresholds=[1e-9, 1e-6, 1e-3])
    expected = AUTOENCODER.negative_directions(chosen)
    assert curve.certain_negative.values.tolist() == [expected] * 3
    assert curve.possible_negative.values.tolist() == [expected] * 3
    word = "minimum up to tau" if chosen == (0, 1) else "saddle with at least"
    assert all(v.startswith(word) for v in curve.verdict.values)


def test_zero_eigenvalues_get_no_sign_below_the_rounding_of_the_products() -> None:
    # kills: rounding counted as negative directions; "minimum" where it could be a saddle.
    spectrum = oracles.spectra(100)["rank one"]
    operator = oracles.operator_with_eigenvalues(spectrum, dtype=torch.float32)
    curve = saddle_index(operator, thresholds=[1e-8, 1e-3])
    assert curve.verdict.values.tolist() == ["undetermined", "minimum up to tau"]
    assert curve.possible_negative.values.tolist() == [99, 0]
    assert curve.certain_negative.values.tolist() == [0, 0]


def test_a_convex_loss_has_index_zero_everywhere() -> None:
    # kills: a curve that depends on the sign of the scale. Softmax regression is convex.
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (40,), generator=generator)
    objective = td.Objective(nn.Linear(5, 3).double(), nn.CrossEntropyLoss(), (x, labels))
    theta = torch.randn(18, generator=generator, dtype=torch.float64)
    curve = saddle_index(td.hessian(objective, theta))
    assert float(curve.index.max()) == 0
    assert set(curve.verdict.values) == {"minimum up to tau"}


def sampled(spectrum: torch.Tensor, **settings: object) -> td.results.xr.Dataset:
    operator = oracles.operator_with_eigenvalues(spectrum)
    return saddle_index(operator, dense_limit=0, **settings)  # type: ignore[arg-type]


def test_the_sampled_curve_agrees_with_the_dense_one() -> None:
    # kills: cuts not times the scale, the mean over thresholds instead of probes, bounds
    # swapped, an error not divided by the root of the number of probes.
    spectrum = oracles.spectra(400)["indefinite"]
    taus = [0.01, 0.1, 0.3]
    found = sampled(spectrum, thresholds=taus, probes=12, steps=60)
    exact = (spectrum.numpy()[:, None] < -3 * np.array(taus)).mean(0)
    assert found.sizes == {"tau": 3, "probe": 12, "direction": 10}
    error = found["sample"].values.std(0, ddof=1) / 12**0.5
    np.testing.assert_allclose(found.standard_error, error, rtol=0.5)
    np.testing.assert_allclose(found.index, found["sample"].mean("probe"), rtol=1e-12)
    assert np.all(found.index_low - 4 * error <= exact)
    assert np.all(exact <= found.index_high + 4 * error)
    assert np.all(np.abs(found.index - exact) <= 4 * error + (found.index_high - found.index_low))
    assert np.all(error < 0.03)
    assert found.attrs["method"] == "lanczos"


def test_certain_directions_are_found_by_iteration() -> None:
    # kills: directions counted without their residuals, copies not found.
    found = sampled(oracles.spectra(300)["threefold bottom"], thresholds=[0.1, 0.5])
    assert found.certain_negative.values.tolist() == [3, 3]
    assert found.possible_negative.values.tolist() == [3, 3]
    assert found.verdict.values[1] == "saddle with at least 3 directions"
    assert np.all(np.diff(found.eigenvalue) >= 0)
    assert float(found.residual.max()) < 5e-6 * 5


def test_a_minimum_is_proved_without_the_whole_spectrum() -> None:
    # kills: "undetermined" for everything sampled; the bound on the chance ignored.
    spectrum = torch.cat([torch.zeros(200).double(), torch.logspace(-4, 0, 200).double()])
    found = sampled(spectrum, thresholds=[1e-9, 0.01, 0.1], count=3, steps=60)
    assert found.verdict.values.tolist()[1:] == ["minimum up to tau"] * 2
    assert found.verdict.values[0] == "undetermined"
    assert float(found.miss_probability[1]) < 1e-3
    assert int(found.certain_negative.sum()) == 0


def test_cost_settings_and_facts_are_recorded() -> None:
    inner, made = oracles.counted(
        oracles.operator_with_eigenvalues(oracles.spectra(90)["negative"])
    )
    operator = Operator(
        inner.matvec, 90, torch.float64, "mine", matmat=inner.matmat, facts={"fingerprint": "f00d"}
    )
    for limit, method in ((0, "lanczos"), (90, "dense")):
        made.clear()
        found = saddle_index(operator, dense_limit=limit, probes=2, steps=20, count=2, seed=5)
        assert found.attrs["products"] == sum(made)
        expected = {"method": method, "seed": 5, "operator": "mine", "fingerprint": "f00d"}
        assert expected.items() <= found.attrs.items()
        assert all(v.attrs["long_name"] for v in found.data_vars.values())
    assert set(found.verdict.values) == {"maximum"}
    assert found.attrs["quantity"] == "saddle_index"


def test_the_same_seed_gives_the_same_curve_and_more_probes_keep_the_first() -> None:
    spectrum = oracles.spectra(100)["indefinite"]
    a, b = (sampled(spectrum, probes=p, steps=20, seed=4) for p in (2, 3))
    assert a.identical(sampled(spectrum, probes=2, steps=20, seed=4))
    np.testing.assert_array_equal(a["sample"], b["sample"][:2])
    assert not np.array_equal(a["sample"], sampled(spectrum, probes=2, steps=20, seed=5)["sample"])


def test_it_survives_the_disk(tmp_path: object) -> None:
    import xarray as xr

    found = sampled(oracles.spectra(50)["indefinite"], probes=2, steps=10)
    path = f"{tmp_path}/curve.nc"
    found.to_netcdf(path, engine="h5netcdf")
    with xr.open_dataset(path, engine="h5netcdf") as again:
        assert again.verdict.values.tolist() == found.verdict.values.tolist()
        np.testing.assert_array_equal(again.index, found.index)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"thresholds": [0.0, 0.1]}, "E-K24"),
        ({"thresholds": [0.1, 0.01]}, "E-K24"),
        ({"thresholds": [0.1, 1.0]}, "E-K24"),
        ({"thresholds": []}, "E-K24"),
        ({"probes": 0}, "E-K25"),
        ({"steps": 31}, "E-K25"),
        ({"count": 0}, "E-K25"),
        ({"dense_limit": -1}, "E-K25"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], code: str) -> None:
    with pytest.raises(InvalidArgument, match=f"{next(iter(settings))} must") as caught:
        saddle_index(oracles.operator_with_eigenvalues(oracles.spectra(30)["zero"]), **settings)  # type: ignore[arg-type]
    assert caught.value.code == code
