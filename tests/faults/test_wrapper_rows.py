"""Rows S03, S04, W01, W02, W16, W17: modes, wrappers and flags, against the bare model's code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import theodolite as td
from faults.rows import N, X, Y, check_named, net
from faults.state import caller_state, changes
from theodolite.errors import InvalidData, NotDeterministic, TheodoliteWarning

CE = nn.CrossEntropyLoss()


@pytest.fixture(scope="module", autouse=True)
def _imports_done() -> None:
    """First use imports modules, some of which add warning filters or environment variables."""
    objective = td.Objective(net(), CE, (X, Y))
    td.hessian(objective).matvec(objective.start)
    td.certify(objective)


def _normalized() -> nn.Sequential:
    torch.manual_seed(6)
    layers = [nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)]
    return nn.Sequential(*layers).double()


def _derivatives(model: nn.Module, loss: Tensor) -> tuple[float, Tensor, Tensor]:
    """A loss, its gradient and its Hessian times ones, by autograd on the model itself."""
    parameters = list(model.parameters())
    gradient = torch.autograd.grad(loss, parameters, create_graph=True)
    product = torch.autograd.grad(sum(g.sum() for g in gradient), parameters)
    flat = [torch.cat([t.detach().reshape(-1) for t in ts]) for ts in (gradient, product)]
    return float(loss.detach()), flat[0], flat[1]


def _check(objective: td.Objective, expected: tuple[float, Tensor, Tensor]) -> None:
    loss, gradient, product = expected
    assert float(objective.value()) == pytest.approx(loss, rel=1e-12)
    torch.testing.assert_close(objective.gradient(), gradient, rtol=1e-9, atol=1e-12)
    ones = torch.ones_like(gradient)
    torch.testing.assert_close(td.hessian(objective).matvec(ones), product, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("sizes", [[N], [5, 4]], ids=str)
def test_s03_training_mode_is_the_models_own_on_the_batches_in_their_order(sizes):
    # kills: statistics of the evaluation mode in a derivative; buffers updated by a product
    model, twin = _normalized(), _normalized().train()
    batches = list(zip(X.split(sizes), Y.split(sizes), strict=True))
    before = caller_state(model)
    objective = td.Objective(model, CE, batches, mode="train")
    own = sum(F.cross_entropy(twin(x), y, reduction="sum") for x, y in batches) / N
    _check(objective, _derivatives(twin, own))
    assert td.certify(objective).attrs["verdict"] == "certified"
    assert changes(before, model) == []


def test_s03_batches_shuffled_anew_are_frozen_or_named():
    # kills: batch statistics of other batches at every pass
    loader = DataLoader(TensorDataset(X, Y), batch_size=5, shuffle=True)
    kept = td.Objective(_normalized(), CE, loader, mode="train")
    assert len({float(kept.value()) for _ in range(4)}) == 1
    torch.manual_seed(0)
    with pytest.raises(NotDeterministic, match="shuffled anew") as caught:
        td.Objective(_normalized(), CE, loader, mode="train", data_budget=0)
    check_named(caught.value, "E-O02")


@pytest.mark.parametrize("size", [1, 4])
def test_s04_a_batch_of_one_in_training_mode_is_named(size):
    # kills: torch's text alone; a model left in training mode by the failure
    model = _normalized()
    before = caller_state(model)
    with pytest.raises(InvalidData, match="more than one value a channel") as caught:
        td.Objective(model, CE, (X, Y), mode="train", batch_size=size)
    check_named(caught.value, "E-O42")
    assert changes(before, model) == []
    assert td.Objective(model, CE, (X, Y), batch_size=size).examples == N


def _compiled_whole(model: nn.Sequential) -> nn.Module:
    return torch.compile(model, backend="aot_eager")


def _compiled_in_place(model: nn.Sequential) -> nn.Module:
    model.compile(backend="aot_eager")
    return model


def _compiled_part(model: nn.Sequential) -> nn.Module:
    part = torch.compile(nn.Sequential(*model[:2]), backend="aot_eager")
    return nn.Sequential(part, model[2])


COMPILED = {"whole": _compiled_whole, "in place": _compiled_in_place, "part": _compiled_part}


@pytest.mark.parametrize("form", COMPILED)
def test_w01_compiled_models_are_measured_uncompiled_with_a_warning(form):
    # kills: second derivatives through a compiled graph; compiled parts inside a plain model
    model, twin = COMPILED[form](net()), net()
    before = caller_state(model)
    with pytest.warns(TheodoliteWarning, match="compiled.*E-O46") as told:
        objective = td.Objective(model, CE, (X, Y), batch_size=5)
    assert len(told) == 1
    _check(objective, _derivatives(twin, F.cross_entropy(twin(X), Y)))
    v = torch.ones(objective.space.size, dtype=torch.float64)
    plain = td.Objective(twin, CE, (X, Y), batch_size=5)
    torch.testing.assert_close(td.ggn(objective).matvec(v), td.ggn(plain).matvec(v))
    assert changes(before, model) == []


def test_w01_a_compiled_loss_has_second_derivatives():
    # kills: a compiled graph inside the loss, which double backward cannot see through
    loss = torch.compile(lambda o, t: F.cross_entropy(o, t, reduction="none"), backend="aot_eager")
    twin = net()
    objective = td.Objective(net(), loss, (X, Y))
    _check(objective, _derivatives(twin, F.cross_entropy(twin(X), Y)))


@pytest.fixture
def process_group(tmp_path) -> Iterator[None]:
    """A group of one process."""
    meet = f"file://{tmp_path}/meet"
    torch.distributed.init_process_group("gloo", init_method=meet, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


DISTRIBUTED = {
    "whole": lambda m: nn.parallel.DistributedDataParallel(m),
    "around a compiled one": lambda m: nn.parallel.DistributedDataParallel(
        torch.compile(m, backend="eager")
    ),
    "inside a compiled one": lambda m: torch.compile(
        nn.parallel.DistributedDataParallel(m), backend="eager"
    ),
    "threads": lambda m: nn.DataParallel(m),
}


@pytest.mark.filterwarnings("ignore:the model is compiled")
@pytest.mark.parametrize("form", DISTRIBUTED)
def test_w02_data_parallel_models_are_the_ones_inside(form, process_group):
    # kills: names with "module."; one layer of two taken off; reducers woken by a measurement
    model, twin = DISTRIBUTED[form](net()), net()
    model(X).sum().backward()
    before = caller_state(model)
    objective = td.Objective(model, CE, (X, Y), batch_size=5)
    assert objective.space.names == tuple(n for n, _ in twin.named_parameters())
    _check(objective, _derivatives(twin, F.cross_entropy(twin(X), Y)))
    assert changes(before, model) == []
    model(X).sum().backward()  # the reducer waits for nothing of ours


def _everything(make: Callable[[], td.Objective]) -> dict[str, object]:
    """The numbers of every public measurement, by engines that no clock chooses."""
    objective = make()
    axes, operator = td.random_directions(objective), td.hessian(objective, engine="kept")
    tree = td.survey(objective, measures=["lines", "spectrum", "trace"])
    return {
        "value": float(objective.value()),
        "metrics": objective.metrics(),
        "gradient": objective.gradient().tolist(),
        "line": td.line(objective, axes[0], theta=objective.start.clone(), steps=3).loss.values,
        "plane": td.plane(objective, axes, steps=(2, 3)).loss.values,
        "hessian": operator.matvec(axes[0]).tolist(),
        "ggn": td.ggn(objective, engine="kept").matvec(axes[0]).tolist(),
        "eigenpairs": td.eigenpairs(operator, count=2).eigenvalue.values,
        "spectral density": td.spectral_density(operator, steps=5).node.values,
        "trace": float(td.trace(operator).trace),
        "certify": td.certify(objective).attrs["verdict"],
        "survey": tree.attrs["headline"],
    }


def _narrow() -> td.Objective:
    return td.Objective(net().float(), CE, (X.float(), Y), batch_size=5)


@pytest.fixture(scope="module")
def plainly() -> dict[str, object]:
    return _everything(_narrow)


FLAGS: dict[str, Callable[[], AbstractContextManager]] = {
    "W16 autocast to bfloat16": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "W16 autocast to float16": lambda: torch.autocast("cpu", dtype=torch.float16),
    "W17 no_grad": torch.no_grad,
    "W17 inference_mode": torch.inference_mode,
}


@pytest.mark.parametrize("row", FLAGS)
def test_w16_w17_flags_of_the_caller_change_no_number(row, plainly):
    # kills: sums over vectors outside the guard; tensors made under inference mode written to
    with FLAGS[row]():
        flags = (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
        found = _everything(_narrow)
        assert flags == (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
        assert torch.is_autocast_enabled("cpu") == ("autocast" in row)
    for name, value in plainly.items():
        assert str(found[name]) == str(value), name


def test_w17_points_and_directions_made_in_inference_mode():
    # kills: an inference tensor saved for backward
    objective, plain = _narrow(), _narrow()
    with torch.inference_mode():
        theta, axes = plain.start.clone(), td.random_directions(plain).clone()
    assert theta.is_inference()
    for use in (
        lambda o, t, d: float(o.value(t)),
        lambda o, t, d: o.gradient(t).tolist(),
        lambda o, t, d: td.hessian(o, theta=t).matvec(d[0]).tolist(),
        lambda o, t, d: td.ggn(o, theta=t).matvec(d[0]).tolist(),
        lambda o, t, d: td.line(o, d[0], theta=t, steps=3).loss.values.tolist(),
        lambda o, t, d: td.plane(o, d, theta=t, steps=(2, 3)).loss.values.tolist(),
        lambda o, t, d: td.certify(o, theta=t).attrs["verdict"],
    ):
        expected = use(plain, theta.clone(), axes.clone())
        assert use(objective, theta, axes) == expected
        with torch.inference_mode():
            assert use(objective, theta, axes) == expected
