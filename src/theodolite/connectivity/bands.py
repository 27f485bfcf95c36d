"""Elastic bands: chains of points between two ends that settle in the lowest pass between them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.connectivity.arguments import count, share
from theodolite.connectivity.band_checks import check_band, start_chain
from theodolite.connectivity.band_cycles import Cycling, Found, cycled
from theodolite.connectivity.band_results import band_history, band_peaks, band_shape
from theodolite.connectivity.chains import between_nodes
from theodolite.connectivity.ends import end_of, recomputed
from theodolite.connectivity.function_lengths import function_lengths
from theodolite.connectivity.heights import measured, saddle_losses
from theodolite.connectivity.linear import curves, facts, pair_of
from theodolite.connectivity.rates import rates_of
from theodolite.connectivity.relaxing import Relaxation
from theodolite.connectivity.segments import Advance, along, one_dtype
from theodolite.errors import TheodoliteWarning
from theodolite.objective import Objective


def elastic_band(
    objective: Objective,
    a: Any,
    b: Any,
    *,
    start: Any = None,
    pivots: int = 7,
    cycles: int = 4,
    steps: int = 200,
    descent: str = "sgd",
    learning_rate: float | str = "auto",
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    longest: float = 4.0,
    excess: float = 0.2,
    between: int = 3,
    climb: bool = False,
    tolerance: float = 1e-4,
    evaluation: str = "auto",
    test: Objective | None = None,
    refine: int = 8,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    progress: Advance | None = None,
) -> xr.Dataset:
    r"""The lowest pass between two points: a chain of pivots relaxed across its own direction.

    .. math:: \theta_i \leftarrow \theta_i - \eta \bigl(\nabla L(\theta_i)
        - \langle \nabla L(\theta_i), \tau_i\rangle\, \tau_i\bigr), \qquad
        \text{then } \theta_1 \dots \theta_K \text{ spaced evenly along the chain}

    with :math:`\tau_i` the unit tangent of the chain by Henkelman and Jonsson's rule. After each
    cycle of `steps` the loss is looked at between the pivots, and a pivot is put in where it rises
    above the straight line between two by more than `excess` of the range (AutoNEB).

    Parameters
    ----------
    a, b
        The ends, as for `barrier`; they do not move.
    start
        Where the chain begins: the result of `curve` or `elastic_band` between the same ends, or
        a tensor ``(point, params)`` of inner points. By default the straight line.
    pivots, cycles, steps
        Inner points at first, cycles at most, steps a cycle.
    descent
        ``"sgd"``: a batch of the objective a step, the same for all pivots, with `learning_rate`,
        `momentum` and `weight_decay`; the rate falls off in the second half of a cycle. ``"auto"``
        begins with 0.1 and makes a cycle again at a third where the band runs away, four times
        at most. ``"fire"``: all data a step and no random numbers, by FIRE, whose steps adapt;
        for small problems, and where a saddle is to be exact.
    longest
        The band runs away where it is longer than so many straight lines, or not finite.
    between
        Places looked at inside each piece.
    climb
        Only with ``"fire"``: at last pivots are put close around every peak of the band (by a
        hundredth of the range), and in one more cycle those on the peaks climb along the band
        while the others descend, up to saddles.
    tolerance
        FIRE ends where no pivot's projected gradient is above this share of the largest gradient
        on the first chain.
    evaluation
        ``"vmap"`` takes the gradients of pivots in one call, as many as memory holds, ``"loop"``
        one by one; ``"auto"`` times both and keeps the faster (``attrs["evaluation"]``).
    test, refine, level, resamples
        Of the measurement, as for `barrier`.
    progress
        Called as ``progress("cycle 1, step", done, of)`` while the band is relaxed, then as that
        of `barrier`.

    Returns
    -------
    xarray.Dataset
        With dimension ``t``, the share of the length, what `barrier` has with ``alpha``, at all
        pivots and between them, and its measures: ``saddle_excess`` is the height above the higher
        end. ``saddle_loss`` with ``_low`` and ``_high`` (and ``test_``): the largest loss;
        ``saddle_point(parameter)``, where; ``pivots(pivot, parameter)``, ``pivot_t``,
        ``ends(end, parameter)``, ``coefficients(t, point)``; ``arc(t)``, ``length``,
        ``length_ratio``, ``function_length`` and ``function_chord`` as for `curve`;
        ``mean_loss`` over the length; by ``cycle`` ``cycle_max_loss`` and ``cycle_pivots``; by
        ``step`` ``training_loss``, the largest of a pivot, and ``projected_gradient``. With
        `climb`, by ``peak``: ``peak_t``, ``peak_loss``, ``peak_gradient_norm`` and
        ``peak_point``. Attributes: ``stopped`` ("no barrier": no place is above both ends;
        "settled": two cycles did not lower the maximum by a hundredth of its height; "cycles";
        "diverged" or "too long"), ``gradients`` (of a batch at a pivot), ``passes``.

    Raises
    ------
    InvalidArgument
        For settings out of range (E-A23, E-A20, E-A01, E-A02), a start of another shape (E-A24),
        two ends that are one (E-A20); else as `barrier`.
    UnsupportedModel
        For an objective shared by processes (E-A22), or a model that vmap was asked for and
        cannot batch (E-A26).

    Notes
    -----
    Costs about 3 F of a batch (of all data with FIRE) a pivot and step, ``pivots + (pivots + 1)
    between`` passes a cycle, and for class labels a pass more for each place of the result. Holds
    about three times the pivots, and activations of those whose gradients go together. BatchNorm
    layers normalize by the batch in training and are measured with statistics recomputed at
    every place; statistics are never interpolated. The lowest band of all cycles is reported.
    A band that runs away at the last rate is left at its last points before, with a warning
    (E-A25). The saddle loss is an upper bound: not checked is that no lower pass exists, nor what
    lies between the places measured. Ends count with their loss over all data.

    References
    ----------
    Draxler, Veschgini, Salmhofer, Hamprecht (2018), arXiv:1803.00885. Henkelman, Jonsson (2000),
    J. Chem. Phys. 113, 9978 (tangents). Henkelman, Uberuaga, Jonsson (2000), J. Chem. Phys. 113,
    9901 (climbing). Bitzek, Koskinen, Gaehler, Moseler, Gumbsch (2006), PRL 97 (FIRE).

    Examples
    --------
    >>> class Ring(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.ones(2).double())
    ...     def forward(self, x):
    ...         return x * ((self.w**2).sum() - 1)
    >>> one = torch.ones(2, 1).double()
    >>> ring = Objective(Ring(), torch.nn.MSELoss(), (one, 0 * one))
    >>> ends = torch.eye(2).double()  # on the straight line between them the loss rises to 1/4
    >>> found = elastic_band(ring, *ends, descent="fire", pivots=15, cycles=1)
    >>> float(found.saddle_excess) < 0.001
    True
    """
    rates = rates_of(learning_rate) if descent == "sgd" else [1.0]
    how = Relaxation(
        descent, steps, rates[0], momentum, weight_decay, longest, tolerance, seed, progress
    )
    cycling = Cycling(cycles, between, excess, climb, evaluation)
    check_band(objective, how, cycling)
    for value, name, least in (
        (pivots, "pivots", 1),
        (refine, "refine", 0),
        (resamples, "resamples", 1),
    ):
        count(value, name, least=least)
    share(level, "level")
    objectives = {p: recomputed(o) for p, o in pair_of(objective, test).items()}
    ends = one_dtype(*(end_of(objectives[""], v, n) for v, n in ((a, "a"), (b, "b"))))
    chain = start_chain(ends[0].theta, ends[1].theta, start, pivots)
    found = cycled(objective, objectives[""], chain, how, cycling, rates)
    _warn(found, descent)
    places = between_nodes(found.dense.nodes, between).tolist()
    path = along(objectives, found.dense.at, steps=places, refine=refine, progress=progress)
    made = curves(path) | measured(path, level=level, resamples=resamples, seed=seed)
    made = {k: (tuple("t" for _ in d), v, notes) for k, (d, v, notes) in made.items()}
    made |= saddle_losses(path, level=level, resamples=resamples, seed=seed)
    made |= band_shape(path, found) | band_peaks(objective, found) | band_history(found)
    made |= function_lengths(objectives[""], path.alphas, found.dense.point)
    history = found.history
    told = {"long_name": "share of the length, from a to b"}
    return results.dataset(
        "elastic_band",
        made,
        {"t": ("t", path.alphas, told), "pivot": np.arange(1, len(found.dense.chain) - 1)},
        **facts(objectives[""], test, ends),
        start_pivots=pivots,
        cycles=cycles,
        steps=steps,
        descent=descent,
        **(_sgd_facts(how, history.rates) if descent == "sgd" else {}),
        weight_decay=float(weight_decay),
        longest=float(longest),
        excess=float(excess),
        between=between,
        climb=climb,
        tolerance=float(tolerance),
        evaluation=history.way,
        stopped=history.stopped,
        gradients=history.gradients,
        batches=objective.data.whole,
        passes=history.passes + len(path.alphas) * len(objectives),
        level=float(level),
        resamples=resamples,
        seed=seed,
    )


def _sgd_facts(how: Relaxation, rates: Sequence[float]) -> dict[str, Any]:
    return {
        "learning_rate": rates[-1],
        "rates_tried": list(rates),
        "momentum": float(how.momentum),
    }


def _warn(found: Found, descent: str) -> None:
    if found.history.stopped in ("diverged", "too long"):
        advice = "a smaller learning_rate, or " if descent == "sgd" else ""
        warnings.warn(
            TheodoliteWarning(
                f"the band was left in cycle {len(found.history.tops) + 1} "
                f"({found.history.stopped}); its last points before are kept. Use {advice}a larger "
                "longest. [E-A25]"
            ),
            stacklevel=3,
        )
