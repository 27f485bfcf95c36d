"""What each rank runs in the tests of shared objectives: `torchrun -m ... NAME FOLDER`.

A program returns plain values, one file a rank; nothing is asserted here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import theodolite as td
from theodolite.errors import TheodoliteError
from theodolite.testing.objectives import CASES, Case

WORLD = {"process_group": "world"}
UNEVEN = (5, 4, 3)


def numbers() -> dict[str, Any]:
    """Every case alone and shared: values, gradients and products at a point off the start."""
    found = {}
    for name, case in CASES.items():
        one, both = (_made(dataclasses.replace(case, split=UNEVEN), k) for k in ({}, WORLD))
        found[name] = _compared(one, both)
    return found


def _compared(one: td.Objective, both: td.Objective) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, len(one.start), generator=generator, dtype=one.start.dtype)
    theta, vector = one.start + 0.1 * noise[0], noise[1]
    batches = sum(1 for _ in both.data)
    return {
        "bits": torch.equal(one.losses(theta), both.losses(theta)),
        "value": float(one.value(theta)) == float(both.value(theta)),
        "metrics": repr(one.metrics(theta)) == repr(both.metrics(theta)),
        "gradient": _gap(one.gradient(theta), both.gradient(theta)),
        "hessian": _gap(*(td.hessian(o, theta, engine="kept").matvec(vector) for o in (one, both))),
        "ggn": _gap(*(td.ggn(o, theta, engine="kept").matvec(vector) for o in (one, both))),
        "fingerprint": one.fingerprint == both.fingerprint,
        "batches": batches,
        "examples": both.examples,
    }


def surfaces() -> dict[str, Any]:
    """Slices and spectra of a network with BatchNorm, in both policies, alone and shared."""
    found: dict[str, Any] = {}
    for policy in ("frozen", "recompute"):
        one, both = (_network(batch_norm=policy, **k) for k in ({}, WORLD))
        axes = td.random_directions(one, seed=3)
        for method, steps in (("dense", (5, 4)), ("adaptive", (21, 21))):
            made = [td.plane(o, axes, steps=steps, method=method, test=o) for o in (one, both)]
            found[f"{policy} {method}"] = [m["loss"].values.tolist() for m in made]
            found[f"{policy} {method} bits"] = made[0].drop_attrs().equals(made[1].drop_attrs())
        found[f"{policy} way"] = both.facts()["batch_norm_way"] if policy == "recompute" else ""
        lines = [td.line(o, axes[0], steps=5)["loss"].values for o in (one, both)]
        found[f"{policy} line"] = bool((lines[0] == lines[1]).all())
    one, both = _network(), _network(**WORLD)
    pairs = [td.eigenpairs(_hessian(o), count=2).eigenvalue.values.tolist() for o in (one, both)]
    found["eigenvalues"] = pairs
    found["trace"] = [float(td.trace(_hessian(o), max_products=40).trace) for o in (one, both)]
    found["certificates"] = [td.certify(o).verdict for o in (one, both)]
    found["nodes"] = [
        td.spectral_density(_hessian(o), steps=10).node.values.ravel().tolist() for o in (one, both)
    ]
    return found


def forms() -> dict[str, Any]:
    """Other forms of data: tensors, a dataset, data read anew, a loss given by batch."""
    x, y = _images()
    forms: dict[str, Callable[..., td.Objective]] = {
        "tensors": lambda **k: td.Objective(_cnn(), nn.CrossEntropyLoss(), (x, y), **k),
        "dataset": lambda **k: td.Objective(
            _cnn(), nn.CrossEntropyLoss(), TensorDataset(x, y), **k
        ),
        "read anew": lambda **k: td.Objective(
            _cnn(), nn.CrossEntropyLoss(), _loader(), data_budget=0, **k
        ),
        "limited": lambda **k: td.Objective(
            _cnn(), nn.CrossEntropyLoss(), _loader(), limit=11, **k
        ),
        "by batch": lambda **k: td.Objective.from_batch_loss(_words(), _mean, _sentences(), **k),
        "train": lambda **k: td.Objective(
            _cnn(), nn.CrossEntropyLoss(), _loader(), mode="train", **k
        ),
    }
    found = {}
    for name, make in forms.items():
        one, both = make(), make(**WORLD)
        found[name] = {
            "value": abs(float(one.value()) - float(both.value())) / float(one.value()),
            "gradient": _gap(one.gradient(), both.gradient()),
            "examples": [one.examples, both.examples],
            "kept": sum(b.examples for b in both.data),
        }
    return found


def failures() -> dict[str, Any]:
    """What every rank is told when one fails, and that the next call is in step again."""
    rank = dist.get_rank()
    found: dict[str, Any] = {}
    model = _Failing()
    shared = td.Objective(model, nn.CrossEntropyLoss(), _loader(), **WORLD)
    value = float(shared.value())
    model.broken = rank == 1
    for name, call in {
        "value": shared.value,
        "gradient": shared.gradient,
        "product": lambda: td.hessian(shared, verify=False).matvec(torch.ones_like(shared.start)),
    }.items():
        found[name] = _error(call)
    model.broken = False
    found["afterwards"] = float(shared.value()) == value
    found["theta"] = _error(lambda: shared.value(shared.start + rank))
    found["vector"] = _error(
        lambda: td.hessian(shared).matvec(torch.ones_like(shared.start) + rank)
    )
    axes = td.random_directions(shared, seed=rank)
    found["directions"] = _error(lambda: td.plane(shared, axes, steps=(3, 3)))
    found["calls"] = _error(shared.value if rank else shared.gradient)
    found["weights"] = _error(lambda: _network(seed=rank, **WORLD))
    x, y = _images()
    found["data"] = _error(
        lambda: td.Objective(_cnn(), nn.CrossEntropyLoss(), (x + rank, y), **WORLD)
    )
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(rank))
    mixed = DataLoader(TensorDataset(x[order], y[order]), batch_size=4)
    found["order"] = _error(lambda: td.Objective(_cnn(), nn.CrossEntropyLoss(), mixed, **WORLD))
    found["few"] = _error(lambda: td.Objective(_cnn(), nn.CrossEntropyLoss(), [(x, y)], **WORLD))
    found["group"] = _error(lambda: _network(process_group="everyone"))
    found["broken from the start"] = _error(
        lambda: td.Objective(_Failing(broken=rank == 1), nn.CrossEntropyLoss(), _loader(), **WORLD)
    )
    found["survey"] = _error(lambda: td.survey(_network(**WORLD)))
    alone = [dist.new_group([0]), dist.new_group([1])][rank]
    found["alone"] = float(_network(process_group=alone).value()) == float(_network().value())
    found["in step"] = float(_network(**WORLD).value()) == float(_network().value())
    return found


def _hessian(objective: td.Objective) -> td.Operator:
    """By the engine that no clock chooses: engines round differently."""
    return td.hessian(objective, engine="kept")


def lost() -> dict[str, Any]:
    """What a rank is told when the other has ended in the middle of a pass."""
    model = _Failing()
    shared = td.Objective(model, nn.CrossEntropyLoss(), _loader(), **WORLD)
    if dist.get_rank() == 1:
        Path(sys.argv[2], "1.json").write_text("{}")
        time.sleep(2)  # until the other has read all of the last exchange
        os._exit(0)
    return {"told": _error(shared.value)}


def _error(call: Callable[[], Any]) -> list[str]:
    """The kind, the code and the sentence of what `call` raises."""
    try:
        call()
    except TheodoliteError as error:
        return [type(error).__name__, error.code, error.what]
    except Exception as error:
        return [type(error).__name__, "", str(error)]
    return []


def _gap(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / (a.norm() or 1.0))


def _made(case: Case, keywords: dict[str, Any]) -> td.Objective:
    return td.Objective(case.network(), case.loss(), case.data(), **keywords)


def _images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(22, 1, 6, 6, generator=generator), torch.arange(22) % 3


def _loader() -> DataLoader[Any]:
    return DataLoader(TensorDataset(*_images()), batch_size=4)


def _cnn(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, 3))


def _network(seed: int = 0, **keywords: Any) -> td.Objective:
    return td.Objective(_cnn(seed), nn.CrossEntropyLoss(), _loader(), **keywords)


class _Failing(nn.Module):
    """A network that can be told to fail in its forward pass."""

    def __init__(self, *, broken: bool = False) -> None:
        super().__init__()
        self.network, self.broken = _cnn(), broken

    def forward(self, x: Tensor) -> Tensor:
        if self.broken:
            raise RuntimeError("the kernel fell over")
        return self.network(x)


class _Words(nn.Module):
    """A next-word model that computes its own mean over the labels that count."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(7, 5), nn.Linear(5, 7)

    def forward(self, input_ids: Tensor, labels: Tensor) -> Tensor:
        scores = self.head(self.embed(input_ids).cumsum(1))
        return nn.functional.cross_entropy(scores.flatten(0, 1), labels.flatten())


def _words() -> nn.Module:
    torch.manual_seed(0)
    return _Words()


def _mean(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return model(**batch)


def _sentences() -> list[dict[str, Tensor]]:
    """Uneven batches; in the second one nothing is left out, so it cannot tell what is counted."""
    generator = torch.Generator().manual_seed(2)
    made = []
    for rows, ignored in ((3, 4), (1, 0), (4, 6)):
        ids = torch.randint(7, (rows, 5), generator=generator)
        labels = torch.randint(7, (rows, 5), generator=generator)
        labels.view(-1)[:ignored] = -100
        made.append({"input_ids": ids, "labels": labels})
    return made


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    outcome = globals()[sys.argv[1]]()
    Path(sys.argv[2], f"{dist.get_rank()}.json").write_text(json.dumps(outcome))
    with contextlib.suppress(RuntimeError):  # of the other rank there may be nothing left
        dist.barrier()  # both have written
    # not by way of destructors: a thread of gloo that still runs there aborts the process
    os._exit(0)
