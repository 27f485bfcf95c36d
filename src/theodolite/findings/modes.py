"""Networks of several modes on one task: independent runs, and snapshots along some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int
from torch import Tensor, nn

from theodolite.datasets import Split
from theodolite.findings.many_starts import Weights, starting_weights
from theodolite.findings.runs_side_by_side import (
    Rate,
    cosine,
    network,
    own_orders,
    run_side_by_side,
)
from theodolite.findings.small_photographs import small_photographs
from theodolite.findings.unused_examples import enlarged

TRAINED = (
    "ReLU perceptrons of one hidden layer on photographs of clothes (14x14, averaged from 28x28), "
    "trained by SGD with momentum 0.9 and a rate that falls to zero as a cosine, each from an "
    "initialization and in an order of its own."
)
SNAPSHOTS = (
    "Snapshots of a run: where it ended, and where it ended again after each of several short "
    "cycles of a rate that starts again at half the first (as in fast geometric ensembles)."
)


@dataclass(frozen=True)
class Modes:
    """Groups of independent runs, and the cycles of the runs that go on for snapshots."""

    seeds: int = 3
    members: int = 5
    groups: int = 4
    runs: int = 2
    width: int = 64
    examples: int = 500
    epochs: int = 50
    rate: float = 0.1
    cycle: int = 5
    batch_size: int = 50


@dataclass(frozen=True, eq=False)
class Trained:
    """Networks by group of independent runs, and by run that snapshots were taken of.

    The first network of a run's ``snapshots`` and of its ``whole_cycles`` is that of the same
    start and order among ``independent``.
    """

    split: Split
    start: nn.Module
    independent: list[list[nn.Module]]
    snapshots: list[list[nn.Module]]
    whole_cycles: list[list[nn.Module]]

    @property
    def data(self) -> tuple[Tensor, Tensor]:
        """Training data in float64."""
        x, y = self.split.train
        return x.double(), y

    @property
    def new_data(self) -> tuple[Tensor, Tensor]:
        """Validation and test data in float64: nothing was chosen by either."""
        pairs = self.split.validation, self.split.test
        return torch.cat([x for x, _ in pairs]).double(), torch.cat([y for _, y in pairs])


def trained_modes(modes: Modes, seed: int, *, whole_cycles: bool = True) -> Trained:
    """Train all networks of one seed; without ``whole_cycles`` there are none of those."""
    split = enlarged(small_photographs, seed=seed, limit=modes.examples)
    x, y = split.train
    count = modes.members * modes.groups
    start = starting_weights(x.shape[1], modes.width, int(y.max()) + 1, count, seed)

    def ends(rate: Rate, looks: Sequence[int], networks: int) -> list[Weights]:
        found = run_side_by_side(
            [w[:networks] for w in start],
            x,
            y,
            rate=rate,
            orders=own_orders(networks),
            epochs=looks[-1],
            looks=looks,
            batch_size=modes.batch_size,
            seed=seed,
        )
        return [found[look] for look in looks]

    first = cosine(modes.rate, modes.epochs)
    (together,) = ends(first, [modes.epochs], count)
    alone = [network(together, k) for k in range(count)]
    fast = ends(falling_then_cycles(modes), looks_of(modes, modes.cycle), modes.runs)
    slow = ends(first, looks_of(modes, modes.epochs), modes.runs) if whole_cycles else []
    return Trained(
        split,
        network(start, 0),
        [alone[g * modes.members :][: modes.members] for g in range(modes.groups)],
        [[network(w, run) for w in fast] for run in range(modes.runs)],
        [[network(w, run) for w in slow] for run in range(modes.runs)],
    )


def looks_of(modes: Modes, cycle: int) -> list[int]:
    """The epochs after which snapshots are taken."""
    return [modes.epochs + cycle * k for k in range(modes.members)]


def falling_then_cycles(modes: Modes) -> Rate:
    """The rate falls once as for every run, then from half of it in every short cycle.

    >>> rate = falling_then_cycles(Modes(rate=0.1, epochs=60, cycle=6))
    >>> rate(0.0), rate(60.0), round(rate(63.0), 4), rate(66.0)
    (0.1, 0.05, 0.025, 0.05)
    """
    first, again = cosine(modes.rate, modes.epochs), cosine(modes.rate / 2, modes.cycle)
    return lambda done: first(done) if done < modes.epochs else again(done - modes.epochs)


def probabilities(
    networks: Sequence[nn.Module], x: Float64[Tensor, "example input"]
) -> Float64[Tensor, "network example class"]:
    """What every network says of every example."""
    with torch.no_grad():
        return torch.stack([each(x).softmax(1) for each in networks])


def ensemble(
    chances: Float64[Tensor, "network example class"], y: Int[Tensor, " example"]
) -> dict[str, float]:
    """Mean share of wrong answers of the members, that of their mean probabilities, and the mean
    share of examples that two of the members answer differently.

    >>> one, two = torch.tensor([0.9, 0.1]).double(), torch.tensor([0.4, 0.6]).double()
    >>> ensemble(torch.stack([one, two])[:, None], torch.tensor([0]))
    {'member_error': 0.5, 'ensemble_error': 0.0, 'disagreement': 1.0}
    """
    answers = chances.argmax(2)
    members = len(answers)
    pairs = [(i, j) for j in range(members) for i in range(j)]
    different = [(answers[i] != answers[j]).double().mean() for i, j in pairs]
    return {
        "member_error": float((answers != y).double().mean()),
        "ensemble_error": float((chances.mean(0).argmax(1) != y).double().mean()),
        "disagreement": float(torch.stack(different).mean()),
    }
