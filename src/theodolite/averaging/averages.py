"""The average of several networks' weights, made only within a basin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import xarray as xr
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite import results
from theodolite.averaging.aligning import aligned
from theodolite.averaging.basins import barriers, end_losses, limit_of, refuse_across
from theodolite.averaging.members import (
    Member,
    check_objective,
    frozen,
    listed,
    members_of,
    recomputing,
    shares_of,
    tell_unlike,
    with_own_statistics,
)
from theodolite.averaging.mixtures import LINKS, link_of
from theodolite.averaging.readings import Reading, reading
from theodolite.averaging.spreading import check_repair, refuse_rise, repaired
from theodolite.averaging.states import state_variables
from theodolite.averaging.tables import table
from theodolite.connectivity.arguments import count, share
from theodolite.connectivity.linear import pair_of
from theodolite.connectivity.pairs import barrier_matrix
from theodolite.objective import Objective


def average(
    objective: Objective,
    thetas: Iterable[Any],
    *,
    align: Any = None,
    repair: bool = False,
    weights: Sequence[Any] | None = None,
    threshold: float | int | None = None,
    test: Objective | None = None,
    names: Sequence[str] | None = None,
    steps: int = 25,
    refine: int = 8,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    r"""One network whose weights are the mean of several, unless a barrier parts them.

    .. math:: \bar\theta = \sum_k w_k\, \pi_k \theta_k, \qquad \sum_k w_k = 1,\; w_k \ge 0

    First the barrier on the straight line between every two points is measured, with BatchNorm
    statistics made anew at every place, as the average's are. Where one is higher than
    `threshold` the points lie in different basins, their average lies on the barrier, and the
    call is refused. With `align` the units of all points are first permuted to match the first's,
    and barriers are measured before and after.

    Parameters
    ----------
    objective
        Of the training data: BatchNorm statistics of the average are computed from all of it.
    thetas
        Two or more points: state dicts, which bring their own buffers, or flat tensors, whose
        BatchNorm statistics are computed as the average's are.
    align
        None, a method of `match` (``"weights"`` of three or more: `merge`), or permutations: one
        mapping (or `Matching`) for each point after the first.
    repair
        Of two points: the average's units get the spread of theirs, by `repair`. What has to stay
        below `threshold` is then not the barrier between the points, but how much higher the
        average's own loss is than the members' mean.
    weights
        Of the points, made to add up to one; equal by default.
    threshold
        The highest barrier within a basin, in units of the loss. By default that of
        `relation`: 2 % of what the worst member has learned over a network of zero weights.
    test
        A second objective of the same model; measured, used for nothing.
    names
        Of the points; by default their numbers.
    steps, refine
        Of the barriers, as for `barrier`.
    level, resamples
        Of the bootstrap intervals.

    Returns
    -------
    xarray.Dataset
        By ``network`` (the members, "average", and "ensemble": the members' mean probabilities, or
        outputs where there are none): ``loss``, ``loss_change`` (minus the members' weighted
        mean), ``loss_change_best`` (minus the lowest of the members), each with ``_low`` and
        ``_high``; the same of the share of wrong answers (``error``, ...) and of the test
        objective (``test_loss``, ...). Differences are paired: an example is drawn with its
        losses in all networks. ``disagreement`` and ``normalized_disagreement`` of classifiers.
        By ``first`` and ``second``: ``barrier``, its interval, ``error_barrier``, ``distance``,
        and the same with ``aligned_``. The network itself: `averaged_state`.
        Attributes: ``threshold``, ``threshold_source``, ``weights``, ``combined``.

    Raises
    ------
    InvalidArgument
        Across a barrier (E-A85: which pairs, how high, what to do instead); for points or names
        (E-A80), weights or a threshold (E-A81) that are none, a repair of more than two (E-A100),
        frozen parameters that differ (E-A82), an objective in training mode (E-A83), `align`
        (E-A86).
    UnsupportedModel
        For an objective shared by processes (E-A84).

    Notes
    -----
    Costs the passes of `barrier_matrix` (twice with `align`), one for every network and
    objective, and one a BatchNorm layer for each point that is a flat tensor and for the average.
    Holds all points, and the outputs of one network over all data. The mean is taken in float64.
    Integer buffers, and float buffers other than BatchNorm's, are the first point's (E-A94 warns
    where others differ): nothing but parameters is averaged. Not checked: that no barriers
    between pairs means none at the mean of three or more (its own loss is in the result), what
    other trainings would give, and whether the test data were used to choose the points.

    References
    ----------
    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson (2018), arXiv:1803.05407. Wortsman et al.
    (2022), arXiv:2203.05482. Ainsworth, Hayase, Srinivasa (2023), arXiv:2209.04836 (alignment).
    Jordan, Sedghi, Saukh, Entezari, Neyshabur (2023), arXiv:2211.08403 (statistics).

    Examples
    --------
    >>> one = torch.ones(2, 1)
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> bowl = Objective(model, torch.nn.MSELoss(), (one, 0 * one))  # the loss is w^2
    >>> found = average(bowl, [torch.tensor([w]) for w in (-1.0, 3.0)])
    >>> found.parameters.item(), found.loss.sel(network="average").item()
    (1.0, 1.0)
    """
    check_settings(level, resamples)
    check_objective(objective)
    objectives = pair_of(objective, test)
    values = listed(thetas)
    members = members_of(objective, values, names)
    check_repair(repair, len(members))
    shares = shares_of(weights, len(members))
    measured = recomputing(objective)
    labels = [m.name for m in members]
    how: dict[str, Any] = {
        "names": labels,
        "steps": steps,
        "refine": refine,
        "level": level,
        "seed": seed,
    }
    tell_unlike(objective, members)
    before = barrier_matrix(measured, [m.theta for m in members], resamples=resamples, **how)
    limit, source = limit_of(measured, threshold, end_losses(before))
    variables = barriers(before)
    moved = members
    last = before
    if align is not None:
        values = aligned(objective, values, align, seed)
        moved = members_of(objective, values, names)
        last = barrier_matrix(measured, [m.theta for m in moved], resamples=resamples, **how)
        variables |= barriers(last, "aligned_")
    if not repair:
        refuse_across(last, limit, source, aligned=align is not None)
    made = averaged(objective, moved, shares, "average")
    if repair:
        made = repaired(objective, made, values, shares)
    readings = {p: reading(frozen(o), members, shares, [made]) for p, o in objectives.items()}
    if repair:
        refuse_rise(readings[""], shares, limit, source)
    variables |= table(readings, shares.numpy(), level=level, resamples=resamples, seed=seed)
    return result_of(
        "average",
        objective,
        variables,
        made,
        readings[""],
        labels,
        test,
        align="none" if align is None else align if isinstance(align, str) else "given",
        repaired=repair,
        weights=shares.tolist(),
        threshold=limit,
        threshold_source=source,
        steps=steps,
        refine=refine,
        level=float(level),
        resamples=resamples,
        seed=seed,
    )


def result_of(
    quantity: str,
    objective: Objective,
    variables: dict[str, results.Variable],
    made: Member,
    found: Reading,
    labels: list[str],
    test: Objective | None,
    **told: Any,
) -> xr.Dataset:
    """The result of an average or a soup, with the network that was made of the members."""
    state, layout = state_variables(objective, made)
    return results.dataset(
        quantity,
        variables | state,
        coordinates(labels, quantity, found),
        **objective.facts(),
        **told,
        combined=combined_words(found, objective),
        **layout,
        **({} if test is None else {"test_fingerprint": test.fingerprint}),
    )


def averaged(
    objective: Objective, members: Sequence[Member], shares: Float64[Tensor, " member"], name: str
) -> Member:
    """The network at the mean of the points, with statistics of its own; a single one as it is."""
    if len(members) == 1:
        return Member(name, members[0].theta, members[0].buffers)
    theta = mean_point([m.theta for m in members], shares)
    return Member(name, theta, with_own_statistics(objective, theta, members[0].buffers))


def mean_point(
    points: Sequence[Shaped[Tensor, " params"]], shares: Float64[Tensor, " member"]
) -> Shaped[Tensor, " params"]:
    """The weighted mean, taken in float64 and given back in the points' precision."""
    total = torch.zeros_like(points[0], dtype=torch.float64)
    for point, share_of_one in zip(points, shares, strict=True):
        total += float(share_of_one) * point.double()
    return total.to(points[0].dtype)


def check_settings(level: Any, resamples: Any) -> None:
    """Raise unless intervals can be made."""
    share(level, "level")
    count(resamples, "resamples", least=1)


def coordinates(labels: list[str], made: str, found: Reading) -> dict[str, list[str]]:
    """The names of the networks, and of the points in matrices."""
    whole = [] if found.together is None else ["ensemble"]
    return {
        "network": [*labels, *([made] if made else []), *whole],
        "first": labels,
        "second": labels,
    }


def combined_words(found: Reading, objective: Objective) -> str:
    """What the ensemble averages, or why there is none."""
    if found.together is None:
        return "nothing: the model's outputs are not a tensor that the loss takes"
    return LINKS[link_of(objective)]
