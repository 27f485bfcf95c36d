"""Every torch loss, over any batches, against the module's own value on one batch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from theodolite import Objective
from theodolite.errors import InvalidArgument, InvalidData, InvalidType

N, C = 12, 4


def _net(outputs: int = C, head: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(3)
    layers = [nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, outputs)]
    return nn.Sequential(*layers, *([head] if head else [])).double()


def _inputs() -> torch.Tensor:
    return torch.randn(N, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def _labels(shape: tuple[int, ...] = (N,), ignored: int | None = None) -> torch.Tensor:
    labels = torch.randint(C, shape, generator=torch.Generator().manual_seed(2))
    if ignored is not None:
        labels.reshape(-1)[::3] = ignored
    return labels


def _real(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4))


CLASS_WEIGHTS = torch.tensor([0.2, 1.0, 3.0, 0.5], dtype=torch.float64)
CASES = {
    "cross entropy": (lambda r: nn.CrossEntropyLoss(reduction=r), _net, _labels),
    "class weights": (
        lambda r: nn.CrossEntropyLoss(weight=CLASS_WEIGHTS, reduction=r),
        _net,
        _labels,
    ),
    "ignored": (
        lambda r: nn.CrossEntropyLoss(ignore_index=1, reduction=r),
        _net,
        lambda: _labels(ignored=1),
    ),
    "smoothing": (lambda r: nn.CrossEntropyLoss(label_smoothing=0.2, reduction=r), _net, _labels),
    "weights, smoothing and ignored": (
        lambda r: nn.CrossEntropyLoss(
            weight=CLASS_WEIGHTS, label_smoothing=0.1, ignore_index=-100, reduction=r
        ),
        _net,
        lambda: _labels(ignored=-100),
    ),
    "class probabilities": (
        lambda r: nn.CrossEntropyLoss(reduction=r, weight=CLASS_WEIGHTS),
        _net,
        lambda: _real(N, C).softmax(1),
    ),
    "pixels": (
        lambda r: nn.CrossEntropyLoss(weight=CLASS_WEIGHTS, reduction=r, ignore_index=2),
        lambda: _net(C * 6, nn.Unflatten(1, (C, 2, 3))),
        lambda: _labels((N, 2, 3), ignored=2),
    ),
    "negative log likelihood": (
        lambda r: nn.NLLLoss(weight=CLASS_WEIGHTS, reduction=r),
        lambda: _net(C, nn.LogSoftmax(1)),
        _labels,
    ),
    "squared error": (lambda r: nn.MSELoss(reduction=r), _net, lambda: _real(N, C)),
    "absolute error": (lambda r: nn.L1Loss(reduction=r), _net, lambda: _real(N, C)),
    "huber": (lambda r: nn.HuberLoss(reduction=r, delta=0.3), _net, lambda: _real(N, C)),
    "smooth l1": (lambda r: nn.SmoothL1Loss(reduction=r), _net, lambda: _real(N, C)),
    "binary": (
        lambda r: nn.BCELoss(reduction=r),
        lambda: _net(C, nn.Sigmoid()),
        lambda: _real(N, C),
    ),
    "binary with logits": (
        lambda r: nn.BCEWithLogitsLoss(pos_weight=CLASS_WEIGHTS, reduction=r),
        _net,
        lambda: _real(N, C).round(),
    ),
    "poisson": (lambda r: nn.PoissonNLLLoss(reduction=r), _net, lambda: _real(N, C)),
    "divergence": (
        lambda r: nn.KLDivLoss(reduction="batchmean" if r == "mean" else r),
        lambda: _net(C, nn.LogSoftmax(1)),
        lambda: _real(N, C).softmax(1),
    ),
    "multi margin": (lambda r: nn.MultiMarginLoss(reduction=r), _net, _labels),
    "multi label": (
        lambda r: nn.MultiLabelSoftMarginLoss(reduction=r),
        _net,
        lambda: _real(N, C).round(),
    ),
}
SPLITS = ([12], [6, 6], [11, 1], [5, 4, 3])


def _batches(x: torch.Tensor, y: torch.Tensor, sizes: list[int]) -> list[tuple[torch.Tensor, ...]]:
    return list(zip(x.split(sizes), y.split(sizes), strict=True))


@pytest.mark.parametrize("sizes", SPLITS, ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("case", CASES)
def test_value_and_gradient_equal_the_modules_own_on_one_big_batch(case, reduction, sizes):
    # kills: a mean of batch means; class weights left out of the denominator; a wrong `scale`
    make, net, targets = CASES[case]
    loss, model, x, y = make(reduction), net(), _inputs(), targets()
    objective = Objective(model, loss, _batches(x, y, sizes))
    own = loss(model(x), y)
    expected = torch.autograd.grad(own, list(model.parameters()))
    torch.testing.assert_close(objective.value(), own.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        objective.gradient(), torch.cat([g.reshape(-1) for g in expected]), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("case", CASES)
def test_unreduced_losses_give_the_mean_of_the_module(case):
    make, net, targets = CASES[case]
    x, y, model = _inputs(), targets(), net()
    unreduced, mean = (Objective(model, make(r), (x, y)) for r in ("none", "mean"))
    if case == "divergence":  # "none" has no batchmean: elements are averaged
        mean = Objective(model, nn.KLDivLoss(reduction="none"), (x, y))
    assert float(unreduced.value()) == float(mean.value())


def test_functions_of_torch_are_read_as_their_modules():
    x, y, model = _inputs(), _labels(), _net()
    by_function = Objective(model, F.cross_entropy, (x, y)).value()
    assert float(by_function) == float(Objective(model, nn.CrossEntropyLoss(), (x, y)).value())


def test_losses_and_errors_are_those_of_the_examples():
    # kills: a standard error of batch means, or one that forgets Bessel's correction
    x, y, model = _inputs(), _labels(), _net()
    objective = Objective(model, nn.CrossEntropyLoss(), _batches(x, y, [11, 1]))
    each = F.cross_entropy(model(x), y, reduction="none").detach()
    torch.testing.assert_close(objective.losses(), each)
    metrics = objective.metrics()
    assert metrics["loss_error"] == pytest.approx(float(each.std() / N**0.5), rel=1e-12)
    right = (model(x).argmax(1) == y).double()
    assert metrics["accuracy"] == pytest.approx(float(right.mean()))
    assert metrics["accuracy_error"] == pytest.approx(float(right.std() / N**0.5))


def test_weighted_standard_error_agrees_with_the_bootstrap():
    # kills: the error of an unweighted mean in place of the ratio estimator's
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 5, dtype=torch.float64, generator=generator)
    y = torch.randint(C, (400,), generator=generator)
    loss = nn.CrossEntropyLoss(weight=torch.tensor([0.05, 1, 5, 0.5]).double())
    objective = Objective(_net(), loss, (x, y))
    each, weight = objective.losses(), loss.weight[y]
    draws = torch.randint(400, (4000, 400), generator=generator)
    means = (each * weight)[draws].sum(1) / weight[draws].sum(1)
    assert objective.metrics()["loss_error"] == pytest.approx(float(means.std()), rel=0.08)


def test_a_custom_loss_by_example_is_averaged():
    x, y, model = _inputs(), _real(N, C), _net()
    objective = Objective(model, lambda out, t: ((out - t) ** 4).sum(1), (x, y), batch_size=5)
    expected = ((model(x) - y) ** 4).sum(1).mean()
    assert float(objective.value()) == pytest.approx(float(expected.detach()), rel=1e-12)


REFUSED = {
    "a scalar": (lambda o, t: ((o - t) ** 2).mean(), _real(N, C), InvalidArgument, "E-O13"),
    "a number": (lambda o, t: float(((o - t) ** 2).mean()), _real(N, C), InvalidType, "E-O31"),
    "a class": (nn.MSELoss, _real(N, C), InvalidType, "MSELoss\\(\\)"),
    "a string": ("mse", _real(N, C), InvalidType, "callable"),
    "labels too large": (nn.CrossEntropyLoss(), _labels() + 3, InvalidData, "between 0 and 3"),
    "negative labels": (nn.CrossEntropyLoss(), _labels() - 1, InvalidData, "between 0 and 3"),
    "float labels": (nn.CrossEntropyLoss(), _labels().double(), InvalidData, "integers"),
    "broadcast targets": (nn.MSELoss(), _real(N), InvalidData, "broadcast"),
    "all ignored": (nn.CrossEntropyLoss(), torch.full((N,), -100), InvalidData, "E-O08"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_losses_that_mean_nothing_are_refused_by_name(case):
    loss, y, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message):
        Objective(_net(), loss, (_inputs(), y))


def test_the_silent_broadcast_of_a_single_output_is_refused():
    # outputs (N, 1) against targets (N,): torch would average an N x N matrix
    with pytest.raises(InvalidData, match="E-O09"):
        Objective(_net(1), nn.MSELoss(), (_inputs(), _real(N)))
