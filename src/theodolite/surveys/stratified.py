"""A fixed sample of examples that keeps the shares of the classes."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from theodolite.objective import Objective
from theodolite.objective.rules import ModelLoss
from theodolite.objective.stratification import Design, allocation, strata_of
from theodolite.seeds import numpy_generator, torch_generator

MOST_CLASSES = 0.5
"""Labels that are as good as different for every example are no classes: at most so many each."""


def drawn(objective: Objective, limit: int) -> tuple[Tensor, Design]:
    """The places of the sampled examples in the data, in order, and the design of the sample.

    Examples with class labels (one integer each) are drawn class by class, in the classes'
    shares; others as a simple random sample. Every example is in the sample with probability
    ``limit / examples``, so the plain mean over the sample is unbiased. Sampling is without
    replacement, seeded by the numbers of examples alone, and the same for every measure. Not
    checked: that the labels mean classes.
    """
    labels = class_labels(objective)
    total = objective.examples
    order = torch.randperm(total, generator=torch_generator(0, "limit", total))
    stratum = np.zeros(total, dtype=np.int64) if labels is None else strata_of(labels, limit)
    sizes = np.bincount(stratum)
    counts = allocation(sizes, limit, numpy_generator(0, "allocation", total))
    shuffled = stratum[order.numpy()]
    places = [order.numpy()[shuffled == h][:k] for h, k in enumerate(counts)]
    wanted = np.sort(np.concatenate(places))
    label = "simple random" if len(sizes) == 1 else "stratified by class label"
    return torch.from_numpy(wanted), Design(stratum[wanted], sizes, label)


def class_labels(objective: Objective) -> Int[np.ndarray, " example"] | None:
    """One integer an example where the targets are class labels, else None."""
    if not isinstance(objective.terms, ModelLoss):
        return None
    found: list[Tensor] = []
    for batch in objective.data:
        labels = batch.targets
        if not isinstance(labels, Tensor) or labels.dim() != 1 or len(labels) != batch.examples:
            return None
        if labels.is_floating_point() or labels.is_complex():
            return None
        found.append(labels.cpu().long())
    values = torch.cat(found).numpy()
    few = len(np.unique(values)) <= MOST_CLASSES * len(values)
    return values if few else None
