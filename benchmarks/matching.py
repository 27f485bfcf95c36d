"""Matching of units: against PyPI's rebasin, and what it does to barriers of trained networks.

python -m benchmarks.matching [--peers] [--trace] [--barriers] [--pairs N]

``--peers``: networks of the size of ResNet-18 and of a small vision transformer, and copies of
them with all units permuted and noise of a tenth of each tensor's size added. A matching should
bring the distance back to that of the noise and leave the copy's function as it is: seconds, the
relative change of the copy's outputs, and the distances. ``--trace``: seconds of `td.symmetries`
for networks of 100 layers. ``--barriers``: pairs trained on the shipped digits, with the mean over
pairs and an interval of Student's t. One thread, seconds of CPU; without options all three.
"""

from __future__ import annotations

import argparse
import copy
import importlib.metadata
import platform
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.stats import t as student
from torch import Tensor, nn

import theodolite as td
from benchmarks.matched_models import VisionTransformer, resnet18
from benchmarks.trained_pairs import Trained, perceptrons, residuals

NOISE = 0.1


def planted(model: nn.Module, found: td.Symmetries) -> nn.Module:
    """A copy with its units permuted and noise added."""
    made = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(2)
    state = found.apply(model.state_dict(), found.random(1))
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        state[name] = state[name] + NOISE * parameter.detach().std().nan_to_num(1.0) * noise
    made.load_state_dict(state)
    return made


