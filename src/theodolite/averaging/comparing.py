"""Ensembles of the same size against each other: along a curve, in one basin, of distinct modes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite import results, seeds
from theodolite.averaging.averages import check_settings
from theodolite.averaging.ensembling import refuse_hidden
from theodolite.averaging.members import check_objective, frozen, members_of, shares_of
from theodolite.averaging.readings import Reading, reading
from theodolite.averaging.tables import SPLITS, curves, ends
from theodolite.connectivity.arguments import count
from theodolite.connectivity.bending import mixed
from theodolite.connectivity.ends import end_of
from theodolite.connectivity.families import coefficients
from theodolite.connectivity.linear import pair_of
from theodolite.connectivity.resampling import resampled
from theodolite.errors import InvalidArgument, InvalidType
from theodolite.objective import Objective

Array = Float64[np.ndarray, "..."]

MEASURES = {
    "": "{} of the ensemble",
    "_members": "mean {} of its members",
    "_gain": "{} of the ensemble minus the mean of its members",
    "_difference": "{} of the ensemble minus that of the first",
}


def compare_ensembles(
    objective: Objective,
    ensembles: Mapping[str, Iterable[Any]],
    *,
    test: Objective | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Several ensembles with as many members each, and paired differences from the first.

    For the question whether members along a curve, snapshots or draws of SWAG do as much as as
    many separate trainings: an ensemble with more members is better for that alone, so their
    numbers must agree.

    Parameters
    ----------
    ensembles
        Points by name, two or more names, each as `thetas` of `ensemble`.
    objective, test, level, resamples
        As for `ensemble`.

    Returns
    -------
    xarray.Dataset
        By ``ensemble``: ``loss``, ``loss_members`` (the members' mean), ``loss_gain`` (the first
        minus the second: negative is better) and ``loss_difference`` from the first ensemble,
        with ``_low`` and ``_high``; the same of ``error``, and with ``test_``. ``disagreement`` of
        classifiers, the mean over pairs of members.

    Raises
    ------
    InvalidArgument
        For fewer than two ensembles or different numbers of members (E-A92), else as `ensemble`.

    Notes
    -----
    Costs a pass for every member and objective. Intervals are over examples, which all ensembles
    share; what other trainings would give is not in them.

    References
    ----------
    Garipov, Izmailov, Podoprikhin, Vetrov, Wilson (2018), arXiv:1802.10026. Fort, Hu,
    Lakshminarayanan (2019), arXiv:1912.02757.

    Examples
    --------
    >>> x = torch.ones(2, 1)
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> objective = Objective(model, torch.nn.MSELoss(), (x, 0 * x))
    >>> near, far = ([torch.tensor([w]) for w in ws] for ws in ((1.0, 3.0), (-2.0, 2.0)))
    >>> found = compare_ensembles(objective, {"near": near, "far": far})
    >>> found.loss.values.tolist(), found.loss_difference.values.tolist()
    ([4.0, 0.0], [0.0, -4.0])
    """
    check_settings(level, resamples)
    check_objective(objective)
    objectives = pair_of(objective, test)
    kept = {str(n): list(points) for n, points in ensembles.items()}
    sizes = {len(points) for points in kept.values()}
    if len(kept) < 2 or len(sizes) > 1:
        told = ", ".join(f"{n}: {len(points)}" for n, points in kept.items())
        raise InvalidArgument(
            f"ensembles must be two or more with as many members each; got {told or 'none'}.",
            why="more members are better for that alone.",
            fix="take as many of each.",
            code="E-A92",
        )
    readings: dict[str, list[Reading]] = {p: [] for p in objectives}
    for points in kept.values():
        members = members_of(objective, points, None)
        shares = shares_of(None, len(members))
        for prefix, one in objectives.items():
            readings[prefix].append(reading(frozen(one), members, shares))
        refuse_hidden(readings[""][-1], objective)
    variables: dict[str, results.Variable] = {}
    for prefix, found in readings.items():
        variables |= _compared(prefix, found, level=level, resamples=resamples, seed=seed)
    return results.dataset(
        "compared_ensembles",
        variables,
        {"ensemble": list(kept)},
        **objective.facts(),
        members=sizes.pop(),
        level=float(level),
        resamples=resamples,
        seed=seed,
        **({} if test is None else {"test_fingerprint": test.fingerprint}),
    )


