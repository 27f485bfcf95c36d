"""Parts of a matrix and other units. Oracle: the dense matrix of the whole, cut and scaled."""

from __future__ import annotations

import pytest
import torch
from scipy.linalg import eigvalsh
from torch import nn

import theodolite as td
from operators.dense import dense_empirical_fisher, dense_ggn, dense_hessian
from theodolite.errors import InvalidArgument
from theodolite.parameters import positions
from theodolite.testing.objectives import CASES

NAMES = ("convolution with batch norm", "layer norm", "LSTM", "tied language model")
KINDS = {
    td.hessian: dense_hessian,
    td.ggn: dense_ggn,
    td.empirical_fisher: dense_empirical_fisher,
}


@pytest.mark.parametrize("matrix", KINDS, ids=lambda m: m.__name__)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("by", ["layer", "tensor"])
def test_blocks_are_the_diagonal_blocks_of_the_whole(name, matrix, by):
    # kills: a block at the wrong place, other parameters that move, coordinates out of order
    case = CASES[name]
    whole, objective = KINDS[matrix](case), case.objective()
    found = td.blocks(objective, matrix=matrix, by=by, verify=False)
    assert sum(b.size for b in found.values()) == objective.space.size
    groups = objective.space.layers() if by == "layer" else None
    for label, block in found.items():
        entries = groups[label] if groups else (objective.space.entry(label),)
        index = torch.cat([torch.arange(e.offset, e.stop) for e in entries])
        gap = float((block.dense() - whole[index][:, index]).abs().max())
        assert gap < 1e-10, label


def test_any_subset_at_any_point():
    # kills: the others held at the start in place of theta
    case = CASES["layer norm"]
    objective = case.objective()
    theta = objective.start + 0.1 * torch.sin(torch.arange(objective.space.size).double())
    index = positions(objective.space, ["*.bias"])
    part = objective.restricted("*.bias", theta=theta)
    whole = td.hessian(objective, theta, engine="kept").dense()
    torch.testing.assert_close(
        td.hessian(part, engine="kept").dense(), whole[index][:, index], rtol=0, atol=1e-10
    )
    torch.testing.assert_close(part.value(), objective.value(theta), rtol=1e-14, atol=0)
    torch.testing.assert_close(
        part.gradient(), objective.gradient(theta)[index], rtol=0, atol=1e-13
    )
    assert part.start_pass.loss() == pytest.approx(float(objective.value(theta)), rel=1e-14)
    others = theta.clone()
    others[index] = objective.start[index]
    apart = objective.restricted("*.bias", theta=others)
    assert torch.equal(apart.start, objective.restricted("*.bias").start)
    assert apart.fingerprint != objective.restricted("*.bias").fingerprint
    assert part.metrics()["loss"] == pytest.approx(float(objective.value(theta)), rel=1e-14)


def test_a_block_in_another_precision_holds_the_others_where_they_were():
    # kills: tensors held still that are lost, or the model's own, in the converted problem
    case = CASES["layer norm"]
    objective = case.objective()
    theta = objective.start * 1.25
    part = objective.restricted("*.weight", theta=theta).converted(torch.float32)
    assert float(part.value()) == pytest.approx(float(objective.value(theta)), rel=1e-5)


def test_names_that_mean_nothing_are_refused_with_near_ones():
    objective = td.Objective(
        nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)),
        nn.MSELoss(),
        (torch.ones(4, 2), torch.ones(4, 1)),
    )
    with pytest.raises(
        InvalidArgument, match=r"no trainable parameter is meant by '0\.wieght'"
    ) as e:
        objective.restricted("0.wieght")
    assert "'0.weight'" in str(e.value)
    with pytest.raises(InvalidArgument, match="got none"):
        objective.restricted()
    with pytest.raises(InvalidArgument, match="by must be one of 'layer', 'tensor'"):
        td.blocks(objective, by="filter")


def test_preconditioned_has_the_generalized_eigenvalues():
    # kills: D for its root, one side left out
    case = CASES["layer norm"]
    objective = case.objective()
    d = torch.linspace(0.1, 3, objective.space.size, dtype=torch.float64)
    found = td.preconditioned(td.hessian(objective), d)
    expected = eigvalsh(dense_hessian(case).numpy(), torch.diag(d).numpy())
    got = torch.linalg.eigvalsh(found.dense())
    torch.testing.assert_close(got, torch.from_numpy(expected), rtol=0, atol=1e-9)
    v = torch.randn(len(d), dtype=torch.float64)
    torch.testing.assert_close(found.matvec(v), found.dense() @ v, rtol=0, atol=1e-10)
    top = td.eigenpairs(found, count=1).eigenvalue.values
    assert top[0] == pytest.approx(expected[-1], rel=1e-4)


@pytest.mark.parametrize(
    ("diagonal", "message"),
    [
        (torch.ones(2), r"shape \(3,\); got \(2,\)"),
        (torch.tensor([1.0, 0.0, -1.0]), "not in 2 of 3 entries"),
        (torch.tensor([1.0, torch.nan, 1.0]), "not in 1 of 3 entries"),
    ],
)
def test_a_diagonal_that_is_none(diagonal, message):
    with pytest.raises(InvalidArgument, match=message):
        td.preconditioned(td.Operator.from_matrix(torch.eye(3)), diagonal)