def lived_in(model: nn.Module) -> nn.Module:
    """Norms off their first values, as training leaves them, so that errors show."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point() and tensor.dim() == 1:
            with torch.no_grad():
                spread = 0.2 * torch.rand_like(tensor) + (0.1 if "var" in name else 0.0)
                tensor.add_(spread)
    return model.eval()


def distance(a: nn.Module, b: nn.Module) -> float:
    """Between all parameters."""
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return float(sum((p.double() - q.double()).square().sum() for p, q in pairs).sqrt().detach())


def ours(a: nn.Module, b: nn.Module, x: Tensor) -> nn.Module:
    """Symmetries traced, proven and matched by weights; the second network in the new order."""
    found = td.symmetries(a, x)
    matching = td.weight_matching(found, a.state_dict(), b.state_dict(), starts=1)
    made = copy.deepcopy(b)
    made.load_state_dict(matching.point)
    return made


def theirs(a: nn.Module, b: nn.Module, x: Tensor) -> nn.Module:
    """The same by rebasin."""
    from rebasin import PermutationCoordinateDescent

    made = copy.deepcopy(b)
    PermutationCoordinateDescent(copy.deepcopy(a), made, x).rebasin()
    return made.eval()


def peers() -> None:
    """A row for every network and library."""
    made = {"ResNet-18": (resnet18, 64), "ViT, 384 x 12": (VisionTransformer, 32)}
    for name, (build, pixels) in made.items():
        torch.manual_seed(0)
        model, x = lived_in(build()), torch.randn(2, 3, pixels, pixels)
        other = planted(model, td.symmetries(model, x))
        count = sum(p.numel() for p in model.parameters())
        before = distance(model, other)
        print(f"{name}, {count / 1e6:.1f} million parameters; distance {before:.1f}")
        for library, match in (("theodolite", ours), ("rebasin", theirs)):
            began = time.process_time()
            moved = match(model, other, x)
            seconds = time.process_time() - began
            with torch.no_grad():
                old, new = other(x), moved(x)
            error = float((new - old).abs().max() / old.abs().max())
            after = distance(model, moved)
            print(f"  {library:12} {seconds:7.1f} s  function {error:.1e}  distance {after:8.1f}")


def trained_peers() -> None:
    """Trained pairs matched by either library: how high the loss rises between them then."""
    for name, made in (
        ("perceptron, 2 x 64", perceptrons(64, 2, seed=0)),
        ("residual network, 32 channels", residuals(32, seed=0)),
    ):
        objective, a, b = made
        x = next(iter(objective.data)).inputs[0][:2]
        first, second = (copy.deepcopy(objective.model) for _ in "ab")
        first.load_state_dict(a)
        second.load_state_dict(b)
        print(
            f"{name}, trained; barrier with recomputed statistics "
            f"{barrier(made, None, fresh=True):.3f}"
        )
        for library, match in (("theodolite", ours), ("rebasin", theirs)):
            began = time.process_time()
            moved = match(first, second, x)
            seconds = time.process_time() - began
            after = barrier((objective, a, moved.state_dict()), None, fresh=True)
            print(f"  {library:12} {seconds:7.1f} s  barrier {after:.3f}")


def trace() -> None:
    """Seconds until the symmetries of deep networks are found and proven."""
    cases: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
        "perceptron, 100 layers": (
            lambda: td.models.mlp((64, *[64] * 99, 10)),
            torch.randn(2, 64),
        ),
        "ResNet-110": (lambda: td.models.resnet(110), torch.randn(2, 1, 32, 32)),
        "transformer, 25 blocks (100 matrices)": (
            lambda: td.models.transformer(64, width=64, heads=4, depth=25),
            torch.randn(2, 1, 8, 8),
        ),
    }
    for name, (build, x) in cases.items():
        model = build()
        began = time.process_time()
        found = td.symmetries(model, x)
        seconds = time.process_time() - began
        print(f"{name}: {seconds:.1f} s, {len(found.groups)} groups")


def told(values: list[float], places: int = 3) -> str:
    """A mean with its interval over pairs."""
    numbers = np.array(values)
    mean = f"{numbers.mean():7.{places}f}"
    if len(numbers) < 2:
        return mean
    reach = student.ppf(0.975, len(numbers) - 1) * numbers.std(ddof=1) / len(numbers) ** 0.5
    low, high = numbers.mean() - reach, numbers.mean() + reach
    return f"{mean} ({low:.{places}f} to {high:.{places}f})"


def barrier(trained: Trained, align: td.Matching | None, *, fresh: bool = False) -> float:
    """The barrier of the training loss between a pair, matched or not."""
    made, a, b = trained
    made = made.with_batch_norm("recompute") if fresh else made
    return float(td.barrier(made, a, b, align=align, steps=13, refine=4, resamples=9).barrier)


def barriers(pairs: int) -> None:
    """Perceptrons by width, and the residual network with averaged and with new statistics."""
    for width, depth in ((16, 2), (64, 2), (256, 2), (64, 5)):
        rows: dict[str, list[float]] = {"raw": []}
        for seed in range(pairs):
            one = perceptrons(width, depth, seed=seed)
            rows["raw"].append(barrier(one, None))
            for method in ("weights", "activations", "straight-through"):
                rows.setdefault(method, []).append(barrier(one, td.match(*one, method=method)))
        print(f"perceptron, {depth} hidden layers of {width}")
        for name, values in rows.items():
            print(f"  {name:18} {told(values)}")
    kinds: dict[str, list[float]] = {}
    for seed in range(pairs):
        one = residuals(32, seed=seed)
        matching = td.match(*one)
        for name, align in (("raw", None), ("matched", matching)):
            for fresh in (False, True):
                key = f"{name}, statistics {'recomputed' if fresh else 'averaged'}"
                kinds.setdefault(key, []).append(barrier(one, align, fresh=fresh))
    print("residual network with BatchNorm, 32 channels")
    for name, values in kinds.items():
        print(f"  {name:32} {told(values)}")
    raw, both = (np.array(kinds[k]) for k in list(kinds)[:: len(kinds) - 1])
    print(f"  ratio of the first to the last   {told(list(raw / both))}")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("peers", "trace", "barriers"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--pairs", type=int, default=5)
    chosen = parser.parse_args()
    every = not (chosen.peers or chosen.trace or chosen.barriers)
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {platform.machine()}, one thread")
    if every or chosen.trace:
        trace()
    if every or chosen.peers:
        print(f"rebasin {importlib.metadata.version('rebasin')}")
        peers()
        trained_peers()
    if every or chosen.barriers:
        barriers(chosen.pairs)


if __name__ == "__main__":
    main()
