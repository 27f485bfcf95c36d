"""Matrices whose answers are known because they were made from them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from theodolite import seeds
from theodolite.linalg.operator import Operator


def _float64(*values: int | float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _repeat(value: int | float, times: int) -> Tensor:
    return torch.full((times,), value, dtype=torch.float64)


def spectra(size: int = 30) -> dict[str, Float[Tensor, " size"]]:
    """Named spectra of `size` eigenvalues (at least 6), float64: easy, hard and degenerate ones.

    >>> spectra(6)["one outlier"].tolist()
    [100.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    bulk = torch.linspace(-0.1, 1.0, size - 3, dtype=torch.float64)
    return {
        "distinct": torch.linspace(1, 5, size, dtype=torch.float64),
        "one outlier": torch.cat([_float64(100), _repeat(1, size - 1)]),
        "indefinite": torch.linspace(-2, 3, size, dtype=torch.float64),
        "rank one": torch.cat([_float64(7), _repeat(0, size - 1)]),
        "zero": _repeat(0, size),
        "identity": _repeat(1, size),
        "threefold top": torch.cat([_repeat(5, 3), bulk]),
        "threefold bottom": torch.cat([_repeat(-5, 3), bulk]),
        "clustered": torch.cat([_float64(2, 2 - 1e-3, 2 - 2e-3), bulk]),
        "decaying": torch.logspace(0, -6, size, dtype=torch.float64),
        "negative": torch.linspace(-5, -1, size, dtype=torch.float64),
    }


def trained_network_spectrum(size: int = 1930) -> Float[Tensor, " size"]:
    """A spectrum like that of a trained classifier's Hessian: ten outliers that fall off
    geometrically, a bulk that decays over five decades, and a few small negative values.

    >>> [round(v, 3) for v in trained_network_spectrum(100)[:3].tolist()]
    [0.54, 0.437, 0.354]
    """
    outliers = 0.54 * 0.81 ** torch.arange(10, dtype=torch.float64)
    negative = -torch.logspace(-2.4, -5, size // 5, dtype=torch.float64)
    bulk = torch.logspace(-1.2, -6, size - 10 - len(negative), dtype=torch.float64)
    return torch.cat([outliers, bulk, negative])


def orthogonal_matrix(
    size: int, *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Float[Tensor, "size size"]:
    """A random orthogonal matrix, uniform (Haar): QR of a Gaussian matrix with signs fixed.

    Mezzadri (2007), Notices of the AMS 54.
    """
    generator = seeds.torch_generator(seed, "orthogonal_matrix", size)
    q, r = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    uniform: Tensor = (q * r.diagonal().sign()).to(dtype)
    return uniform


def matrix_with_eigenvalues(
    eigenvalues: Float[Tensor, " size"], *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Float[Tensor, "size size"]:
    """A dense symmetric matrix with these eigenvalues and random eigenvectors."""
    q = orthogonal_matrix(len(eigenvalues), seed=seed)
    matrix = (q * eigenvalues.to(torch.float64)) @ q.T
    return ((matrix + matrix.T) / 2).to(dtype)


def operator_with_eigenvalues(
    eigenvalues: Float[Tensor, " size"], *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Operator:
    """The operator of `matrix_with_eigenvalues`.

    >>> operator_with_eigenvalues(torch.tensor([2.0, 2.0])).dense().round(decimals=9).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    return Operator.from_matrix(
        matrix_with_eigenvalues(eigenvalues, seed=seed, dtype=dtype), "chosen eigenvalues"
    )


def counted(operator: Operator) -> tuple[Operator, list[int]]:
    """`operator` and a list that grows by the number of vectors of every product.

    >>> operator, products = counted(operator_with_eigenvalues(torch.ones(2)))
    >>> _ = operator.matvec(torch.ones(2, dtype=torch.float64)), operator.dense()
    >>> products
    [1, 2]
    """
    made: list[int] = []

    def matvec(v: Tensor) -> Tensor:
        made.append(1)
        return operator.matvec(v)

    def matmat(m: Tensor) -> Tensor:
        assert operator.matmat is not None
        made.append(m.shape[1])
        return operator.matmat(m)

    wrapped = Operator(
        matvec,
        operator.size,
        operator.dtype,
        operator.label,
        operator.device,
        matmat,
        operator.facts,
    )
    return wrapped, made
