"""How often points drawn from a volume answer otherwise than another point, and than each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from theodolite import results
from theodolite.connectivity.answers import Answers, answers
from theodolite.connectivity.ends import End
from theodolite.objective import Objective


def disagreements(
    prefix: str,
    objective: Objective,
    origin: Float[Tensor, " params"],
    points: Sequence[Float[Tensor, " params"]],
) -> dict[str, results.Variable]:
    """Disagreement of every point with `origin`, and of two points in the mean.

    Nothing without class labels. One pass a point; holds a number for every point and answer.
    """
    if objective.start_pass.hits is None:
        return {}
    first = answers(objective, End(origin, {}), ())
    classes = first.logs.shape[1]
    counts = torch.zeros(len(first.labels), classes, dtype=torch.float64)
    against = []
    for point in points:
        answered = answers(objective, End(point, {}), ()).logs.argmax(1)
        counts[torch.arange(len(answered)), answered] += 1
        against.append(_mean(first, answered != first.logs.argmax(1)).mean())
    values = _mean(first, pair_shares(counts, len(points)))
    split = "test " if prefix else ""
    told = {
        "disagreement": (("sample",), against, f"{split}disagreement with the first point"),
        "pair_disagreement": ((), values.mean(), f"{split}disagreement of two samples"),
        "pair_disagreement_error": (
            (),
            values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan,
            f"standard error of the {split}disagreement of two samples, over examples",
        ),
    }
    return {prefix + k: (d, np.asarray(v), {"long_name": w}) for k, (d, v, w) in told.items()}


def pair_shares(counts: Float64[Tensor, "answer class"], points: int) -> Float64[Tensor, " answer"]:
    r"""By answer, the share of pairs of points that differ, from how many gave each class.

    .. math:: 1 - \sum_c \frac{n_c (n_c - 1)}{n (n - 1)}

    >>> pair_shares(torch.tensor([[2.0, 1.0]]).double(), 3).round(decimals=6).tolist()
    [0.666667]
    """
    made: Tensor = 1 - (counts * (counts - 1)).sum(1) / (points * (points - 1))
    return made


def _mean(first: Answers, values: Tensor) -> Float64[np.ndarray, " example"]:
    """The mean of values over the answers of each example that count; examples with none left out.

    Examples with more answers that count weigh no more than others.
    """
    counted = first.counted.double()
    total = int(first.example.max()) + 1
    weights = torch.bincount(first.example, counted, total)
    summed = torch.bincount(first.example, values.double() * counted, total)
    made: np.ndarray = (summed / weights)[weights > 0].numpy()
    return made
