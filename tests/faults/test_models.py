"""Rows S and W of the fault catalogue: right against the model's own code, caller untouched."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import theodolite as td
from faults.networks import NETWORKS, C, D, Sandwich, data, network
from faults.state import caller_state, changes
from theodolite.errors import TheodoliteWarning, UnsupportedModel


@pytest.fixture(scope="module", autouse=True)
def _imports_done():
    """First use imports modules, some of which add warning filters or environment variables."""
    objective = td.Objective(network("S11 hooks"), nn.CrossEntropyLoss(), data())
    td.hessian(objective).matvec(objective.start)


def _own_gradient(model: nn.Module) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients by the model's own code, in evaluation mode, on a twin."""
    x, y = data()
    model.eval()
    loss = F.cross_entropy(model(x), y)
    wanted = {n: p for n, p in model.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    pairs = zip(wanted.items(), gradients, strict=True)
    return float(loss.detach()), {n: torch.zeros_like(p) if g is None else g for (n, p), g in pairs}


@pytest.mark.parametrize("name", NETWORKS)
def test_value_gradient_and_product_are_right_and_the_model_untouched(name):
    # kills: training mode, a tied weight counted twice, unused parameters as errors, a moved model
    model, twin = network(name), network(name)
    before = caller_state(model)
    objective = td.Objective(model, nn.CrossEntropyLoss(), data(), batch_size=4)
    loss, gradients = _own_gradient(twin)
    assert float(objective.value()) == pytest.approx(loss, rel=1e-12)
    mine = objective.space.views(objective.gradient())
    if "by storage" in name:  # two parameters of the twin are one coordinate: their gradients add
        gradients["inner.weight"] = gradients["inner.weight"] + gradients.pop("outer.weight")
    assert set(mine) == set(gradients)
    for parameter, gradient in gradients.items():
        torch.testing.assert_close(mine[parameter], gradient, rtol=1e-9, atol=1e-12)
    _check_product(objective)
    assert changes(before, model) == []


def _check_product(objective: td.Objective) -> None:
    """Hessian times a vector against Richardson-extrapolated differences of gradients."""
    generator = torch.Generator().manual_seed(3)
    v = torch.randn(objective.space.size, dtype=torch.float64, generator=generator)

    def slope(step: float) -> Tensor:
        up = objective.gradient(objective.start + step * v)
        return (up - objective.gradient(objective.start - step * v)) / (2 * step)

    expected = (4 * slope(1e-4) - slope(2e-4)) / 3
    product = td.hessian(objective).matvec(v)
    assert float((product - expected).norm() / expected.norm()) < 1e-7


@pytest.mark.parametrize("name", NETWORKS)
def test_directions_and_a_line_of_every_model(name):
    model = network(name)
    objective = td.Objective(model, nn.CrossEntropyLoss(), data(), batch_size=4)
    direction = td.random_directions(objective, count=1, seed=1)[0]
    assert bool(torch.isfinite(direction).all())
    line = td.line(objective, direction, steps=3)
    assert float(line.loss[1]) == float(objective.value())
    assert bool((line.loss[[0, 2]] != line.loss[1]).all())


def test_pruned_coordinates_do_not_move():
    # kills: a direction that is masked only after its filters were normalized
    objective = td.Objective(network("S15 pruned"), nn.CrossEntropyLoss(), data())
    direction = td.random_directions(objective, count=1)[0]
    mask = objective.model.middle.weight_mask
    moved = objective.space.views(direction)["middle.weight_orig"]
    assert bool((moved[mask == 0] == 0).all())
    kept = (objective.model.middle.weight_orig * mask).norm(dim=1)
    torch.testing.assert_close(moved.norm(dim=1), kept.detach())


def test_dead_filters_stay_dead():
    objective = td.Objective(network("S15 dead filters"), nn.CrossEntropyLoss(), data())
    moved = objective.space.views(td.random_directions(objective, count=1)[0])["middle.weight"]
    assert bool((moved[:2] == 0).all())
    assert bool((moved[2:] != 0).all())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Linear(D, C).requires_grad_(False)), "no trainable parameter"),
        (nn.Flatten(), "no trainable parameter"),
        (nn.Sequential(nn.LazyLinear(C)), "lazy"),
        (nn.Sequential(nn.Linear(D, C, device="meta")), "meta"),
        (nn.Linear(D, C, dtype=torch.complex64), "complex"),
        (lambda x: x, "torch.nn.Module"),
    ],
    ids=["S08 all frozen", "S08 none", "S12 lazy", "meta", "S16 complex", "function"],
)
def test_models_without_coordinates_are_refused_by_name(model, message):
    with pytest.raises(UnsupportedModel, match=message):
        td.Objective(model, nn.CrossEntropyLoss(), data())


