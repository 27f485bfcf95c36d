"""The edge of stability: gradient descent at several rates, and its sharpness along the way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from theodolite.errors import StorageError
from theodolite.surveys.surveying import survey

NAME = "edge_of_stability"


def edge_of_stability(
    target: Any,
    *,
    rates: Sequence[float] = (),
    shares: Sequence[float] = (),
    momentum: float = 0.0,
    nesterov: bool = False,
    steps: int | None = None,
    every: int | None = None,
    eigenvalues: int = 2,
    late: int | None = None,
    fresh_starts: Sequence[int] = (),
    preset: str = "quick",
    seed: int = 0,
    out: str | Path | None = None,
    **how: Any,
) -> xr.Dataset:
    r"""Gradient descent over all the data at several rates, and its sharpness along the way.

    .. math:: \theta_{t+1} = \theta_t - \eta \nabla L(\theta_t), \qquad
        s_t = \frac{\lambda_{\max}(\nabla^2 L(\theta_t))}{2 / \eta}

    and with momentum against :math:`(2 + 2m) / \eta`, or Nesterov's :math:`(2 + 2m) / (\eta (1 +
    2m))`. Networks often grow sharper until s reaches 1 (progressive sharpening) and stay there,
    while the loss swings from step to step and falls over long times.

    Parameters
    ----------
    target
        As for `survey`: a `Target`, an `Objective`, a factory or its name. Nothing of its recipe is
        used but the function that builds its model, for `fresh_starts`.
    rates
        Learning rates. Without them they are chosen so that the sharpness at the start is
        `shares` of the threshold: 0.5, 0.25 and 0.125.
    momentum, nesterov
        Of the descent, as ``torch.optim.SGD`` has them.
    steps, every, eigenvalues, late
        As for `descent_sharpness`; steps and every by default from `preset`.
    fresh_starts
        Seeds of fresh weights, each a start for all rates (`fresh_start`); without them descent
        begins at the target's own weights. A trained network starts near a minimum, where there
        is little left to see.
    out
        A run folder as of `survey`, resumable by runs; ``report(load_run(out), ...)`` shows it.
    how
        More of `survey`: ``limit``, ``fresh``, ``time_budget``, ``progress``, ``n_jobs``,
        ``backend``, ``threads``.

    Returns
    -------
    xarray.Dataset
        What `descent_sharpness` returns, along ``run``: all rates from the first start, then
        from the next; with ``rate(run)``, ``fresh_start(run)`` (NaN: the target's weights) and,
        where the time ended before the last run, NaN.

    Notes
    -----
    Costs and limits of a run are those of `descent_sharpness`. A run is one unit of work: with
    `out` nothing is trained twice. The objective is descended as it is evaluated: without dropout
    and with BatchNorm's statistics frozen, so for such networks this is not their training. The
    loss matters: with cross-entropy sharpness falls again as the loss goes to zero.

    Raises what `survey` raises; `InvalidArgument` for settings out of range (E-U47), rates that
    cannot be chosen (E-U46), starts that cannot be made (E-U44, E-U45); `StorageError` (E-U48)
    with the reason where a run failed.

    References
    ----------
    Cohen, Kaur, Li, Kolter, Talwalkar (2021), arXiv:2103.00065. Jastrzebski et al. (2020),
    arXiv:2002.09572.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> model = torch.nn.Linear(2, 1, bias=False)  # eigenvalues 1 and 4
    >>> objective = td.Objective(model, torch.nn.MSELoss(), (x, y))
    >>> found = edge_of_stability(objective, rates=[0.1, 0.25], steps=40, every=5)
    >>> found.late_mean.round(4).values.tolist()  # 4 eta / 2
    [0.2, 0.5]
    """
    given = {
        "rates": [float(r) for r in rates],
        "momentum": float(momentum),
        "nesterov": nesterov,
        "eigenvalues": eigenvalues,
        "fresh_starts": list(fresh_starts),
        "late": late or 0,
        "shares": [float(s) for s in shares] or None,
        "steps": steps,
        "every": every,
    }
    settings = {NAME: {k: v for k, v in given.items() if v is not None}}
    tree = survey(
        target, measures=[NAME], preset=preset, settings=settings, seed=seed, out=out, **how
    )
    if NAME not in tree.children:
        reasons = json.loads(str(tree.attrs.get("failures", "{}"))).get(NAME, {})
        raise StorageError(
            "no run of the study has numbers.",
            why=next(iter(reasons.values()), "the time ended before the first."),
            code="E-U48",
        )
    return tree[NAME].to_dataset()
