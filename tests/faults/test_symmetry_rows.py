"""Rows D15 and D16 of the fault catalogue, for operators of any origin.

Oracle: matrices whose spectrum was chosen. More of row D16 (ghosts, breakdown, close pairs) is in
``tests/linalg/test_thick_restart.py`` and ``tests/linalg/test_repeated_eigenvalues.py``.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import theodolite as td
from theodolite.errors import InvalidArgument, NotConverged


@pytest.mark.parametrize("measure", [td.eigenpairs, td.spectral_density])
def test_d15_an_operator_that_is_not_symmetric_is_named(measure):
    # kills: Lanczos without a look at the coefficients it throws away; a bound of a thousandth
    matrix = torch.diag(torch.linspace(1, 2, 30, dtype=torch.float64))
    skew = torch.randn(30, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for size, named in ((1e-3, True), (1e-6, False)):
        a = matrix + size * (skew - skew.T)
        operator = td.Operator(lambda v, a=a: a @ v, 30, a.dtype, "askew")
        settings = {"count": 2} if measure is td.eigenpairs else {"steps": 10, "probes": 1}
        if named:
            with pytest.raises(InvalidArgument, match=r"'askew' must be symmetric.*E-L10"):
                measure(operator, **settings)
        else:
            measure(operator, **settings)


@pytest.mark.parametrize("which", ["largest", "smallest", "both"])
def test_d16_repeated_eigenvalues_of_both_signs_with_their_residuals(which):
    # kills: a copy lost at breakdown, a ghost in its place, residuals that are not residuals
    bulk = torch.linspace(-0.5, 0.5, 50)
    values = torch.cat([torch.tensor([4.0, 4, 4, 1, -3, -3, -5]), bulk]).double()
    random = torch.randn(57, 57, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    basis = torch.linalg.qr(random).Q
    a = basis * values @ basis.T
    operator = td.Operator.from_matrix((a + a.T) / 2)
    found = td.eigenpairs(operator, count=4, which=which, vectors=True, tolerance=1e-2)
    wanted = {"largest": [4, 4, 4, 1], "smallest": [-0.5, -3, -3, -5], "both": [4, 4, -3, -5]}
    residual, v = found.residual.values, found.vector.values
    assert (abs(found.eigenvalue.values - wanted[which]) <= residual).all()
    gaps = np.linalg.norm(v @ a.numpy() - found.eigenvalue.values[:, None] * v, axis=1)
    assert residual.max() > 1e-9
    np.testing.assert_allclose(gaps, residual, rtol=1e-3, atol=1e-12)


def test_d16_what_did_not_converge_carries_what_was_reached():
    # kills: an exception that throws the work away
    a = torch.diag(torch.linspace(1, 1.001, 400, dtype=torch.float64))
    with pytest.raises(NotConverged, match=r"E-L12") as caught:
        td.eigenpairs(td.Operator.from_matrix(a), count=3, tolerance=1e-9, max_products=40)
    partial = caught.value.result
    assert partial.sizes["eigenvalue"] == 3
    assert partial.attrs["converged"] in (False, "false")
    assert float(partial.residual.max()) > 0
