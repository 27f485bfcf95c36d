"""The Gauss-Newton matrix and the Hessian against another library's.

Oracle: curvlinops (Dangel et al. 2025), whose operators are built from the model, a loss module
and one batch, so that its weighting of batches does not enter.
"""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import theodolite as td
from theodolite.testing.objectives import CASES

with warnings.catch_warnings():
    # linear_operator, which curvlinops imports, still scripts functions when it is imported
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
    import curvlinops


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # torch's own
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (td.hessian, curvlinops.HessianLinearOperator),
        (td.ggn, curvlinops.GGNLinearOperator),
    ],
    ids=["hessian", "ggn"],
)
@pytest.mark.parametrize("name", ["squared error", "sum of squares", "cross entropy", "residual"])
def test_products(ours, theirs, name):
    # kills: what the package and its own dense oracle could share, such as a factor of two
    case = CASES[name]
    objective = case.objective()
    model = case.network()
    loss: nn.Module = case.loss().double()
    other = theirs(model, loss, list(model.parameters()), [(case.inputs(), case.targets())])
    v = torch.randn(
        objective.space.size, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )
    torch.testing.assert_close(ours(objective).matvec(v), other @ v, rtol=0, atol=1e-11)
