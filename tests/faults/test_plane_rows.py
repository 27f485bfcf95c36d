"""Rows G07 to G10 of the fault catalogue: checkpoints that do not match, endpoints, counts, seeds.

Oracle: parameters and files written down by hand. G02 is in ``tests/cli/test_consent.py``, G04 and
G05 in ``tests/surfaces/test_slices_refused.py``, and more of G10 in
``tests/directions/test_random.py``.
"""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from faults.state import caller_state, changes
from theodolite.errors import InvalidArgument, TheodoliteError, UnsupportedModel
from theodolite.training import load_weights, save_state

State = dict[str, Tensor]
X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1] * 4)


class Net(nn.Module):
    def __init__(self, width: int = 4, *, norm: bool = True) -> None:
        super().__init__()
        self.first = nn.Linear(3, width)
        self.norm = nn.BatchNorm1d(width) if norm else nn.Identity()
        self.last = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.norm(self.first(x))))


def net(width: int = 4, *, norm: bool = True) -> Net:
    torch.manual_seed(3)
    return Net(width, norm=norm)


def objective(model: nn.Module | None = None) -> td.Objective:
    return td.Objective(model or net(), nn.CrossEntropyLoss(), (X, Y))


def changed(name: str, change: Callable[[Tensor], object]) -> State:
    state = dict(net().state_dict())
    return {**state, name: change(state[name])}  # type: ignore[dict-item]


MISMATCHED: dict[str, tuple[Callable[[], State], str]] = {
    "shapes": (lambda: net(5).state_dict(), r"\(5, 3\).*\(4, 3\)"),
    "keys": (lambda: net(norm=False).state_dict(), "norm.weight"),
    "whole numbers": (lambda: changed("first.weight", lambda t: t.long()), "int64"),
    "complex": (lambda: changed("first.weight", lambda t: t.to(torch.complex64)), "complex64"),
    "sparse": (lambda: changed("first.weight", lambda t: t.to_sparse()), "sparse"),
    "no values": (lambda: changed("first.weight", lambda t: t.to("meta")), "meta|real numbers"),
}


@pytest.mark.parametrize("name", MISMATCHED)
def test_g07_another_checkpoint_is_named_with_its_differences(name, tmp_path):
    # kills: a cast that drops half a number, torch's bare error, weights half written
    make, words = MISMATCHED[name]
    own, model = objective(), net()
    with pytest.raises(InvalidArgument, match=r"do not fit.*E-P02") as point:
        own.space.flatten(make())
    torch.save(make(), tmp_path / "other.pt")
    before = caller_state(model)
    with pytest.raises(UnsupportedModel, match=r"does not fit the model.*E-T65") as loaded:
        load_weights(model, tmp_path / "other.pt")
    assert changes(before, model) == []
    for error in (point.value, loaded.value):
        assert re.search(words, error.what), error.what
        assert error.what.count(";") <= 5
        assert error.fix


