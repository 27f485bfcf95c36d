"""What searches, indices and escapes hold, against what their plans announce.

Oracle: a count of the bytes of all tensors that are referred to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from curvature.held import vectors_held
from theodolite.errors import NotConverged
from theodolite.linalg import thick_restart
from theodolite.surveys.measures import MEASURES, saddles, settings

WIDTH = 60

WORKSPACE = 45
"""Vectors that SciPy's L-BFGS holds beside: twenty pairs and five."""


@pytest.fixture
def objective(monkeypatch: pytest.MonkeyPatch) -> td.Objective:
    """A network that counts as large: a basis for its eigenpairs is as small as it may be."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 2))
    made = td.Objective(model, nn.MSELoss(), (torch.randn(8, WIDTH), torch.randn(8, 2)))
    for module in (thick_restart, settings):
        monkeypatch.setattr(module, "NUMBERS", 16 * made.space.size)
    return made


def announced(objective: td.Objective, name: str, **changes: Any) -> float:
    """Vectors in the precision of the objective that the plan says a group holds."""
    measure = MEASURES["saddles"]
    chosen = {**measure.presets["quick"], "count": 4, **changes}
    groups = {g.name: g for g in measure.groups(td.Target(objective), chosen, 0)}
    return float(groups[name].vectors)


def ended(body: Callable[[], Any]) -> Callable[[], None]:
    """`body`, whether or not it reaches its goal."""

    def tried() -> None:
        with contextlib.suppress(NotConverged):
            body()

    return tried


@pytest.mark.parametrize("method", ["newton-mr", "gradient-norm", "saddle-free"])
def test_a_search_and_its_test_hold_what_is_announced(objective: td.Objective, method: str) -> None:
    # kills: every point of the way kept with its vectors, sixteen columns multiplied at once
    def search(tolerance: float) -> Any:
        how: Any = {"method": method, "tolerance": tolerance, "index": False}
        return ended(lambda: td.critical_point(objective, max_products=40, **how))

    held = max(vectors_held(search(t), objective.space.size) for t in (0.5, 1e-30))
    said = saddles.SEARCH[method]
    held += WORKSPACE if method == "gradient-norm" else 0
    assert 0.5 * said < held < said
    assert announced(objective, "critical_point", search=method) >= 2 * said


def test_an_index_holds_what_is_announced(objective: td.Objective) -> None:
    # kills: a basis or the steps of a probe left out of the plan
    operator = td.hessian(objective, engine="kept")

    def index() -> Any:
        return td.saddle_index(operator, count=4, probes=1, steps=40, dense_limit=0)

    held = vectors_held(index, objective.space.size, width=4)
    assert 0.5 * announced(objective, "saddle_index") < held < announced(objective, "saddle_index")


def test_an_escape_holds_what_is_announced(objective: td.Objective) -> None:
    # kills: a way that keeps its points, an eigenpair whose basis is not announced
    size = objective.space.size
    curvature = torch.linspace(0.1, 1, size, dtype=torch.float64)
    curvature[0] = -1.0

    def saddle(theta: Tensor) -> Tensor:
        return (curvature * theta**2).sum() / 2

    def escape() -> Any:
        return td.escape_time(saddle, torch.zeros(size), runs=2, curves=True)

    said = announced(objective, "escape_gradient", search="newton-mr", escape_runs=2)
    assert 0.4 * said / 2 < vectors_held(escape, size) < said / 2
