"""Slices through the loss surface: along a line, and over a plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr
from jaxtyping import Shaped
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.surfaces import labels
from theodolite.surfaces.adaptive_planes import adaptive_values, dense_values
from theodolite.surfaces.coordinates import coordinates
from theodolite.surfaces.rows import Progress, line_values

METHODS = ("adaptive", "dense")
"""How the points of a plane can be chosen."""


def line(
    objective: Objective,
    direction: Shaped[Tensor, ...],
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    span: Sequence[float | int] = (-1, 1),
    steps: int = 51,
    test: Objective | None = None,
    normalize: str | None = None,
    seed: int | None = None,
    line: int = 0,
    progress: Progress | None = None,
) -> xr.Dataset:
    r"""The loss along a direction.

    .. math:: \alpha \mapsto L(\theta + \alpha\,d)

    Parameters
    ----------
    direction
        Shape ``(params,)``, for example one of `random_directions`.
    theta
        The point where alpha is zero, shape ``(params,)``; by default ``objective.start``.
    span, steps
        First and last alpha, and how many evenly spaced ones, both ends included.
    test
        A second objective of the same model, measured at the same points under its own settings
        (with ``batch_norm="recompute"``, statistics are those of its own data).
    normalize, seed, line
        How the direction was made and its number, recorded in the result. Norms that are those
        of filters, layers or all of theta are recognized; pass "none" to leave that out.
    progress
        Called as ``progress(done, total)`` after every pass.

    Returns
    -------
    xarray.Dataset
        ``loss`` and ``loss_error`` (standard error over examples) with dimension ``alpha``;
        ``accuracy`` and ``accuracy_error`` for class labels; the same with ``test_``; ``status``
        (1 ok, 2 diverged: the loss is not finite and every number there is NaN).

    Raises
    ------
    InvalidArgument
        For a span or steps that make no grid (E-G01), a direction of another shape (E-G03) or
        zero (E-G05), or a test objective of another model (E-G07).
    NotFinite
        For NaN or infinity in theta or the direction (E-G06).

    Notes
    -----
    Costs `steps` passes over the data (and over the test data). Each point is computed from theta
    itself, in the dtype of points, and the loss summed in float64; at alpha zero it equals
    ``objective.value(theta)`` bit for bit. Not checked: that one direction stands for others;
    repeat with other seeds and look at the spread.

    References
    ----------
    Goodfellow, Vinyals, Saxe (2014), arXiv:1412.6544. Li et al. (2018), arXiv:1712.09913.

    Examples
    --------
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> objective = Objective(model, torch.nn.MSELoss(), (torch.ones(2, 1), torch.zeros(2, 1)))
    >>> one = torch.ones(1)
    >>> line(objective, one, theta=0 * one, span=(0, 2), steps=3).loss.values.tolist()
    [0.0, 1.0, 4.0]
    """
    alphas = coordinates(span, steps)
    values = line_values(
        objective, direction, theta=theta, alphas=alphas, test=test, progress=progress
    )
    facts = labels.line_facts(
        objective,
        direction,
        theta=theta,
        span=span,
        steps=steps,
        test=test,
        normalize=normalize,
        seed=seed,
        line=line,
    )
    return labels.line_dataset(values, alphas, facts)


def plane(
    objective: Objective,
    directions: Shaped[Tensor, ...],
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    span: Sequence[Sequence[float | int]] = ((-1, 1), (-1, 1)),
    steps: Sequence[int] = (51, 51),
    method: str = "adaptive",
    tolerance: float | int = 0.02,
    evaluation: str = "auto",
    test: Objective | None = None,
    normalize: str | None = None,
    seed: int | None = None,
    plane: int = 0,
    progress: Progress | None = None,
) -> xr.Dataset:
    r"""The loss over a plane.

    .. math:: (\alpha, \beta) \mapsto L(\theta + \alpha\,d_1 + \beta\,d_2)

    Parameters
    ----------
    directions
        Shape ``(2, params)``, for example of `random_directions`.
    theta
        The point where alpha and beta are zero; by default ``objective.start``.
    span, steps
        ``((first, last), (first, last))`` and ``(count, count)`` of alpha and beta.
    method
        ``"dense"`` measures every point of the grid. ``"adaptive"`` measures about a hundred,
        fits the log of the loss through them (with the whole grid over a few examples as a
        guide, where that helps), refines where fits disagree and around the minimum, and states
        the error of the fit at points it never saw. Grids of at most 225 points, and surfaces
        that half of the points do not pin down, are measured whole; ``fallback`` says why.
    tolerance
        Adaptive only: the largest error at the points held out, as a share of the range of the
        log of the loss (of the loss itself, where some of it is not positive).
    evaluation
        How points are computed: ``"plain"``; ``"auto"``, which times other ways for jobs of more
        than two seconds and keeps the fastest whose losses agree to 0.1 %; or the name of one,
        as the result records it. Bits are the same for the same name.
    test
        A second objective of the same model, measured under its own settings (with
        ``batch_norm="recompute"``, statistics are those of its own data), at the same points if
        dense, with its own fit if adaptive.
    normalize, seed, plane
        How the directions were made and the plane's number, recorded in the result; ``seed``
        also draws the held-out points. Norms that are those of filters, layers or all of theta
        are recognized; pass "none" to leave that out.
    progress
        Called as ``progress(done, total)`` after every pass.

    Returns
    -------
    xarray.Dataset
        ``loss`` and ``loss_error`` (standard error over examples) with dimensions
        ``(alpha, beta)``; ``accuracy`` and ``accuracy_error`` for class labels; the same with
        ``test_``; ``status`` (1 ok, 2 diverged: the loss is not finite and every number there is
        NaN). Adaptive planes add ``sampled`` (1 measured, 0 fitted, 2 held out), ``loss_fit_error``
        (the spread of several fits, scaled to the held-out errors; zero where measured) and, over
        ``held_out``, points the fit never saw (a third of them near the lowest). Attributes hold
        ``held_out_error`` (the largest) and ``held_out_rms``, the passes spent, ``scout_points``
        (how many points few examples saw; zero where they would cost nearly as much as all),
        norms and cosine of the directions and the norm of theta.

    Raises
    ------
    InvalidArgument
        For a span or steps that make no grid (E-G01), another method (E-G02), evaluation
        (E-G12) or tolerance (E-G13), directions of another shape (E-G03), parallel (E-G04) or
        zero (E-G05), or a test objective of another model (E-G07).
    NotFinite
        For NaN or infinity in theta or the directions (E-G06).

    Notes
    -----
    Dense: one pass over the data a point. Adaptive: about 120 to 250 passes for surfaces without
    breaks, of any resolution. Holds five vectors of the network's size. Each point is computed
    from theta itself, in the dtype of points, and the loss summed in float64; where alpha and beta
    are zero it equals ``objective.value(theta)`` bit for bit if evaluated plainly. Regions where
    the loss diverges are measured point by point. Not checked: that no feature lies between the
    points measured (the held-out error is that of 24 random points, 8 of them near the lowest),
    that the plane shows what most planes show, nor that its axes are orthogonal
    (``axis_cosine`` says).

    References
    ----------
    Li, Xu, Taylor, Studer, Goldstein (2018), arXiv:1712.09913.

    Examples
    --------
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> objective = Objective(model, torch.nn.MSELoss(), (torch.eye(2), torch.zeros(2, 1)))
    >>> bowl = plane(objective, torch.eye(2), theta=torch.zeros(2), steps=(3, 3))
    >>> bowl.loss.values.tolist()
    [[1.0, 0.5, 1.0], [0.5, 0.0, 0.5], [1.0, 0.5, 1.0]]
    """
    if method not in METHODS:
        raise InvalidArgument(
            f'method must be "adaptive" or "dense"; got {method!r}.', code="E-G02"
        )
    alphas, betas = grid(span, steps)
    where: dict[str, Any] = {"theta": theta, "alphas": alphas, "betas": betas, "test": test}
    if method == "dense":
        values, found = dense_values(
            objective, directions, evaluation=evaluation, progress=progress, **where
        )
    else:
        values, found = adaptive_values(
            objective,
            directions,
            tolerance=tolerance,
            evaluation=evaluation,
            seed=seed or 0,
            progress=progress,
            **where,
        )
    facts = labels.plane_facts(
        objective,
        directions,
        theta=theta,
        span=span,
        steps=steps,
        test=test,
        normalize=normalize,
        seed=seed,
        plane=plane,
    )
    return labels.plane_dataset(values, alphas, betas, {**facts, **found})


def grid(span: Any, steps: Any) -> tuple[Any, Any]:
    """The coordinates of both axes; raises unless there are two spans and two counts."""
    for name, value in (("span", span), ("steps", steps)):
        if not hasattr(value, "__len__") or len(value) != 2:
            raise InvalidArgument(
                f"{name} must have one part for alpha and one for beta; got {value!r}.",
                fix="for example span=((-1, 1), (-1, 1)), steps=(51, 51).",
                code="E-G01",
            )
    return coordinates(span[0], steps[0], "[0]"), coordinates(span[1], steps[1], "[1]")
