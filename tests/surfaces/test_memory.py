"""How many vectors of the network's size are held while a plane is drawn and measured.

Oracle: every storage torch makes, counted while it lives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

import theodolite as td
from theodolite.directions import normalize
from theodolite.directions.recognize import recognized
from theodolite.surfaces import agreement, sweep

WIDE = 1 << 10


class Living(TorchDispatchMode):
    """The most bytes that storages made inside have held at once."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {
            t.untyped_storage()._cdata for t in pytree.tree_leaves(args) if isinstance(t, Tensor)
        }
        for tensor in pytree.tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in given:
                storage = tensor.untyped_storage()
                self.storages[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.storages = {k: v for k, v in self.storages.items() if not v[0].expired()}
        self.most = max(self.most, sum(size for _, size in self.storages.values()))
        return out


def vectors(body: Callable[[], Any], size: int) -> float:
    """The most that `body` holds, in float32 vectors of `size`, what it returns included."""
    with Living() as living:
        kept = body()
    del kept
    return living.most / (4 * size)


@pytest.fixture
def objective() -> td.Objective:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDE, WIDE, bias=False), nn.ReLU(), nn.Linear(WIDE, 1))
    return td.Objective(model, nn.MSELoss(), (torch.randn(2, WIDE), torch.randn(2, 1)))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (normalize, agreement):
        monkeypatch.setattr(module, "BLOCK", 1 << 12)
    monkeypatch.setattr(sweep, "LARGE", 1 << 10)


def test_directions_take_no_more_than_themselves_and_one_layer(objective: td.Objective) -> None:
    # Kills: rows drawn apart and stacked; a copy in float64; the whole layer in float64 at once.
    assert vectors(lambda: td.random_directions(objective, count=2), objective.space.size) < 3.1


def test_looking_at_directions_takes_next_to_nothing(objective: td.Objective) -> None:
    # Kills: lengths and cosines of vectors copied to float64; directions normalized anew, whole.
    size, axes = objective.space.size, td.random_directions(objective)
    assert vectors(lambda: agreement.checked_directions(objective, axes), size) < 0.1
    assert vectors(lambda: recognized(axes, objective.start, objective.space), size) < 0.1


def test_a_plane_of_a_large_model_holds_one_vector_and_a_layer(objective: td.Objective) -> None:
    # Kills: a vector for the row beside the one for the point.
    axes = td.random_directions(objective)

    def drawn() -> Any:
        return td.plane(objective, axes, steps=(2, 2), method="dense", evaluation="plain")

    assert vectors(drawn, objective.space.size) < 1.7


def test_a_walk_without_a_row_visits_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    # Kills: the point stepped from the last one; both steps added at once.
    base, axes = torch.randn(3000), torch.randn(2, 3000)
    places = [(a, b) for a in (-0.3, 0.0, 0.7) for b in (-1.1, 0.0, 0.2)]
    found = []
    for large in (1 << 10, 1 << 20):
        monkeypatch.setattr(sweep, "LARGE", large)
        point = torch.empty_like(base)
        found.append([point.clone() for _ in sweep.scattered_walk(base, axes, places)(point)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("name", ["filter", "layer", "model", None])
def test_blocks_have_the_bits_of_whole_tensors(
    name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Kills: norms of parts of filters; blocks that begin inside a filter.
    torch.manual_seed(0)
    layers = nn.Conv2d(5, 300, 3), nn.ConvTranspose2d(8, 20, 3, groups=4), nn.LSTM(30, 50)
    space = td.ParameterSpace.from_model(nn.Sequential(*layers, nn.Linear(7000, 3)))
    theta, noise = torch.randn(space.size), 3 * torch.randn(space.size)
    found = []
    for block in (1 << 12, 1 << 30):
        monkeypatch.setattr(normalize, "BLOCK", block)
        found.append(normalize.normalized(noise, theta, space, name))
    if name == "model":  # one sum over everything, in another order
        torch.testing.assert_close(*found, rtol=1e-6, atol=0)
    else:
        assert torch.equal(*found)
    assert recognized(found[0][None], theta, space) == name


def test_lengths_of_large_and_tiny_vectors_do_not_leave_float64() -> None:
    # Kills: squares taken as they are.
    for size in (1e200, 1e-200):
        axes = size * torch.tensor([[3.0, 4.0], [4.0, 3.0]], dtype=torch.float64)
        assert agreement.length(axes[0]) == pytest.approx(5 * size, rel=1e-14)
        assert agreement.axis_cosine(axes) == pytest.approx(0.96, rel=1e-14)