def _compared(
    prefix: str, found: Sequence[Reading], *, level: float, resamples: int, seed: int
) -> dict[str, results.Variable]:
    """`MEASURES` of loss and error of every ensemble on one objective's data."""
    made: dict[str, results.Variable] = {}
    number, size = len(found), len(found[0].passes)
    passes = [p for one in found for p in (one.together, *one.passes)]

    def measures(means: Array) -> Array:
        blocks = means.reshape(*means.shape[:-1], number, 1 + size)
        whole, members = blocks[..., 0], blocks[..., 1:].mean(-1)
        parts = [whole, members, whole - members, whole - whole[..., :1]]
        return np.moveaxis(np.concatenate(parts, -1), -1, 0)

    for kind in ("loss", "error"):
        if kind == "error" and found[0].passes[0].hits is None:
            continue
        values, weights, scale = curves(passes, kind)
        mean = np.where(weights > 0, values, 0.0) @ weights / weights.sum()
        numbers = measures(scale * mean)
        low, high = resampled(
            scale * values,
            weights,
            measures,
            len(numbers),
            design=found[0].passes[0].design,
            level=level,
            resamples=resamples,
            rng=seeds.numpy_generator(seed, "ensembles", prefix, kind),
        )
        for k, (name, words) in enumerate(MEASURES.items()):
            for end, word, at in ends(numbers, low, high):
                values_of = at[k * number : (k + 1) * number]
                told = word + words.format(SPLITS[prefix] + kind)
                made[prefix + kind + name + end] = (
                    ("ensemble",),
                    values_of,
                    {"long_name": told},
                )
        if kind == "error" and found[0].disagreement is not None:
            each = [float(one.disagreement @ _counts(weights)) for one in found]  # type: ignore[operator]
            label = f"{SPLITS[prefix]}share of examples on which two members differ"
            made[prefix + "disagreement"] = (("ensemble",), each, {"long_name": label})
    return made


def _counts(weights: Array) -> Tensor:
    return torch.from_numpy(weights / weights.sum())


def curve_members(
    objective: Objective, found: xr.Dataset, a: Any, b: Any, members: int
) -> list[Shaped[Tensor, " params"]]:
    """Points at even places of a curve from `a` to `b` that `curve` trained, both ends among them.

    Flat tensors: their BatchNorm statistics are computed for them where they are used. Raises
    `InvalidType` for another result (E-A93), `InvalidArgument` for fewer than two members
    (E-A01) or a curve of another model (E-A93). No pass.

    >>> one = torch.ones(4, 1)
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> bowl = Objective(model, torch.nn.MSELoss(), (one, 0 * one))
    >>> a, b = torch.tensor([-1.0]), torch.tensor([1.0])
    >>> bent = td.curve(bowl, a, b, steps=8)
    >>> [len(p) for p in curve_members(bowl, bent, a, b, 3)]
    [1, 1, 1]
    """
    count(members, "members", least=2)
    if not isinstance(found, xr.Dataset) or found.attrs.get("quantity") != "curve":
        raise InvalidType(
            f"found must be a result of td.curve; got {type(found).__name__}.", code="E-A93"
        )
    first, last = (end_of(objective, v, n).theta for v, n in ((a, "a"), (b, "b")))
    inner = torch.from_numpy(np.array(found["control_points"].values)).to(first)
    if inner.shape[-1] != len(first):
        raise InvalidArgument(
            f"the curve has {inner.shape[-1]} parameters and the model {len(first)}.",
            fix="pass the objective and the ends that the curve was trained with.",
            code="E-A93",
        )
    controls = torch.cat([first[None], inner, last[None]])
    kind = str(found.attrs["kind"])
    return [
        mixed(coefficients(kind, len(controls), np.array(t)), controls)
        for t in np.linspace(0.0, 1.0, members)
    ]
