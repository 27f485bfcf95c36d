"""A model that holds the parameters and running statistics of an end while something runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from theodolite.connectivity.ends import End
from theodolite.objective import Objective
from theodolite.objective.statistics import batch_norm_layers, recompute

Result = TypeVar("Result")


def held(objective: Objective, end: End, body: Callable[[], Result]) -> Result:
    """`body()` while the model holds an end with its statistics, in the objective's guard."""
    return objective.guarded(partial(_inside, objective, end, body))


def _inside(objective: Objective, end: End, body: Callable[[], Result]) -> Result:
    def inside() -> Result:
        torch.backends.mha.set_fastpath_enabled(False)  # it would hide what the layers do
        with torch.no_grad():
            for name, value in end.statistics.items():
                objective.forward.working[name].copy_(value)
        return body()

    return objective.forward.run(objective.point(end.theta), inside)


def with_statistics(objective: Objective, end: End) -> End:
    """An end with the statistics it is evaluated with: those of the data where recomputed."""
    if objective.batch_norm != "recompute":
        return end
    model, working = objective.model, objective.forward.working

    def body() -> dict[str, Tensor]:
        layers = batch_norm_layers(model)
        recompute(layers, objective.data, lambda batch: objective.terms.run(model, batch))
        return {n: t.clone() for n, t in working.items() if "running_" in n}

    return End(end.theta, held(objective, end, body), end.behind)
