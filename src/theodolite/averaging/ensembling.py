"""Several networks asked together: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import xarray as xr

from theodolite import results
from theodolite.averaging.averages import check_settings, combined_words, coordinates
from theodolite.averaging.members import check_objective, frozen, members_of, shares_of
from theodolite.averaging.readings import Reading, reading
from theodolite.averaging.tables import table
from theodolite.connectivity.linear import pair_of
from theodolite.errors import UnsupportedModel
from theodolite.objective import Objective


def ensemble(
    objective: Objective,
    thetas: Iterable[Any],
    *,
    weights: Sequence[Any] | None = None,
    test: Objective | None = None,
    names: Sequence[str] | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    r"""The loss and accuracy of the mean answers of several networks, beside the networks' own.

    .. math:: \bar p(x) = \sum_k w_k\, p_k(x), \qquad
        \text{gain} = L(\bar p) - \sum_k w_k L(p_k)

    Probabilities are averaged where there are any (softmax outputs, or a sigmoid's under
    ``BCEWithLogitsLoss``), else outputs; the objective's own loss is then taken of the mean. The
    gain is never positive for cross entropy or squared error (Jensen).

    Parameters
    ----------
    objective
        Of the training data; BatchNorm statistics of flat tensors are computed from them.
    thetas
        State dicts, which bring their own buffers, or flat tensors: draws of SWAG, snapshots,
        points of a curve (`curve_members`), separate trainings.
    weights, names, level, resamples
        As for `average`.
    test
        A second objective of the same model, on which the numbers count.

    Returns
    -------
    xarray.Dataset
        As `average`, of the members and "ensemble" alone and without barriers: the gain is
        ``loss_change`` (``error_change``) of "ensemble", and ``loss_change_best`` what is gained
        on the best member, found anew in every resample.

    Raises
    ------
    UnsupportedModel
        For a model that computes its own loss, or returns no single tensor (E-A91).
    InvalidArgument
        As `average`, for points, names, weights and objectives.

    Notes
    -----
    Costs a pass for every member and objective, and with BatchNorm one a layer for each flat
    tensor; holds all points and the outputs of one network over all data. Used, an ensemble of K
    costs K networks, an average one. Not checked: how far the gain comes from the choice of
    members.

    References
    ----------
    Hansen, Salamon (1990), IEEE PAMI 12. Lakshminarayanan, Pritzel, Blundell (2017),
    arXiv:1612.01474. Fort, Hu, Lakshminarayanan (2019), arXiv:1912.02757 (disagreement).

    Examples
    --------
    >>> x = torch.ones(2, 1)
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> objective = Objective(model, torch.nn.MSELoss(), (x, 0 * x))
    >>> found = ensemble(objective, [torch.tensor([-1.0]), torch.tensor([3.0])])
    >>> found.loss.values.tolist(), found.loss_change.sel(network="ensemble").item()
    ([1.0, 9.0, 1.0], -4.0)
    """
    check_settings(level, resamples)
    check_objective(objective)
    objectives = pair_of(objective, test)
    members = members_of(objective, thetas, names)
    shares = shares_of(weights, len(members))
    readings = {p: reading(frozen(o), members, shares) for p, o in objectives.items()}
    refuse_hidden(readings[""], objective)
    labels = [m.name for m in members]
    return results.dataset(
        "ensemble",
        table(readings, shares.numpy(), level=level, resamples=resamples, seed=seed),
        {"network": coordinates(labels, "", readings[""])["network"]},
        **objective.facts(),
        weights=shares.tolist(),
        combined=combined_words(readings[""], objective),
        level=float(level),
        resamples=resamples,
        seed=seed,
        **({} if test is None else {"test_fingerprint": test.fingerprint}),
    )


def refuse_hidden(found: Reading, objective: Objective) -> None:
    """Raise where the outputs that would be averaged are not seen."""
    if found.together is None:
        raise UnsupportedModel(
            f"the outputs of {type(objective.model).__name__} cannot be averaged: the model "
            "computes its own loss, or returns more than a tensor.",
            fix="build the objective with a loss of outputs and targets.",
            code="E-A91",
        )
