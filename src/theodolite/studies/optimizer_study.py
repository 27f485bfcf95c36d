"""Optimizers side by side at one training loss, with noise added to full-batch descent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from theodolite.studies import optimizer_runs
from theodolite.studies import settings as shared
from theodolite.studies.conducting import conducted, stored_of
from theodolite.studies.optimizer_summary import optimizer_summary
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target


def preset(points: int, seeds: int, **changes: Any) -> dict[str, Any]:
    own = {"rules": None, "rates": None, "batch_size": None, "points": points, "seeds": seeds}
    return {**own, **shared.SHARED, **changes}


OPTIMIZERS = Measure(
    optimizer_runs.NAME,
    "SGD, full-batch descent without and with noise, SAM and Adam, and how sharp their ends are",
    {
        "quick": preset(3, 3),
        "standard": preset(3, 5, products=100),
        "thorough": preset(5, 10, products=300, tolerance=0.02),
    },
    optimizer_runs.groups,
    optimizer_runs.settled,
)


def optimizers(
    target: Target | str | Callable[..., Any],
    *,
    rules: Sequence[str] | None = None,
    rates: Mapping[str, Sequence[float]] | None = None,
    batch_size: int | None = None,
    seeds: int | None = None,
    budget: str = "updates",
    length: int | None = None,
    stop_loss: float | int | str = "auto",
    start: str = "own",
    preset: str = "quick",
    seed: int = 0,
    out: str | Path | None = None,
    fresh: bool = False,
    time_budget: float | int | None = None,
    n_jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> xr.Dataset:
    r"""Train a target's recipe by several optimizers to one loss; measure where each ends.

    Parameters
    ----------
    target
        A `Target` with a ``recipe``, or its factory or that one's name (needed for `n_jobs`).
    rules
        Any of ``"sgd"``, ``"gd"`` (the whole training set at once), ``"gd_batch_noise"`` (the same
        with Gaussian noise of the covariance that batches of `batch_size` have at the present
        weights, :math:`(1/B - 1/N) \Sigma`), ``"gd_isotropic_noise"`` (noise of that trace and of
        the same lengths, in directions that know nothing of the loss), ``"sam"``, ``"adam"``. The
        first of this order that is there is what others are compared with.
    rates
        Learning rates to try, by rule. Each unit takes the one that gets to the loss in the
        fewest updates (else the lowest training loss); test data play no part. By default three
        around the recipe's rate, for Adam around 0.001.
    batch_size
        Of all that have batches, and of the noise; by default the recipe's.
    seeds, budget, length, stop_loss, start, preset, seed, out, fresh, time_budget, n_jobs, progress
        As for `batch_size` (the study).
    settings
        ``check``, ``products``, ``tolerance``, ``points`` (rates tried).

    Returns
    -------
    xarray.Dataset
        Over (optimizer, seed): what `batch_size` returns of a training, the ``rate`` taken and
        ``example_gradients``; and the comparison, see
        `theodolite.studies.optimizer_summary.optimizer_summary`.

    Notes
    -----
    If noise of the right covariance ends full-batch descent where SGD ends, noise is what batches
    do; if isotropic noise does so as well, its shape does not matter. At equal loss optimizers
    have made unequal numbers of updates, which the result holds. Costs all updates at all rates;
    noise costs a backward pass over the data an update. Networks with BatchNorm have no noise of
    single examples: by default both rules with noise are left out with a warning, and if asked for
    their units fail.

    Raises as `batch_size`.

    References
    ----------
    Zhu, Wu, Yu, Wu, Ma (2019), arXiv:1803.00195. Wen et al. (2020), arXiv:1902.08234. Foret et
    al. (2021), arXiv:2010.01412.

    Examples
    --------
    >>> from theodolite import datasets, models, training
    >>> data = datasets.digits(limit=60, flatten=True)
    >>> recipe = training.Recipe(lambda: models.mlp((64, 8, 10)), data, batch_size=20, epochs=2)
    >>> objective = td.Objective(recipe.model(), torch.nn.CrossEntropyLoss(), data.train)
    >>> target = td.Target(objective, recipe=recipe)
    >>> found = optimizers(target, rules=["sgd", "gd"], points=1, seeds=1, length=3,
    ...     stop_loss="none")
    >>> found.example_gradients.values.ravel().tolist()  # 3 updates of 20, and of 60
    [60.0, 180.0]
    """
    given = {
        "rules": None if rules is None else list(rules),
        "rates": None if rates is None else {k: list(v) for k, v in rates.items()},
        "batch_size": batch_size,
        "seeds": seeds,
        "budget": budget,
        "length": length,
        "stop_loss": stop_loss,
        "start": start,
        **settings,
    }
    how: dict[str, Any] = {"fresh": fresh, "time_budget": time_budget, "n_jobs": n_jobs}
    how |= {"progress": progress}
    tree = conducted(target, OPTIMIZERS, given, preset=preset, seed=seed, out=out, **how)
    return optimizer_summary(stored_of(tree, optimizer_runs.QUANTITY))
