"""A grid of batch sizes and learning rates, trained alike, and how sharp each end is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from theodolite.studies import batch_size_cells
from theodolite.studies import settings as shared
from theodolite.studies.batch_size_summary import batch_size_summary
from theodolite.studies.conducting import conducted, stored_of
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target


def preset(points: int, seeds: int, **changes: Any) -> dict[str, Any]:
    own = {"batch_sizes": None, "rates": None, "points": points, "seeds": seeds}
    return {**own, **shared.SHARED, "training": "auto", "training_reason": "", **changes}


BATCH_SIZE = Measure(
    batch_size_cells.NAME,
    "trainings by every batch size and learning rate of a grid, and how sharp their ends are",
    {
        "quick": preset(4, 3),
        "standard": preset(5, 5, products=100),
        "thorough": preset(6, 8, products=300, tolerance=0.02),
    },
    batch_size_cells.groups,
    batch_size_cells.settled,
)


def batch_size(
    target: Target | str | Callable[..., Any],
    *,
    batch_sizes: Sequence[int] | None = None,
    rates: Sequence[float] | None = None,
    seeds: int | None = None,
    budget: str = "updates",
    length: int | None = None,
    stop_loss: float | int | str = "auto",
    start: str = "own",
    training: str = "auto",
    preset: str = "quick",
    seed: int = 0,
    out: str | Path | None = None,
    fresh: bool = False,
    time_budget: float | int | None = None,
    n_jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> xr.Dataset:
    r"""Train a target's recipe by every batch size and learning rate; measure where each ends.

    Asked of the grid: whether the sharpness of the ends is a function of the temperature
    :math:`\eta / B` alone (it *collapses*), whether it goes with the test error, and how much
    sharper the largest batches end than the smallest.

    Parameters
    ----------
    target
        A `Target` with a ``recipe``, or its factory or that one's name (needed for `n_jobs`).
    batch_sizes, rates
        By default as many as the preset has points, by factors of 4 and 2 around the recipe's.
    seeds
        How many, by default as many as the preset has; runs of one seed share their start.
    budget, length
        Equal ``"updates"`` or ``"epochs"`` for all, `length` of them; by default as long as the
        recipe, or ten times that where trainings stop at a loss.
    stop_loss
        Every training ends at this training loss (looked at every ``check`` updates), and only
        those that get there are compared: curvature at unequal losses differs for that alone.
        ``"auto"``: a twentieth of the loss at the start. ``"none"``: all use up their budget.
    start
        ``"own"``: the recipe's initialization, another for each seed; ``"target"``: the weights
        of the target's model, with another order of the data for each seed.
    training
        ``"together"``: the trainings of a batch size in one batched pass an update, ``"alone"``:
        one after another; ``"auto"``: whichever is faster in a trial, kept with its reason.
    preset, seed, out, fresh, time_budget, n_jobs, progress
        As for `survey`; with `out` everything is saved unit by unit and continued.
    settings
        ``check``, ``products`` (of the trace), ``tolerance`` (of the trace), ``points``.

    Returns
    -------
    xarray.Dataset
        Over (batch_size, seed, learning_rate): ``train_loss``, ``test_loss``, ``test_error``,
        ``updates``, ``largest_eigenvalue`` with its residual, ``trace`` with its standard error,
        ``adaptive_sharpness``, ``gradient_norm``, ``compared``, ``status``; ``temperature`` and
        ``noise_scale`` of the cells; and the analysis, see
        `theodolite.studies.batch_size_summary.batch_size_summary`. ``attrs["left_out"]`` names
        the cells that are not compared.

    Notes
    -----
    The rate is constant (after the recipe's warmup), for a schedule that falls to zero has no
    temperature; averaging of weights is left out. Costs all updates of all cells, and of each end
    about 25 and ``products`` Hessian products. Not checked: that the recipe's data are those of
    the objective.

    Raises `InvalidArgument` for a target without recipe (E-U10) or settings out of range, and
    what `survey` raises.

    References
    ----------
    Keskar et al. (2017), arXiv:1609.04836. Jastrzebski et al. (2017), arXiv:1711.04623. Smith,
    Le (2018), arXiv:1710.06451. Shallue et al. (2019), arXiv:1811.03600.

    Examples
    --------
    >>> from theodolite import datasets, models, training
    >>> data = datasets.digits(limit=60, flatten=True)
    >>> recipe = training.Recipe(lambda: models.mlp((64, 8, 10)), data, batch_size=20, epochs=2)
    >>> objective = td.Objective(recipe.model(), torch.nn.CrossEntropyLoss(), data.train)
    >>> target = td.Target(objective, recipe=recipe)
    >>> found = batch_size(target, batch_sizes=[10, 60], rates=[0.1], seeds=1, length=3,
    ...     stop_loss="none", training="alone")
    >>> dict(found.sizes)["batch_size"], found.updates.values.ravel().tolist()
    (2, [3.0, 3.0])
    """
    given = {
        "batch_sizes": None if batch_sizes is None else [int(b) for b in batch_sizes],
        "rates": None if rates is None else [float(r) for r in rates],
        "seeds": seeds,
        "budget": budget,
        "length": length,
        "stop_loss": stop_loss,
        "start": start,
        "training": training,
        **settings,
    }
    how: dict[str, Any] = {"fresh": fresh, "time_budget": time_budget, "n_jobs": n_jobs}
    how |= {"progress": progress}
    tree = conducted(target, BATCH_SIZE, given, preset=preset, seed=seed, out=out, **how)
    return batch_size_summary(stored_of(tree, batch_size_cells.QUANTITY), seed=seed)
