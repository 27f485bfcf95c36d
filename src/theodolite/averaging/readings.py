"""Passes of several networks over the same data, and of all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from theodolite.averaging.members import Member, put
from theodolite.averaging.mixtures import link_of, mixed, outputs_of, parts
from theodolite.objective import Objective
from theodolite.objective.batches import Batch
from theodolite.objective.evaluation import Pass, gathered
from theodolite.objective.rules import Sample, right_answers


@dataclass(frozen=True, eq=False)
class Reading:
    """A pass a network, one of their ensemble (None where outputs are hidden), and answers.

    ``disagreement`` is by example the share of pairs of members that answer differently.
    """

    passes: tuple[Pass, ...]
    together: Pass | None
    disagreement: Float64[Tensor, " example"] | None


@dataclass(frozen=True, eq=False)
class Heard:
    """What is kept of the members' answers while they run, by batch."""

    link: str
    totals: dict[int, Tensor]
    kinds: dict[int, torch.dtype]
    chosen: list[list[Int64[Tensor, " answer"]]]
    hidden: list[str]


def reading(
    objective: Objective,
    members: Sequence[Member],
    shares: Float64[Tensor, " member"],
    others: Sequence[Member] = (),
) -> Reading:
    """A pass for each of `members`, which are mixed by `shares`, and each of `others`; 1 F each.

    Holds the outputs of one network over all the data, in float64.
    """
    heard = Heard(link_of(objective), {}, {}, [], [])
    passes = [
        one_pass(objective, m, heard, float(share))
        for m, share in zip(members, shares, strict=True)
    ]
    passes += [one_pass(objective, m) for m in others]
    if not heard.link or heard.hidden:
        return Reading(tuple(passes), None, None)
    together = objective.guarded(lambda: ensemble_pass(objective, heard))
    return Reading(tuple(passes), together, disagreement(objective, heard))


def one_pass(
    objective: Objective, member: Member, heard: Heard | None = None, share: float = 0.0
) -> Pass:
    """One network over the data; its answers go into `heard`."""
    point = objective.point(member.theta)
    if heard is not None:
        heard.chosen.append([])

    def sample(batch: Batch) -> Sample:
        terms: Any = objective.terms
        if heard is None or not heard.link:
            found: Sample = terms.sample(objective.model, batch)
            return found
        outputs = terms.run(objective.model, batch)
        hear(heard, batch, outputs, share)
        return sample_of(objective, outputs, batch)

    def body() -> Pass:
        put(objective, member.buffers)
        return objective.sweep(sample)

    return objective.guarded(lambda: objective.forward.run(point, body))


def hear(heard: Heard, batch: Batch, outputs: Any, share: float) -> None:
    """Take in the outputs of the present network for a batch."""
    if not isinstance(outputs, Tensor):
        heard.hidden.append(type(outputs).__name__)
        return
    one = parts(heard.link, outputs)
    heard.totals[batch.index] = mixed(heard.link, heard.totals.get(batch.index), one, share)
    heard.kinds[batch.index] = outputs.dtype
    if heard.link == "softmax":
        heard.chosen[-1].append(outputs.argmax(1).reshape(batch.examples, -1).cpu())


def sample_of(objective: Objective, outputs: Any, batch: Batch) -> Sample:
    """Losses, weights and right answers of outputs, as `ModelLoss.sample` has them."""
    loss: Any = objective.terms.loss  # type: ignore[attr-defined]
    losses, weights = loss(outputs, batch.targets)
    hits = right_answers(outputs, batch.targets, loss.ignore_index)
    return (losses.double(), weights.double(), *(hits or (None, None)))


def ensemble_pass(objective: Objective, heard: Heard) -> Pass:
    """The loss of what the members say together; no network runs."""
    made = []
    for batch in objective.data:
        outputs = outputs_of(heard.link, heard.totals[batch.index])
        made.append(sample_of(objective, outputs.to(heard.kinds[batch.index]), batch))
    return gathered(made, objective.scale, objective.design)


def disagreement(objective: Objective, heard: Heard) -> Float64[Tensor, " example"] | None:
    """By example, the mean over pairs of members and answers that count of being different."""
    first = objective.start_pass
    if heard.link != "softmax" or first.hits is None or len(heard.chosen) < 2:
        return None
    loss: Any = objective.terms.loss  # type: ignore[attr-defined]
    made = []
    for k, batch in enumerate(objective.data):
        pairs = combinations([one[k] for one in heard.chosen], 2)
        differ = torch.stack([(a != b).double() for a, b in pairs]).mean(0)
        labels = batch.targets.reshape(batch.examples, -1).cpu()
        counted = torch.ones_like(differ)
        if loss.ignore_index is not None:
            counted = (labels != loss.ignore_index).double()
        made.append((differ * counted).sum(1) / counted.sum(1).clamp(min=1))
    return torch.cat(made)