def test_g07_at_most_five_differences_are_listed(tmp_path):
    path = save_state(net(5).state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(UnsupportedModel, match=r"; and \d more\. ") as caught:
        load_weights(net(), path)
    assert caught.value.what.count("has shape") == 5


def test_g07_quantized_weights_are_named(tmp_path):
    # kills: torch's own error about promoting quantized numbers
    state = dict(net().state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch is to remove such tensors
        state["first.weight"] = torch.quantize_per_tensor(torch.ones(4, 3), 0.1, 0, torch.qint8)
    torch.save(state, tmp_path / "q.pt")
    with pytest.raises(UnsupportedModel, match=r"first.weight is quantized"):
        load_weights(net(), tmp_path / "q.pt")


def test_g07_a_test_objective_with_other_batch_statistics_is_named_before_any_number():
    # kills: the test loss of another network beside the training loss of this one
    other = net()
    other.norm.running_mean += 1
    target = td.Target(objective(), test=objective(other))
    for measures in (["lines"], ["trace"]):
        with pytest.raises(InvalidArgument, match=r"norm.running_mean.*E-G07"):
            td.survey(target, measures=measures)
    moved = net()
    moved.last.bias.data += 1
    with pytest.raises(InvalidArgument, match=r"different values of 'start'"):
        td.survey(td.Target(objective(), test=objective(moved)), measures=["trace"])
    with pytest.raises(InvalidArgument, match=r"E-S11"):
        td.Target(objective(), test=objective(net(5)))


def test_g08_identical_endpoints_span_nothing():
    # kills: 0/0 in a normalization, a line of one repeated number
    one = objective()
    same = one.space.flatten(net().state_dict()) - one.start
    with pytest.raises(InvalidArgument, match=r"direction is zero: there is nowhere.*E-G05"):
        td.line(one, same)
    direction = td.random_directions(one, count=1)[0]
    with pytest.raises(InvalidArgument, match=r"directions\[1\] is zero.*E-G05"):
        td.plane(one, torch.stack([direction, same]))
    with pytest.raises(InvalidArgument, match=r"parallel.*E-G04"):
        td.plane(one, torch.stack([direction, 2 * direction]))


@pytest.mark.parametrize("steps", [3_000_000_000, 2**40, 2**63, 2**70])
def test_g09_counts_beyond_any_integer_are_named_before_memory_is_asked_for(steps):
    # kills: MemoryError, "Maximum allowed size exceeded", a count that wraps around
    one = objective()
    directions = td.random_directions(one)
    calls: dict[str, Callable[[], object]] = {
        "line": lambda: td.line(one, directions[0], steps=steps),
        "plane": lambda: td.plane(one, directions, steps=(2, steps)),
        "lines": lambda: td.survey(one, measures=["lines"], settings={"lines": {"count": steps}}),
        "planes": lambda: td.survey(
            one, measures=["planes"], settings={"planes": {"steps": [steps, 2]}}
        ),
        "probes": lambda: td.survey(
            one, measures=["spectrum"], settings={"spectrum": {"probes": steps}}
        ),
    }
    for name, call in calls.items():
        with pytest.raises(TheodoliteError, match=r"must be at most [\d,]+; got") as caught:
            call()
        assert caught.value.code in ("E-G10", "E-S07"), name
        assert f"{steps:,}" in caught.value.what


def test_g09_a_plan_of_more_points_than_32_bits_is_counted_right():
    # kills: a product of two counts in a C integer
    from theodolite.surveys import surveying

    settings = {"planes": {"steps": [70_000, 70_000], "count": 1, "method": "dense"}}
    chosen = surveying.configured(measures=["planes"], settings=settings)
    plan = surveying.planned(td.Target(objective()), chosen)
    assert plan.passes == 70_000**2 + 1


DRAWN = """
import sys, hashlib, torch
from torch import nn
import theodolite as td

torch.set_num_threads(int(sys.argv[1]))
torch.manual_seed(int(sys.argv[2]))
torch.rand(int(sys.argv[2]))
layers = {"first": nn.Linear(64, 64), "last": nn.Linear(64, 2)}
model = nn.Module()
for name in (sorted(layers) if sys.argv[3] == "sorted" else sorted(layers, reverse=True)):
    model.add_module(name, layers[name])
model.forward = lambda x: model.last(torch.relu(model.first(x)))
o = td.Objective(model, nn.CrossEntropyLoss(), (torch.ones(2, 64), torch.tensor([0, 1])))
views = o.space.views(td.random_directions(o, count=1, normalize=None, seed=4)[0])
raw = b"".join(views[n].contiguous().numpy().tobytes() for n in sorted(views))
print(hashlib.sha256(raw).hexdigest())
"""


def test_g10_a_seed_names_the_same_directions_in_any_process_thread_count_and_order():
    # kills: drawing from the global generator, or one long draw over all parameters
    found = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", DRAWN, *how],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
        ).stdout
        for how in (("1", "0", "sorted"), ("2", "9", "reversed"))
    }
    assert len(found) == 1
