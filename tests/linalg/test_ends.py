"""The low end of a spectrum with its errors, against spectra that were chosen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from theodolite import seeds
from theodolite.errors import InvalidArgument
from theodolite.linalg.ends import frobenius_norm, iterated_end, whole_spectrum
from theodolite.linalg.operator import Operator
from theodolite.testing import oracles

CUTS = np.array([1e-3, 0.1, 0.5])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", oracles.spectra(70))
def test_the_whole_spectrum_is_within_its_errors(name: str, dtype: torch.dtype) -> None:
    # kills: a chunk of columns left out or put elsewhere, an error without rounding.
    exact = oracles.spectra(70)[name].sort().values.numpy()
    end = whole_spectrum(oracles.operator_with_eigenvalues(exact_tensor(exact), dtype=dtype), CUTS)
    assert np.all(np.abs(end.values - exact) <= end.errors)
    largest = np.abs(exact).max()
    assert end.errors.max() <= 1e3 * torch.finfo(dtype).eps * largest
    assert end.scale <= largest + end.scale_error
    assert (end.complete, end.products) == (True, 70)


def exact_tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values)


def test_asymmetry_is_part_of_the_error() -> None:
    # kills: errors that trust products which contradict each other.
    matrix = oracles.matrix_with_eigenvalues(torch.linspace(-1, 2, 20).double())
    matrix[0, 1] += 1e-5
    operator = Operator(lambda v: matrix @ v, 20, torch.float64, "nearly")
    end = whole_spectrum(operator, CUTS)
    assert end.errors[0] == pytest.approx(1e-5 / 2**0.5, rel=1e-6)
    matrix[0, 1] += 1.0
    with pytest.raises(InvalidArgument, match="'nearly' must be symmetric"):
        whole_spectrum(operator, CUTS)


@pytest.mark.parametrize("name", ["indefinite", "threefold bottom", "negative", "distinct"])
def test_iterated_values_have_an_eigenvalue_within_each_error(name: str) -> None:
    # kills: the wrong end, descending order, errors in another order than values.
    exact = oracles.spectra(200)[name].sort().values.numpy()
    end = iterated_end(
        oracles.operator_with_eigenvalues(exact_tensor(exact)), CUTS, count=3, steps=40, seed=0
    )
    assert np.all(np.abs(end.values - exact[:3]) <= end.errors)
    assert end.scale == pytest.approx(np.abs(exact).max(), rel=1e-5)
    assert not end.complete


@pytest.mark.parametrize(
    ("lowest", "open_until"), [([], 0), ([-0.3], 0), ([-0.3, -0.25], 1), ([-0.7, -0.6, -0.5], 2)]
)
def test_a_low_eigenvalue_is_missed_only_where_there_is_one_more(
    lowest: list[float], open_until: int
) -> None:
    # kills: cuts not scaled, the last remainder left out, the sign of the cut, the vector that
    # was found left in. One pair is asked for; further ones below a cut must keep it open.
    bulk = torch.linspace(0, 2, 200 - len(lowest), dtype=torch.float64)
    cuts = np.array([0.1, 0.2, 0.4])  # of the largest, 2
    spectrum = torch.cat([torch.tensor(lowest, dtype=torch.float64), bulk])
    end = iterated_end(oracles.operator_with_eigenvalues(spectrum), cuts, count=1, steps=60, seed=0)
    assert end.missed[:open_until].tolist() == [1] * open_until
    assert np.all(end.missed[open_until:] < 1e-3)


def test_the_chance_is_that_of_the_polynomial_of_the_run() -> None:
    # kills: the last remainder left out, the dimension of another space. Oracle: the monic
    # polynomial with the Ritz values as roots, multiplied out on the part that is left.
    spectrum = torch.linspace(-1, 2, 50, dtype=torch.float64)
    operator = oracles.operator_with_eigenvalues(spectrum)
    steps, cut = 7, 1.9
    end = iterated_end(operator, np.array([cut / 2]), count=2, steps=steps, seed=0)
    basis = oracles.orthogonal_matrix(50)[:, 2:]  # what the two lowest vectors leave
    inside = torch.diag(spectrum[2:])
    generator = seeds.torch_generator(0, "low_end", "search")
    start = basis.T @ torch.randn(50, generator=generator, dtype=torch.float64)
    start = start / start.norm()
    powers = [torch.linalg.matrix_power(inside, k) @ start for k in range(steps)]
    krylov = torch.linalg.qr(torch.stack(powers, 1))[0]
    ritz = torch.linalg.eigvalsh(krylov.T @ inside @ krylov)
    for value in ritz:
        start = inside @ start - value * start
    chance = 0.8 * 48**0.5 * float(start.norm() / (cut + ritz).prod())
    assert end.missed.item() == pytest.approx(chance, rel=1e-5)
    assert chance < 0.5


def test_products_are_counted() -> None:
    operator, made = oracles.counted(
        oracles.operator_with_eigenvalues(oracles.spectra(200)["indefinite"])
    )
    assert iterated_end(operator, CUTS, count=2, steps=30, seed=0).products == sum(made)


@pytest.mark.parametrize("size", [30, 64])
def test_the_frobenius_norm_of_a_small_matrix_is_exact(size: int) -> None:
    spectrum = oracles.spectra(size)["indefinite"]
    found, products = frobenius_norm(oracles.operator_with_eigenvalues(spectrum))
    assert found == pytest.approx(float(spectrum.norm()), rel=1e-12)
    assert products == size


def test_the_frobenius_norm_of_a_large_one_is_within_four_errors() -> None:
    # kills: probes not averaged, a root left out. The bound is four standard errors of the root
    # of a mean of 16 squares, each with a relative variance of at most 2 sum l^4 / (sum l^2)^2.
    spectrum = oracles.spectra(300)["indefinite"]
    found, products = frobenius_norm(oracles.operator_with_eigenvalues(spectrum), seed=1)
    exact, spread = float(spectrum.norm()), float((spectrum**4).sum() / (spectrum**2).sum() ** 2)
    assert abs(found / exact - 1) < 4 * (2 * spread / 16) ** 0.5 / 2
    assert products == 16