def test_w01_a_compiled_model_is_measured_as_the_module_inside():
    model = network("W10 weight norm")
    compiled = torch.compile(model, backend="eager")
    with pytest.warns(TheodoliteWarning, match="compiled"):
        objective = td.Objective(compiled, nn.CrossEntropyLoss(), data())
    assert float(objective.value()) == pytest.approx(_own_gradient(model)[0], rel=1e-12)


def test_w02_data_parallel_wrappers_are_taken_off(tmp_path):
    model = Sandwich(nn.Identity()).double()
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1
    )
    try:
        wrapped = nn.parallel.DistributedDataParallel(model)
        objective = td.Objective(wrapped, nn.CrossEntropyLoss(), data())
        assert objective.space.names == tuple(n for n, _ in model.named_parameters())
    finally:
        torch.distributed.destroy_process_group()


def test_w16_the_callers_autocast_does_not_change_the_numbers():
    model = network("S11 hooks").float()
    x, y = data()
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x.float(), y))
    plain = float(objective.value())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert float(objective.value()) == plain
        inside = td.Objective(model, nn.CrossEntropyLoss(), (x.float(), y))
        assert float(inside.value()) == plain


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_w17_no_grad_and_inference_mode_of_the_caller(mode):
    model = network("S11 hooks")
    objective = td.Objective(model, nn.CrossEntropyLoss(), data())
    expected = objective.gradient()
    v = torch.ones_like(expected)
    product = td.hessian(objective).matvec(v)
    with mode():
        assert torch.equal(objective.gradient(), expected)
        again = td.Objective(model, nn.CrossEntropyLoss(), data())
        torch.testing.assert_close(td.hessian(again).matvec(v), product)


def test_w17_parameters_made_in_inference_mode():
    with torch.inference_mode():
        model = network("S11 hooks")
    twin = network("S11 hooks")
    objective = td.Objective(model, nn.CrossEntropyLoss(), data())
    assert float(objective.value()) == pytest.approx(_own_gradient(twin)[0], rel=1e-12)
    assert bool(torch.isfinite(objective.gradient()).all())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_s17_half_precision_models_keep_points_in_float32(dtype):
    # kills: moving 16-bit weights in place, which rounds small steps away
    model = network("S11 hooks").to(dtype)
    x, y = data()
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x.to(dtype), y))
    assert objective.start.dtype == torch.float32
    wide = td.Objective(
        network("S11 hooks").to(dtype).float(), nn.CrossEntropyLoss(), (x.float(), y)
    )
    assert float(objective.value()) == pytest.approx(float(wide.value()), rel=2e-2)


def test_s19_the_optimizer_still_trains_the_same_tensors():
    model = Sandwich(nn.Identity())
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, y = data()
    td.Objective(model, nn.CrossEntropyLoss(), (x.float(), y)).gradient()
    before = model.before.weight.detach().clone()
    F.cross_entropy(model(x.float()), y).backward()
    optimizer.step()
    assert not torch.equal(model.before.weight, before)
