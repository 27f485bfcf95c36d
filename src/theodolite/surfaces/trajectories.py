"""Training trajectories: checkpoints on a plane, their loss, and the loss of their shadows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import xarray as xr

from theodolite.objective import Objective
from theodolite.objective.same_space import check_same_space
from theodolite.surfaces.trajectory_labels import trajectory_dataset
from theodolite.surfaces.trajectory_losses import trajectory_losses
from theodolite.surfaces.trajectory_path import path_of
from theodolite.surfaces.trajectory_runs import runs_of


def trajectory(
    objective: Objective,
    checkpoints: Any,
    *,
    directions: Any = "principal",
    center: str | None = None,
    test: Objective | None = None,
    times: Any = None,
    learning_rates: Any = None,
    most: int | None = None,
    null_walks: int = 200,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    r"""The path of one or several trainings on a plane, with the null of a random walk.

    .. math:: c_t = \arg\min_c \lVert \theta_t - \theta_0 - c D \rVert, \quad
        r_t = \lVert \theta_t - \theta_0 - c_t D \rVert, \quad
        L(\theta_t) \text{ beside } L(\theta_0 + c_t D)

    Parameters
    ----------
    checkpoints
        Files (``.safetensors``, ``.pt``), state dicts or flat tensors in the order of training;
        a folder of `td.training.Recorder` or of ``train(checkpoints=...)``; or a mapping from the
        names of several runs to any of these, not necessarily of one length.
    directions
        ``"principal"``: the two principal axes of all points together; or a tensor of shape
        (axis, params), neither orthogonal nor of unit length.
    center
        ``"last"`` (default for one run): distances count from the last point and the plane goes
        through it. ``"mean"`` (default for several): from the mean of all points.
    test
        A second objective of the same model on held-out data.
    times, learning_rates
        One number a checkpoint (a mapping by run for several); by default read from the files'
        names and from what `Recorder` or `train` wrote beside them.
    most
        Use an even subsample of so many checkpoints of each run, at least 2: its ends are in it.
    null_walks, seed
        Random walks drawn for the null; 0 for none.
    progress
        Called as ``progress(done, total)`` after every pass.

    Returns
    -------
    xarray.Dataset
        With dimension ``time``, run after run (``run`` is the place of its name in
        ``attrs["runs"]``): ``coordinates`` (time, axis), ``residual``, ``distance_from_start``,
        ``step_length``, ``learning_rate``, ``learning_rate_drop``; ``loss`` with the checkpoint's
        own buffers, ``shadow_loss`` at its shadow with the objective's, ``accuracy`` and the same
        with ``test_``, with standard errors over examples and a ``status``. With dimension
        ``component``: ``explained_variance`` by the chosen center and by both definitions, and
        ``null_explained_variance`` with its standard error over walks and its limit.
        ``attrs["null_as_large"]`` counts the walks, of ``null_walks``, whose leading components
        explain as much as the path's, ``null_same_steps_as_large`` those whose steps have the
        lengths of the path's own; ``plane_share`` is the share of the squared distances from the
        origin that lies in the plane.

    Raises
    ------
    InvalidArgument, InvalidType
        For checkpoints or a `most` too few (E-J07), times or rates that do not fit (E-J08),
        points of another network (E-P02, E-J01) or that lie on a line (E-J04), other directions
        (E-J13, E-J05) or another center (E-J03).
    NotFinite, StorageError
        For NaN in a checkpoint (E-J02), or a file that cannot be read (E-T60 to E-T64, E-J09).

    Notes
    -----
    Costs two passes over the data a checkpoint, and one over the test data; files are read six
    times. Holds the axes and a few vectors, never all checkpoints. The null is drawn only where
    the runs begin at one point (``null_reason`` says why there is none). Not checked: that the
    path between checkpoints stays near the line that joins them.

    References
    ----------
    Li et al. (2018), arXiv:1712.09913. Lorch (2016). Antognini, Sohl-Dickstein (2018),
    arXiv:1806.08805, on what a random walk looks like in the same picture.

    Examples
    --------
    >>> model = torch.nn.Linear(3, 1, bias=False)
    >>> objective = Objective(model, torch.nn.MSELoss(), (torch.eye(3), torch.zeros(3, 1)))
    >>> path = torch.tensor([[3.0, 0.0, 0.0], [3.0, 3.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    >>> made = trajectory(objective, path)
    >>> made.loss.values.tolist(), bool((made.residual < 1e-6).all())
    ([3.0, 6.0, 3.0, 0.0], True)
    """
    if test is not None:
        check_same_space(objective, test, moved=False)
    runs = [
        run.thinned(most)
        for run in runs_of(checkpoints, times=times, learning_rates=learning_rates)
    ]
    path = path_of(
        objective, runs, directions=directions, center=center, null_walks=null_walks, seed=seed
    )
    total, done = len(path.points) * (2 if test is None else 3), 0

    def ticked() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    values = trajectory_losses(
        objective, path, rows=range(len(path.points)), test=test, ticked=ticked
    )
    return trajectory_dataset(objective, path, values, null_walks=null_walks, seed=seed, test=test)
