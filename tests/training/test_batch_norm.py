"""BatchNorm statistics of the whole data, against one pass in float64 and against update_bn."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader, TensorDataset

from theodolite.errors import InvalidArgument, InvalidData, InvalidType
from theodolite.training import recompute_batch_norm

X = 3 + 2 * torch.randn(23, 2, 6, 6, generator=torch.Generator().manual_seed(0))


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(),
        nn.Linear(48, 4), nn.BatchNorm1d(4, momentum=None), nn.ReLU(), nn.Linear(4, 2),
    )  # fmt: skip


def full_pass(model: nn.Module, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Mean and population variance of each layer's input, the whole data as one batch, float64."""
    model, x, found = copy.deepcopy(model).double().eval(), x.double(), []
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                dims = [d for d in range(x.dim()) if d != 1]
                mean, variance = x.mean(dims), x.var(dims, correction=0)
                found.append((mean, variance))
                shape = (1, -1, *[1] * (x.dim() - 2))
                scale = layer.weight / (variance + layer.eps).sqrt()
                x = (x - mean.view(shape)) * scale.view(shape) + layer.bias.view(shape)
            else:
                x = layer(x)
    return found


@pytest.mark.parametrize("size", [23, 5, 1])
def test_statistics_are_those_of_one_pass_over_everything(size: int) -> None:
    # kills: means of batch means (unequal batches), n - 1 for n, dropout left on, deeper layers fed
    # with batch statistics
    model = network().train()
    model[3].eval()
    wanted, weights = full_pass(model, X), copy.deepcopy(list(model.parameters()))
    passes = recompute_batch_norm(model, DataLoader(TensorDataset(X), batch_size=size))
    assert passes == 2
    for layer, (mean, variance) in zip((model[1], model[6]), wanted, strict=True):
        assert torch.allclose(layer.running_mean.double(), mean, rtol=1e-5, atol=1e-6)
        assert torch.allclose(layer.running_var.double(), variance, rtol=1e-5, atol=1e-6)
        assert int(layer.num_batches_tracked) == -(-23 // size)
    assert (model[1].momentum, model[6].momentum) == (0.1, None)
    assert (model.training, model[3].training, model[1].training) == (True, False, True)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), weights, strict=True))


def test_update_bn_agrees_on_one_batch_up_to_the_correction_and_not_on_many() -> None:
    # kills: statistics of batches passed off as those of the data
    ours, theirs = network(), network()
    for model in (ours, theirs):
        model[3].p = 0.0
    recompute_batch_norm(ours, [X])
    update_bn([X], theirs)
    for k, count in ((1, 23 * 16), (6, 23)):
        assert torch.allclose(ours[k].running_mean, theirs[k].running_mean, rtol=1e-4, atol=1e-5)
        unbiased = ours[k].running_var * count / (count - 1)
        assert torch.allclose(unbiased, theirs[k].running_var, rtol=1e-4)
    update_bn(X.split(5), theirs)
    gap = (ours[6].running_var * 23 / 22 - theirs[6].running_var).abs() / ours[6].running_var
    assert float(gap.max()) > 0.02


def test_a_network_without_batch_norm_needs_no_pass() -> None:
    assert recompute_batch_norm(nn.Linear(2, 2), iter([])) == 0


@pytest.mark.parametrize(
    ("batches", "error", "words"),
    [
        (lambda: iter([X]), InvalidArgument, "gone through once a layer; got list_iterator"),
        (lambda: [], InvalidData, "holds no batch"),
        (lambda: [X, X * torch.nan], InvalidData, "of 3 channels are not finite"),
        (lambda: [{"x": X}], InvalidType, "got dict"),
        (lambda: [X, X[:, :1]], RuntimeError, "channels"),
    ],
)
def test_what_gives_no_statistics_is_refused_and_changes_nothing(
    batches: object, error: type[Exception], words: str
) -> None:
    # kills: statistics half written, a mode left in eval
    model = network().train()
    model(X)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(error, match=words):
        recompute_batch_norm(model, batches())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(m.training for m in model.modules())
