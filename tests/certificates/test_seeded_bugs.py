"""Every planted defect is caught, and what has none is certified.

Oracle: we planted them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from certificates.defects import CLEAN, DEFECTS, UNMADE, in_float32
from theodolite import models
from theodolite.engines import hessian_parts, plans
from theodolite.errors import NotDeterministic
from theodolite.objective import Objective
from theodolite.objective import objective as objective_module
from theodolite.testing.objectives import CASES


def test_there_are_at_least_twenty() -> None:
    assert len(DEFECTS) + len(UNMADE) + len(ENGINE_DEFECTS) >= 20


@pytest.mark.parametrize("name", DEFECTS)
def test_defects_of_models_and_losses_are_not_certified(name):
    make, words = DEFECTS[name]
    certificate = td.certify(make())
    assert certificate.attrs["verdict"] != "certified"
    assert words in certificate.attrs["reason"]


@pytest.mark.parametrize("name", UNMADE)
def test_defects_that_no_objective_is_made_of(name):
    with pytest.raises(NotDeterministic):
        UNMADE[name]()


@pytest.mark.parametrize("name", CLEAN)
def test_what_has_no_defect_is_certified(name):
    # the negative control: bounds so tight that nothing passes would also "catch" all defects
    certificate = td.certify(CLEAN[name]())
    assert certificate.attrs["verdict"] == "certified", certificate.attrs["reason"]
    assert bool(certificate.passed.all())


RECTIFIED: dict[str, Callable[[], nn.Module]] = {
    "residual network": lambda: models.resnet(8, width=4, classes=3),
    "convolutions and max pooling": lambda: models.cnn((4, 8), classes=3),
    "perceptron": lambda: models.mlp((64, 32, 32, 3)),
    "plain network without norm": lambda: models.resnet(
        8, width=4, classes=3, norm=None, skip=False
    ),
}


@pytest.mark.parametrize("name", RECTIFIED)
@pytest.mark.parametrize("seed", [0, 1])
def test_rectified_networks_are_certified_or_non_smooth(name, seed):
    # kills: a kink taken for a wrong derivative
    torch.manual_seed(seed)
    x = torch.randn(40, 1, 8, 8)
    y = torch.randint(3, (40,))
    certificate = td.certify(td.Objective(RECTIFIED[name](), nn.CrossEntropyLoss(), (x, y)))
    assert certificate.attrs["verdict"] in ("certified", "non-smooth"), certificate.attrs["reason"]


def _without_the_last_batch(patch: pytest.MonkeyPatch) -> None:
    products = plans.products
    patch.setattr(
        "theodolite.operators.products.products",
        lambda plan, rows: products(_short(plan), rows),
    )


def _short(plan: Any) -> Any:
    return replace(plan, kept=(*plan.kept[:-1], lambda rows, batched: torch.zeros_like(rows)))


def _each_batch_by_itself(patch: pytest.MonkeyPatch) -> None:
    def weighted(self: Objective, losses: Tensor, weights: Tensor) -> Tensor:
        return (losses * weights).sum() / weights.sum() / self.data.batches

    patch.setattr(Objective, "weighted", weighted)


def _changed(patch: pytest.MonkeyPatch, change: Callable[[Tensor], Tensor]) -> None:
    pulled = hessian_parts.pulled
    patch.setattr(hessian_parts, "pulled", lambda *a: [change(t) for t in pulled(*a)])


def _skewed(rows: Tensor) -> Tensor:
    moved = rows.clone()
    moved[:, 0] += 1e-3 * rows.abs().max()
    return moved


def _without_one_tensor(rows: Tensor) -> Tensor:
    moved = rows.clone()
    moved[:, -3:] = 0
    return moved


def _state_left(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(objective_module, "preserved", lambda modules, body, known=None: body())


ENGINE_DEFECTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "a batch left out": (_without_the_last_batch, "second derivatives"),
    "a mean of batch means": (_each_batch_by_itself, "gradient is not the derivative"),
    "a product that is not symmetric": (lambda p: _changed(p, _skewed), "second derivatives"),
    "a product scaled by 1.001": (lambda p: _changed(p, lambda r: 1.001 * r), "second derivatives"),
    "one parameter left out": (lambda p: _changed(p, _without_one_tensor), "second derivatives"),
    "a state that is not put back": (_state_left, "evaluation changed"),
}


@pytest.mark.parametrize("name", ENGINE_DEFECTS)
def test_defects_of_the_engines_are_not_certified(name, monkeypatch):
    plant, words = ENGINE_DEFECTS[name]
    objective = CASES["convolution with batch norm"].objective()
    objective.model.train()
    plant(monkeypatch)
    certificate = td.certify(objective)
    assert certificate.attrs["verdict"] == "uncertified"
    assert words in certificate.attrs["reason"]


def test_a_float32_product_that_is_off_is_told_from_the_float64_one(monkeypatch):
    # kills: the check of the objective's own precision
    objective = in_float32(lambda m, h: torch.tanh(h))
    pulled = hessian_parts.pulled

    def rough(*arguments: Any) -> list[Tensor]:
        made = pulled(*arguments)
        return [t * 1.05 if t.dtype == torch.float32 else t for t in made]

    monkeypatch.setattr(hessian_parts, "pulled", rough)
    certificate = td.certify(objective)
    assert certificate.attrs["verdict"] == "uncertified"
    assert "float32" in certificate.attrs["reason"]
