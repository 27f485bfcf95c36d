"""Soups: averages of fine-tuned networks, of all of them or of those that help."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from theodolite.averaging.averages import (
    averaged,
    check_settings,
    result_of,
)
from theodolite.averaging.basins import barriers, end_losses, limit_of, refuse_across
from theodolite.averaging.choosing import Trial, chosen, reasons, told
from theodolite.averaging.members import (
    check_objective,
    frozen,
    members_of,
    recomputing,
    shares_of,
    tell_unlike,
)
from theodolite.averaging.readings import reading
from theodolite.averaging.tables import table
from theodolite.connectivity.pairs import barrier_matrix
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.objective.same_space import check_same_space

KINDS = ("greedy", "uniform")


def soup(
    objective: Objective,
    thetas: Iterable[Any],
    *,
    kind: str = "greedy",
    validation: Objective | None = None,
    by: str | None = None,
    threshold: float | int | None = None,
    test: Objective | None = None,
    names: Sequence[str] | None = None,
    steps: int = 25,
    refine: int = 8,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    r"""The mean of the weights of fine-tuned networks: of all, or of those that help it.

    A greedy soup begins with the member that is best on the validation data and tries the others
    from the next best to the worst: one is taken in if the mean of all taken and it is no worse
    on these data than the mean without it. A uniform one takes all, and is refused across
    barriers as `average` is.

    Parameters
    ----------
    objective
        Of the training data, from which BatchNorm statistics of every average are computed.
    thetas, names
        As for `average`.
    kind
        ``"greedy"`` or ``"uniform"``.
    validation
        The objective that a greedy soup is chosen by: held-out data of the same model, neither
        `objective` nor `test`.
    by
        ``"accuracy"`` or ``"loss"``; by default accuracy where there are class labels.
    threshold, steps, refine
        As for `average`; the threshold is for a uniform soup only.
    test
        Data that chose nothing: the only ones whose numbers of a greedy soup are unbiased.

    Returns
    -------
    xarray.Dataset
        As `average`, with "soup" for "average", and ``validation_`` numbers, which are optimistic
        for the soup and for the best member, since they chose both. By ``member``: ``taken`` (1 or
        0), ``order`` in which they were tried, ``score`` with this member in, ``score_before``
        without it (NaN for the first), and ``barrier_to_taken``, the highest barrier to those in
        the soup before it. ``attrs["reasons"]`` says it in words.

    Raises
    ------
    InvalidArgument
        For a `kind` or `by` that is none (E-A88), a greedy soup without validation data or a
        uniform one with them (E-A89), validation data that are also reported as training or test
        data (E-A90), a uniform soup across a barrier (E-A85), else as `average`.

    Notes
    -----
    Costs what `average` does and, for a greedy soup, a pass over the validation data for every
    member, and with BatchNorm a pass over the training data a layer. The order of the members,
    and so the soup, depends on the validation data: with few of them ties and luck decide.
    Not checked: validation examples that are among the others under another objective.

    References
    ----------
    Wortsman, Ilharco, Gadre, Roelofs, Gontijo-Lopes, Morcos, Namkoong, Farhadi, Carmon, Kornblith,
    Schmidt (2022), Model soups, arXiv:2203.05482.

    Examples
    --------
    >>> def mean_square(to):
    ...     model = torch.nn.Linear(1, 1, bias=False)
    ...     _ = torch.nn.init.zeros_(model.weight)
    ...     x = torch.ones(2, 1)
    ...     return Objective(model, torch.nn.MSELoss(), (x, to * x))
    >>> points = [torch.tensor([w]) for w in (0.0, 2.0, 9.0)]
    >>> found = soup(mean_square(0.0), points, validation=mean_square(1.5))
    >>> found.taken.values.tolist(), found.parameters.item()  # 2 is best, with 0 it is 1
    ([1, 1, 0], 1.0)
    """
    check_settings(level, resamples)
    check_objective(objective)
    objectives = data_of(objective, kind, validation, test)
    way = way_of(validation or objective, by)
    members = members_of(objective, thetas, names)
    tell_unlike(objective, members)
    labels = [m.name for m in members]
    measured = recomputing(objective)
    matrix = barrier_matrix(
        measured,
        [m.theta for m in members],
        names=labels,
        steps=steps,
        refine=refine,
        level=level,
        resamples=resamples,
        seed=seed,
    )
    limit, source = limit_of(measured, threshold, end_losses(matrix))
    if validation is None:
        refuse_across(matrix, limit, source, aligned=False)
        trials = [Trial(k, np.nan, np.nan, True) for k in range(len(members))]
    else:
        trials = chosen(objective, frozen(validation), members, way)
    kept = [members[t.place] for t in trials if t.taken]
    made = averaged(objective, kept, shares_of(None, len(kept)), "soup")
    shares = shares_of(None, len(members))
    readings = {p: reading(frozen(o), members, shares, [made]) for p, o in objectives.items()}
    variables = table(readings, shares.numpy(), level=level, resamples=resamples, seed=seed)
    chose = {} if validation is None else {"validation_fingerprint": validation.fingerprint}
    return result_of(
        "soup",
        objective,
        variables | barriers(matrix) | told(trials, matrix, way),
        made,
        readings[""],
        labels,
        test,
        kind=kind,
        by=way if validation is not None else "nothing",
        reasons=reasons(trials, matrix, labels, way) if validation is not None else [],
        threshold=limit,
        threshold_source=source,
        steps=steps,
        refine=refine,
        level=float(level),
        resamples=resamples,
        seed=seed,
        **chose,
    ).assign_coords(member=labels)


def data_of(
    objective: Objective, kind: str, validation: Objective | None, test: Objective | None
) -> dict[str, Objective]:
    """The objectives by the prefix of their numbers; what chooses may not report."""
    if kind not in KINDS:
        raise InvalidArgument(
            f"kind must be one of {', '.join(KINDS)}; got {kind!r}.", code="E-A88"
        )
    if (kind == "greedy") != (validation is not None):
        raise InvalidArgument(
            f"a {kind} soup {'needs' if kind == 'greedy' else 'chooses nothing and takes no'} "
            "validation data.",
            why="chosen by the training data it would favor members that have overfit; chosen by "
            "the test data, their numbers would no longer be a test."
            if kind == "greedy"
            else "",
            fix="pass validation=, an objective of held-out data."
            if kind == "greedy"
            else "leave validation out, or pass kind='greedy'.",
            code="E-A89",
        )
    made = {"": objective}
    for prefix, other in (("validation_", validation), ("test_", test)):
        if other is not None:
            check_same_space(objective, other, moved=True)
            made[prefix] = other
    for name, other in (("training", objective), ("test", test)):
        if validation is not None and other is not None and same_data(validation, other):
            raise InvalidArgument(
                f"the validation data are the {name} data as well.",
                why="what chooses the members cannot report on them: the best of many on some data "
                "looks better there than it is.",
                fix="hold out data for the choice alone.",
                code="E-A90",
            )
    return made


def same_data(a: Objective, b: Objective) -> bool:
    """Whether both hold the same data, for one model and loss."""
    return a is b or frozen(a).fingerprint == frozen(b).fingerprint


def way_of(objective: Objective, by: str | None) -> str:
    """What members are chosen by."""
    labeled = objective.start_pass.hits is not None
    way = by or ("accuracy" if labeled else "loss")
    if way not in ("accuracy", "loss") or (way == "accuracy" and not labeled):
        raise InvalidArgument(
            f"by must be 'loss' or, with class labels, 'accuracy'; got {way!r}"
            + ("." if labeled else " and no class labels."),
            code="E-A88",
        )
    return way
