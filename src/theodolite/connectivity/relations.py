"""How two minima are related: one verdict, and the paths and answers it rests on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import xarray as xr

from theodolite import results
from theodolite.connectivity.curves import curve
from theodolite.connectivity.ends import end_of, passed, recomputed
from theodolite.connectivity.families import KINDS
from theodolite.connectivity.functions import function_distance
from theodolite.connectivity.linear import barrier
from theodolite.connectivity.matched import NONE, check_alignment, usable_units
from theodolite.connectivity.matches import moved_to, unit_matching
from theodolite.connectivity.segments import Advance
from theodolite.errors import InvalidArgument
from theodolite.intervals.verdicts import (
    DISTINCT,
    SAME,
    Height,
    gathered,
    sentence,
    threshold_of,
    verdict,
)
from theodolite.objective import Objective

CURVES = (*KINDS, NONE)

TOLD = {
    "barrier": "largest rise of the loss above the chord on the straight line",
    "aligned_barrier": "the same with units matched",
    "curve_excess": "largest loss on the curve minus that of the worse end",
    "aligned_curve_excess": "the same between matched units",
    "disagreement": "share of examples that get different answers",
    "normalized_disagreement": "disagreement over the mean share of wrong answers",
    "ensemble_gain": "accuracy of the mean probabilities minus the mean accuracy",
}
"""What a relation holds, each with ``_low`` and ``_high``."""

FIELDS = {
    "aligned_barrier": "aligned",
    "curve_excess": "curve",
    "aligned_curve_excess": "aligned_curve",
}
"""Where evidence has another name for it."""


def relation(
    objective: Objective,
    a: Any,
    b: Any,
    *,
    test: Objective | None = None,
    align: str = "weights",
    kind: str = "bezier",
    curve_steps: int = 600,
    learning_rate: float | str = "auto",
    threshold: float | None = None,
    steps: int = 25,
    refine: int = 8,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    progress: Advance | None = None,
) -> xr.Dataset:
    r"""How two points of parameter space are related, in one of four verdicts, with its evidence.

    .. math:: \text{same basin: } B \le \tau, \quad \text{same up to permutation: } B_\pi \le \tau,
        \quad \text{joined only by a curve: } \max_t L(\theta(t)) - \max(L_a, L_b) \le \tau

    with :math:`B` the barrier on the straight line, :math:`B_\pi` that to :math:`b` with its units
    matched to those of :math:`a`; else "distinct". The first that holds is the verdict. A measure
    holds (or fails) if its whole interval does; where an interval contains :math:`\tau`, or what
    would decide was not measured, the verdict is "undecided" between those left.

    Parameters
    ----------
    a, b
        Flat tensors or state dicts, as for `barrier`.
    test
        A second objective, on whose data answers are compared (else on the first's).
    align
        How units are matched: a method of `match`, or "none".
    kind, curve_steps, learning_rate
        Of the curves, as for `curve`; ``kind="none"`` trains none.
    threshold
        :math:`\tau`, in units of the loss. By default two percent of what training gained,
        :math:`0.02\,(L(0) - \max(L_a, L_b))`, where :math:`L(0)` is the loss of the network with
        all parameters zero, which answers every input alike: with ten classes about 0.046.
        Frankle et al. call runs stable below two percentage points of error, which is the same
        share of what can be lost, and a loss has no unit of its own.
    steps, refine, level, resamples, seed, progress
        As for `barrier`.

    Returns
    -------
    xarray.Dataset
        Each with ``_low`` and ``_high``: ``barrier``, ``aligned_barrier``, ``curve_excess``,
        ``aligned_curve_excess``, and for class labels ``disagreement``,
        ``normalized_disagreement``, ``ensemble_gain``; ``threshold``, ``distance``,
        ``aligned_distance``. NaN was not measured: what comes after the measure that decides is
        not. A height that is not finite is infinity. Attributes: ``verdict``, ``candidates``
        (more than one where it is undecided), ``open`` (what is), ``sentence``,
        ``threshold_from``, ``not_aligned`` (why no units were matched), ``frozen``.

    Raises
    ------
    InvalidArgument
        For another `align` (E-A14), `kind` or threshold (E-A16), a permutation that changes the
        loss (E-A15); else as `barrier`, `curve` and `function_distance`.

    Notes
    -----
    Costs the passes of `barrier` and one, those of `function_distance`, and where they are
    needed a trace, a matching and a second `barrier`, and up to two curves. BatchNorm statistics
    are recomputed at every place. A matching is a local optimum and a curve what one training
    found: "distinct" says that nothing tried joins the two, not that nothing could. Two points in
    one basin can be different functions: read the disagreement. Not checked: other pairs; the
    intervals are over examples.

    References
    ----------
    Frankle, Dziugaite, Roy, Carbin (2020), arXiv:1912.05671. Entezari, Sedghi, Saukh, Neyshabur
    (2022), arXiv:2110.06296. Ainsworth, Hayase, Srinivasa (2023), arXiv:2209.04836. Garipov,
    Izmailov, Podoprikhin, Vetrov, Wilson (2018), arXiv:1802.10026.

    Examples
    --------
    >>> x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    >>> objective = Objective(net, torch.nn.MSELoss(), (x, net(x).detach()))
    >>> units = td.symmetries(net, x)
    >>> mine = net.state_dict()
    >>> found = relation(objective, mine, units.apply(mine, units.random()))
    >>> found.attrs["verdict"], float(found.aligned_distance)
    ('same up to permutation', 0.0)
    """
    check_alignment(align)
    _check(kind, threshold)
    own, held_out = recomputed(objective), None if test is None else recomputed(test)
    how: dict[str, Any] = {"refine": refine, "level": level, "resamples": resamples, "seed": seed}
    both: dict[str, Any] = {"test": held_out, "progress": progress, **how}
    bend: dict[str, Any] = {"kind": kind, "steps": curve_steps, "places": steps, **both}

    def line(end: Any) -> xr.Dataset:
        return barrier(own, a, end, steps=steps, **both)

    def bent(end: Any) -> xr.Dataset:
        return curve(own, a, end, learning_rate=learning_rate, **bend)

    parts: dict[str, Any] = {"barrier": line(b)}
    tau, origin = threshold_of(end_losses(parts["barrier"]), idle_loss(own), threshold)
    if own.start_pass.hits is not None:
        rest = {k: how[k] for k in ("level", "resamples", "seed")}
        parts["functions"] = function_distance(held_out or own, a, b, **rest)
    match = partial(_matched, own, a, b, align, seed) if align != NONE else None
    matching = _complete(parts, tau, Ways(own, a, b, line, bent if kind != NONE else None, match))
    settings = {"align": align, "curve_steps": curve_steps, "kind": kind, "steps": steps, **how}
    settings |= {"learning_rate": learning_rate, "threshold_from": origin}
    examples = "examples" if test is None else "test examples"
    return _told(own, parts, tau, matching, {"examples_of": examples, **settings})


@dataclass(frozen=True, eq=False)
class Ways:
    """The ends, and how to go from the first to another: straight, on a curve, matched first."""

    objective: Objective
    a: Any
    b: Any
    line: Callable[[Any], xr.Dataset]
    bent: Callable[[Any], xr.Dataset] | None
    match: Callable[[], tuple[xr.Dataset, Any]] | None


def _complete(parts: dict[str, Any], tau: float, ways: Ways) -> xr.Dataset | None:
    """Measure what is still needed for a verdict, the cheapest first; returns the matching."""
    matching, point = None, None
    if ways.match is not None and _open(parts, tau) != (SAME,):
        matching, point = ways.match()
        if point is None:
            parts["unaligned"] = str(matching.attrs["not_measured"])
        else:
            parts["aligned"] = ways.line(point)
    for name, end in (("curve", ways.b), ("aligned_curve", point)):
        needed = ways.bent is not None and end is not None and DISTINCT in _open(parts, tau)
        if needed and ways.bent is not None and apart(ways.objective, ways.a, end):
            parts[name] = ways.bent(end)
    return matching


def _open(parts: dict[str, Any], tau: float) -> tuple[str, ...]:
    return verdict(gathered(threshold=tau, **parts)).candidates


def _matched(objective: Objective, a: Any, b: Any, align: str, seed: int) -> tuple[xr.Dataset, Any]:
    """The matching, and `b` with its units moved; None where there are none."""
    units = usable_units(objective)
    found = unit_matching(objective, units, a, b, method=align, seed=seed)
    return found, None if units.symmetries is None else moved_to(objective, units, found, b)


def apart(objective: Objective, a: Any, b: Any) -> bool:
    """Whether two ends are two points."""
    first, second = (end_of(objective, v, n).theta for v, n in ((a, "a"), (b, "b")))
    return not torch.equal(first, second)


def end_losses(found: xr.Dataset) -> list[float]:
    """The losses at both ends of a line."""
    return [float(found["loss"][k]) for k in (0, -1)]


def idle_loss(objective: Objective) -> float:
    """The loss with all parameters zero; infinite or NaN where it does not exist. One pass."""
    theta = torch.zeros_like(objective.start)
    return passed(objective, theta, {}).loss()


def _check(kind: Any, threshold: Any) -> None:
    if kind not in CURVES:
        raise InvalidArgument(
            f"kind must be one of {', '.join(CURVES)}; got {kind!r}.", code="E-A16"
        )
    number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    if threshold is not None and not (number and 0 < threshold < math.inf):
        raise InvalidArgument(
            f"threshold must be a positive number, in units of the loss; got {threshold!r}.",
            fix="leave it out for two percent of what training gained.",
            code="E-A16",
        )


def _told(
    objective: Objective,
    parts: dict[str, Any],
    tau: float,
    matching: xr.Dataset | None,
    settings: dict[str, Any],
) -> xr.Dataset:
    """The verdict with its evidence as a result."""
    evidence = gathered(threshold=tau, **parts)
    found = verdict(evidence)
    variables: dict[str, results.Variable] = {}
    for name, words in TOLD.items():
        for end, which in (("", ""), ("_low", "lower end of the "), ("_high", "upper end of the ")):
            number = _number(getattr(evidence, FIELDS.get(name, name)), end)
            variables[name + end] = ((), number, {"long_name": which + words})
    after = math.nan if matching is None else matching.get("distance", math.nan)
    told = (
        ("threshold", tau, "height up to which a rise counts as none"),
        ("distance", parts["barrier"].attrs["distance"], "distance of the points"),
        ("aligned_distance", float(after), "distance with units matched"),
    )
    variables |= {name: ((), value, {"long_name": words}) for name, value, words in told}
    frozen = [] if matching is None else matching.attrs.get("frozen", [])
    return results.dataset(
        "relation",
        variables,
        **objective.facts(),
        verdict=found.word,
        candidates=list(found.candidates),
        open=list(found.open),
        sentence=sentence(evidence, "a", "b", settings["examples_of"]),
        not_aligned=evidence.unaligned,
        frozen=frozen,
        **settings,
    )


def _number(height: Height | None, end: str) -> float:
    """A number of a height; what is not finite is infinity, what was not measured NaN."""
    if height is None:
        return math.nan
    if end:
        return height.low if end == "_low" else height.high
    return height.value if math.isfinite(height.value) else math.inf
