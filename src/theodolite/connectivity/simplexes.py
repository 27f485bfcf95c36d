"""Simplexes of low loss: volumes of parameter space that connect minima, or lie around one."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from theodolite import results, seeds
from theodolite.connectivity.arguments import count
from theodolite.connectivity.band_checks import refuse_shared
from theodolite.connectivity.ends import End, end_of, passed, recomputed
from theodolite.connectivity.linear import pair_of
from theodolite.connectivity.rates import first_that_stays, rates_of
from theodolite.connectivity.simplex_disagreement import disagreements
from theodolite.connectivity.simplex_training import Growing, Grown, grown, simplexes
from theodolite.connectivity.simplex_volumes import complex_log_volume, drawn, log_volume
from theodolite.errors import InvalidArgument, InvalidType, TheodoliteWarning
from theodolite.objective import Objective
from theodolite.objective.evaluation import Pass


def simplex(
    objective: Objective,
    thetas: Iterable[Any],
    *,
    vertices: int = 1,
    steps: int = 600,
    learning_rate: float | str = "auto",
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    volume_weight: float = 1e-3,
    longest: float = 3.0,
    samples: int = 64,
    test: Objective | None = None,
    seed: int = 0,
) -> xr.Dataset:
    r"""Simplexes with trained vertices in which the loss is low: a volume that joins minima.

    .. math:: \min_{v_j} \; E_{\theta \sim K}\, L(\theta)
        + \tfrac\lambda2 \lVert\theta\rVert^2 - \rho \log V(K), \qquad
        K = \bigcup_i S(w_i, v_1, \dots, v_j)

    for one new vertex after the other: each of the points :math:`w_i` given is the corner of a
    simplex whose other corners, the trained ones, are those of all (SPRO).

    Parameters
    ----------
    thetas
        One or more points (flat tensors or state dicts); they do not move. With one, the simplex
        lies around it.
    vertices
        How many vertices are trained. For two points one vertex gives a chain of two pieces, two
        a pair of triangles with a common side.
    steps, learning_rate, momentum, weight_decay
        Of SGD for each vertex, as for `curve`: a batch and a place a step, places drawn by
        Dirichlet(1), evenly, from each simplex in turn. The loss is the mean over places:
        more of them do not weigh more against the volume.
    volume_weight
        :math:`\rho`, in units of the loss for a nat of volume; 0 or more.
    longest
        A vertex runs away where it is farther from another than so many times the extent of those
        before it, or not finite; it is then left at its last place before, with a warning (E-A29).
    samples
        Places drawn evenly from all the volume at which the loss is measured, 2 or more.
    test
        A second objective of the same model, measured at the same places.

    Returns
    -------
    xarray.Dataset
        ``loss``, ``loss_error`` (and ``accuracy``, ``accuracy_error`` for class labels) with
        dimension ``sample``, and with ``test_``; ``largest_loss``, the largest seen in a
        sample or at a vertex; ``mean_loss`` over the volume with ``mean_loss_error`` (standard
        error over samples); ``vertex_loss(vertex)``; ``shares(sample, vertex)``,
        ``simplex(sample)``; ``log_volume`` (in nats, of the sum over the simplexes);
        ``distance(vertex, other)``; ``trained(new, parameter)``; ``training_loss(new, step)``.
        For class labels ``disagreement(sample)``, the share of examples answered otherwise than
        at the first point, and ``pair_disagreement`` of two samples with
        ``pair_disagreement_error`` (over examples).

    Raises
    ------
    InvalidArgument
        For settings out of range (E-A23, E-A20, E-A01), no point (E-A28), or points twice (E-A28).
    InvalidType
        For a single point that is no list (E-A28).
    UnsupportedModel
        For an objective shared by processes (E-A22).

    Notes
    -----
    Costs about 3 F of a batch for every step and vertex, a pass for every vertex and sample, and
    one more for the answers. Holds all vertices and about five vectors more. BatchNorm as for
    `curve`. Volumes are those of parameter space: scaling neurons changes them, and they compare
    only simplexes of as many vertices. Not checked: places not drawn. The largest of 64
    samples leaves unseen what fills less than about a twentieth of the volume.

    References
    ----------
    Benton, Maddox, Lotfi, Wilson (2021), arXiv:2102.13042.

    Examples
    --------
    >>> class Valley(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.zeros(3))
    ...     def forward(self, x):
    ...         return x * self.w[2]  # the loss is w_3^2: every triangle in the plane is flat
    >>> valley = Objective(Valley(), torch.nn.MSELoss(), (torch.ones(2, 1), torch.zeros(2, 1)))
    >>> found = simplex(valley, torch.eye(3)[:2], vertices=1, steps=200)
    >>> float(found.largest_loss) < 1e-3
    True
    """
    rates = rates_of(learning_rate)
    how = Growing(steps, rates[0], momentum, weight_decay, volume_weight, longest, seed)
    _check(objective, how)
    count(vertices, "vertices", least=1)
    count(samples, "samples", least=2)
    objectives = {p: recomputed(o) for p, o in pair_of(objective, test).items()}
    points = _points(objectives[""], thetas)
    made, tried = points, list[list[float]]()
    losses = np.full((vertices, steps), np.nan)
    for k in range(vertices):
        train = partial(_grown, objective, made, len(points), how)
        one, rate = first_that_stays(rates, train)
        made, rates = one.vertices, [r for r in rates if r <= rate[-1]]
        tried.append(rate)
        losses[k, : len(one.losses)] = one.losses
        _warn(one, k, steps)
    members = simplexes(len(points), vertices)
    logs = np.array([float(log_volume(made[one])) for one in members])
    generator = seeds.numpy_generator(seed, "simplex samples")
    even = logs if np.isfinite(logs).all() else np.zeros(len(logs))
    shares, chosen = drawn(generator, even, members, len(made), samples)
    found = _measured(objectives, made, shares)
    at = partial(_mix, made)
    for prefix, one_objective in objectives.items():
        found |= disagreements(prefix, one_objective, points[0], [at(row) for row in shares])
    whole = made.double()
    distances = torch.cdist(whole[None], whole[None], compute_mode="donot_use_mm_for_euclid_dist")
    found |= {
        "shares": (("sample", "vertex"), shares, {"long_name": "shares of the vertices"}),
        "simplex": (("sample",), chosen, {"long_name": "number of the simplex"}),
        "log_volume": (
            (),
            float(complex_log_volume(made, members)),
            {"long_name": "logarithm of the volume", "units": "nats"},
        ),
        "distance": (
            ("vertex", "other"),
            distances[0].cpu().numpy(),
            {"long_name": "distance of two vertices"},
        ),
        "trained": (
            ("new", "parameter"),
            made[len(points) :].cpu().numpy(),
            {"long_name": "trained vertices"},
        ),
        "training_loss": (("new", "step"), losses, {"long_name": "loss of the steps' batches"}),
    }
    return results.dataset(
        "simplex",
        found,
        {},
        **objectives[""].facts(),
        points=len(points),
        vertices=vertices,
        steps=steps,
        learning_rate=tried[-1][-1],
        rates_tried=[rate for one in tried for rate in one],
        momentum=float(momentum),
        weight_decay=float(weight_decay),
        volume_weight=float(volume_weight),
        longest=float(longest),
        samples=samples,
        seed=seed,
        passes=(samples + len(made)) * len(objectives),
        **({} if test is None else {"test_fingerprint": test.fingerprint}),
    )


def _check(objective: Objective, how: Growing) -> None:
    count(how.steps, "steps", least=1)
    for name, value, fits, allowed in (
        ("momentum", how.momentum, 0 <= how.momentum < 1, "at least 0 and below 1"),
        ("weight_decay", how.weight_decay, how.weight_decay >= 0, "0 or more"),
        ("volume_weight", how.volume_weight, how.volume_weight >= 0, "0 or more"),
        ("longest", how.longest, how.longest > 1, "above 1"),
    ):
        if not fits or not np.isfinite(value):
            raise InvalidArgument(f"{name} must be {allowed}; got {value!r}.", code="E-A23")
    refuse_shared(objective, "a simplex")


def _points(objective: Objective, thetas: Any) -> Tensor:
    """The points given, one below the other."""
    single = hasattr(thetas, "keys") or isinstance(thetas, str) or not hasattr(thetas, "__iter__")
    if single or getattr(thetas, "ndim", 2) < 2:
        raise InvalidType(
            f"thetas must be a list of points; got a single {type(thetas).__name__}.",
            fix="pass a list: thetas=[theta] for a simplex around one point.",
            code="E-A28",
        )
    ends = [end_of(objective, one, f"thetas[{k}]") for k, one in enumerate(thetas)]
    if not ends:
        raise InvalidArgument("thetas must be one or more points; got none.", code="E-A28")
    wide = ends[0].theta.dtype
    for end in ends[1:]:
        wide = torch.promote_types(wide, end.theta.dtype)
    made = torch.stack([end.theta.to(wide) for end in ends])
    for k in range(1, len(made)):
        if (made[:k] == made[k]).all(1).any():
            raise InvalidArgument(f"thetas[{k}] is one of the points before it.", code="E-A28")
    return made


def _grown(objective: Objective, vertices: Tensor, points: int, how: Growing, rate: float) -> Grown:
    return grown(objective, vertices, points, replace(how, learning_rate=rate))


def _warn(made: Grown, number: int, steps: int) -> None:
    if made.stopped:
        warnings.warn(
            TheodoliteWarning(
                f"vertex {number + 1} was left after {len(made.losses)} of {steps} steps "
                f"({made.stopped}) at its last place before. Use a smaller learning_rate or "
                "volume_weight, or a larger longest. [E-A29]"
            ),
            stacklevel=3,
        )


def _mix(vertices: Tensor, shares: np.ndarray) -> Tensor:
    return torch.from_numpy(shares).to(vertices) @ vertices


def _measured(
    objectives: dict[str, Objective], vertices: Tensor, shares: np.ndarray
) -> dict[str, results.Variable]:
    """The losses at the samples and the vertices, with their largest and mean."""
    made: dict[str, results.Variable] = {}
    for prefix, objective in objectives.items():
        split = "test " if prefix else ""
        there = [_pass(objective, _mix(vertices, row)) for row in shares]
        corners = np.array([_pass(objective, vertex).loss() for vertex in vertices])
        losses = np.array([one.loss() for one in there])
        told: dict[str, tuple[tuple[str, ...], Any, str]] = {
            "loss": (("sample",), losses, f"{split}loss"),
            "loss_error": (
                ("sample",),
                [one.loss_error() for one in there],
                f"standard error of the {split}loss",
            ),
            "vertex_loss": (("vertex",), corners, f"{split}loss at the vertices"),
            "largest_loss": ((), max(losses.max(), corners.max()), f"largest {split}loss seen"),
            "mean_loss": ((), losses.mean(), f"mean {split}loss over the volume"),
            "mean_loss_error": (
                (),
                losses.std(ddof=1) / np.sqrt(len(losses)),
                f"standard error of the mean {split}loss, over samples",
            ),
        }
        if there[0].hits is not None:
            told["accuracy"] = (("sample",), [p.accuracy() for p in there], f"{split}accuracy")
            error = f"standard error of the {split}accuracy"
            told["accuracy_error"] = (("sample",), [p.accuracy_error() for p in there], error)
        made |= {prefix + k: (d, np.asarray(v), {"long_name": w}) for k, (d, v, w) in told.items()}
    return made


def _pass(objective: Objective, theta: Tensor) -> Pass:
    return passed(objective, theta, End(theta, {}).statistics)
