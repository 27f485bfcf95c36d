"""How far two networks are apart as functions: answers, probabilities, representations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float64
from torch import Tensor

from theodolite import results, seeds
from theodolite.connectivity.alignment import (
    alignment_error,
    biased_alignment,
    debiased_alignment,
    reach,
)
from theodolite.connectivity.answers import Answers, answers, check_answers
from theodolite.connectivity.arguments import count, share
from theodolite.connectivity.ends import end_of
from theodolite.connectivity.linear import facts
from theodolite.connectivity.resampling import resampled
from theodolite.connectivity.segments import one_dtype
from theodolite.objective import Objective

MEASURES = {
    "disagreement": "share of examples that get different answers",
    "normalized_disagreement": "disagreement over the mean share of wrong answers",
    "jensen_shannon": "mean Jensen-Shannon divergence of the probabilities, in nats",
    "error_overlap": "Cohen's kappa of being right",
    "ensemble_gain": "accuracy of the mean probabilities minus the mean accuracy",
    "accuracy_a": "accuracy of a",
    "accuracy_b": "accuracy of b",
}
"""What is measured, in the order of `_measures`."""

Array = Float64[np.ndarray, "..."]


def function_distance(
    objective: Objective,
    a: Any,
    b: Any,
    *,
    layers: Sequence[str] | str = (),
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    r"""Whether two points of parameter space are different functions, and by how much.

    .. math:: d = \frac1N \sum_i [\hat y_a(x_i) \ne \hat y_b(x_i)], \qquad
        \mathrm{JS} = \frac1N \sum_i H\bigl(\tfrac{p_i + q_i}2\bigr)
        - \tfrac12 H(p_i) - \tfrac12 H(q_i)

    Parameters
    ----------
    objective
        Of a classifier; on test data, mostly.
    a, b
        Flat tensors of shape ``(params,)`` or state dicts, as for `barrier`.
    layers
        Names of modules (as in ``model.named_modules()``) whose outputs are compared by linear
        CKA, an example's output as one row.
    level, resamples
        Of the intervals.

    Returns
    -------
    xarray.Dataset
        Each with ``_low`` and ``_high``: ``disagreement``; ``normalized_disagreement``, the same
        over the mean share of wrong answers of both (Fort et al.: zero for the same function, and
        about one where errors have nothing to do with each other and are few); ``jensen_shannon``
        in nats, at most log 2; ``error_overlap``, Cohen's kappa of being right: 1 the same errors,
        0 as many in common as chance has; ``ensemble_gain``, the accuracy of the mean of both
        probabilities minus the mean of both accuracies; ``accuracy_a``, ``accuracy_b``.
        By ``layer``: ``cka``, debiased, with ``cka_error``, ``cka_low`` and ``cka_high``, and
        ``cka_biased``, which is too high where features are many and examples few. NaN where a
        number is not defined: no errors to overlap, activations that do not vary.

    Raises
    ------
    InvalidArgument
        For data without class labels (E-A10), layers that are not there, used more than once or
        without a row an example (E-A11), and settings out of range (E-A01, E-A02).
    UnsupportedModel
        For an objective shared by processes (E-A12).

    Notes
    -----
    Costs two passes over the data (with recomputed BatchNorm one for each of its layers more) and
    holds all probabilities and activations of both. Labels that the loss ignores do not count;
    class weights do not matter; of a sequence every labeled place is an answer, and examples are
    resampled whole. Intervals are percentiles over resampled examples; of CKA they are those of
    Student's t with the error of leaving out each of 20 groups. Not checked: data other than
    the objective's, and functions that differ where there are none.

    References
    ----------
    Fort, Hu, Lakshminarayanan (2019), arXiv:1912.02757. Geirhos, Meding, Wichmann (2020),
    arXiv:2006.16736 (kappa). Kornblith, Norouzi, Lee, Hinton (2019), arXiv:1905.00414. Song,
    Smola, Gretton, Bedo, Borgwardt (2012), JMLR 13 (unbiased HSIC).

    Examples
    --------
    >>> x, y = torch.tensor([[1.0], [2.0], [-1.0], [-2.0]]), torch.tensor([0, 0, 1, 1])
    >>> model = torch.nn.Linear(1, 2, bias=False)
    >>> objective = Objective(model, torch.nn.CrossEntropyLoss(), (x, y))
    >>> found = function_distance(objective, torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    >>> float(found.disagreement), float(found.accuracy_a), float(found.accuracy_b)
    (1.0, 1.0, 0.0)
    """
    count(resamples, "resamples", least=1)
    share(level, "level")
    names = check_answers(objective, layers)
    ends = one_dtype(end_of(objective, a, "a"), end_of(objective, b, "b"))
    first, second = (answers(objective, end, names) for end in ends)
    values, weights = _by_example(first, second)
    numbers = _measures(values @ weights / weights.sum())
    low, high = resampled(
        values,
        weights,
        _measures,
        len(MEASURES),
        design=objective.start_pass.design,
        level=level,
        resamples=resamples,
        rng=seeds.numpy_generator(seed, "function distance"),
    )
    variables: dict[str, results.Variable] = {}
    for k, (name, told) in enumerate(MEASURES.items()):
        for end, word, at in (("", "", numbers), ("_low", "lower", low), ("_high", "upper", high)):
            long_name = f"{word} end of the {told}" if word else told
            variables[name + end] = ((), at[k], {"long_name": long_name})
    return results.dataset(
        "function_distance",
        variables | _alignments(first, second, names, level, seed),
        {"layer": names},
        **facts(objective, None, ends),
        level=float(level),
        resamples=resamples,
        seed=seed,
    )


def _by_example(
    first: Answers, second: Answers
) -> tuple[Float64[np.ndarray, "row example"], Float64[np.ndarray, " example"]]:
    """Means over the answers of each example, of what the measures are made of; their number."""
    p, q, labels = first.logs.exp(), second.logs.exp(), first.labels
    middle = 0.5 * (p + q)
    own, other = first.logs.argmax(1), second.logs.argmax(1)
    right = [own == labels, other == labels, middle.argmax(1) == labels]
    divergence = 0.5 * (_relative(p, middle) + _relative(q, middle))
    rows = [own != other, divergence, *right, right[0] == right[1]]
    counted = first.counted.double()
    total = int(first.example.max()) + 1
    weights = torch.bincount(first.example, counted, total)
    summed = [torch.bincount(first.example, row.double() * counted, total) for row in rows]
    means = torch.stack(summed) / weights.clamp(min=1)
    return means.numpy(), weights.numpy()


def jensen_shannon_distances(first: Answers, second: Answers) -> float:
    """The mean over answers of the root of the Jensen-Shannon divergence, which is a metric."""
    p, q = (each.logs[each.counted].exp() for each in (first, second))
    middle = 0.5 * (p + q)
    divergence = 0.5 * (_relative(p, middle) + _relative(q, middle))
    return float(divergence.clamp(min=0).sqrt().mean())


def _relative(p: Tensor, q: Tensor) -> Tensor:
    """The divergence of every row of `p` from that of `q`, in nats."""
    made: Tensor = (torch.special.xlogy(p, p) - torch.special.xlogy(p, q)).sum(1)
    return made


def _measures(means: Array) -> Float64[np.ndarray, "measure ..."]:
    """`MEASURES` of the means of the rows of `_by_example`, rows in the last dimension."""
    different, divergence, a, b, both, same = np.moveaxis(means, -1, 0)
    chance = a * b + (1 - a) * (1 - b)
    wrong = 1 - 0.5 * (a + b)
    nothing = np.full_like(wrong, np.nan)
    normalized = np.divide(different, wrong, out=nothing.copy(), where=wrong > 0)
    kappa = np.divide(same - chance, 1 - chance, out=nothing.copy(), where=chance < 1)
    return np.stack([different, normalized, divergence, kappa, both - 0.5 * (a + b), a, b])


def _alignments(
    first: Answers, second: Answers, names: list[str], level: float, seed: int
) -> dict[str, results.Variable]:
    """Linear CKA of every layer, with errors."""
    found: dict[str, list[float]] = {k: [] for k in ("cka", "cka_biased", "cka_error", "reach")}
    for name in names:
        x, y = first.activations[name], second.activations[name]
        order = torch.randperm(len(x), generator=seeds.torch_generator(seed, "groups", name))
        error = alignment_error(x, y, order)
        numbers = (debiased_alignment(x, y), biased_alignment(x, y), error)
        for key, value in zip(found, (*numbers, reach(error, level, len(x))), strict=True):
            found[key].append(value)
    cka, half = (np.array(found[k], dtype=np.float64) for k in ("cka", "reach"))
    told = {
        "cka": (cka, "linear CKA, debiased"),
        "cka_low": (cka - half, "lower end of the linear CKA"),
        "cka_high": (np.minimum(cka + half, 1.0), "upper end of the linear CKA"),
        "cka_error": (np.array(found["cka_error"]), "standard error of the linear CKA"),
        "cka_biased": (np.array(found["cka_biased"]), "linear CKA, biased"),
    }
    return {k: (("layer",), v, {"long_name": w}) for k, (v, w) in told.items()}
