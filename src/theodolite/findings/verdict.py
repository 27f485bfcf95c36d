"""What a finding concludes, and the rules by which an interval becomes a conclusion."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import xarray as xr

from theodolite.errors import InvalidArgument, InvalidData
from theodolite.intervals.statistics import Estimate

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
INCONCLUSIVE = "inconclusive"
OUTCOMES = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE)


@dataclass(frozen=True)
class Verdict:
    """One of three outcomes, the effect it rests on, and what the same rule says of controls.

    ``interval`` holds the effect at ``level``, over ``seeds`` repetitions. The negative control
    is a case where the claim is false: unless the rule rejects it, the claim is never
    "reproduced". The positive control is a case where the claim is true: unless the rule accepts
    it, the claim is never "not reproduced". ``corrected`` judges the statement that holds in
    place of a claim that says too much.

    Raises `InvalidArgument` for another outcome, for an interval upside down, and for an outcome
    that a control forbids.
    """

    outcome: str
    effect: float
    interval: tuple[float, float]
    level: float
    seeds: int
    explanation: str
    negative_control: Verdict | None = None
    positive_control: Verdict | None = None
    corrected: Verdict | None = None

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise InvalidArgument(
                f"outcome must be one of {', '.join(OUTCOMES)}; got {self.outcome!r}.", code="E-F20"
            )
        if self.interval[0] > self.interval[1]:
            raise InvalidArgument(
                f"interval must run from low to high; got {self.interval}.", code="E-F21"
            )
        allowed = _allowed(self.outcome, self.negative_control, self.positive_control)
        if allowed != self.outcome:
            raise InvalidArgument(
                f"outcome {self.outcome!r} contradicts a control that did not come out as it must.",
                fix="combine a verdict with its controls by `controlled`.",
                code="E-F22",
            )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; an infinite or missing bound is None."""
        parts = ("negative_control", "positive_control", "corrected")
        plain = {
            "outcome": self.outcome,
            "effect": _plain(self.effect),
            "interval": [_plain(bound) for bound in self.interval],
            "level": self.level,
            "seeds": self.seeds,
            "explanation": self.explanation,
        }
        nested = {name: getattr(self, name) for name in parts}
        return plain | {k: v.as_dict() if v is not None else None for k, v in nested.items()}


def verdict_from(plain: Mapping[str, Any]) -> Verdict:
    """The inverse of `Verdict.as_dict`."""
    low, high = plain["interval"]
    nested = {
        name: verdict_from(plain[name]) if plain.get(name) else None
        for name in ("negative_control", "positive_control", "corrected")
    }
    return Verdict(
        outcome=plain["outcome"],
        effect=math.nan if plain["effect"] is None else plain["effect"],
        interval=(-math.inf if low is None else low, math.inf if high is None else high),
        level=plain["level"],
        seeds=plain["seeds"],
        explanation=plain["explanation"],
        **nested,
    )


def verdict_of(result: xr.Dataset) -> Verdict:
    """The verdict kept in a result of `run`; raises `InvalidData` where there is none."""
    if "verdict" not in result.attrs:
        raise InvalidData(
            "the result carries no verdict.", fix="pass a result of findings.run.", code="E-F23"
        )
    return verdict_from(json.loads(result.attrs["verdict"]))


def concluded(outcome: str, estimate: Estimate, *, seeds: int, explanation: str) -> Verdict:
    """A verdict without controls yet, from the estimate the outcome rests on."""
    interval = (estimate.low, estimate.high)
    return Verdict(outcome, estimate.value, interval, estimate.level, seeds, explanation)


def controlled(
    verdict: Verdict,
    *,
    negative: Verdict,
    positive: Verdict | None = None,
    corrected: Verdict | None = None,
) -> Verdict:
    """`verdict` with its controls; inconclusive, and saying so, where one of them went wrong."""
    outcome, why = _allowed(verdict.outcome, negative, positive), ""
    if outcome != verdict.outcome:
        which, found = ("negative", negative.outcome)
        if verdict.outcome == NOT_REPRODUCED and positive is not None:
            which, found = ("positive", positive.outcome)
        why = (
            f" Without its controls this would read {verdict.outcome!r}, but the {which} control "
            f"came out {found!r}, so the rule cannot tell true from false here."
        )
    return replace(
        verdict,
        outcome=outcome,
        explanation=verdict.explanation + why,
        negative_control=negative,
        positive_control=positive,
        corrected=corrected,
    )


def at_least(
    estimate: Estimate, *, minimum: float, null: float = 0.0, fails_below: float | None = None
) -> str:
    """Whether an effect is there: reproduced if its interval lies above `null` and its value
    reaches `minimum`; not reproduced if the interval lies below `fails_below` (by default
    `minimum`) or below `null`.

    >>> at_least(Estimate(3.0, 2.9, 3.1, 0.95, 5, ""), minimum=2.7, null=2.5)
    'reproduced'
    """
    floor = minimum if fails_below is None else fails_below
    if estimate.low > null and estimate.value >= minimum:
        return REPRODUCED
    return NOT_REPRODUCED if estimate.high < max(floor, null) else INCONCLUSIVE


def at_most(estimate: Estimate, *, maximum: float, fails_above: float | None = None) -> str:
    """Whether something is as small as claimed: reproduced if its interval ends by `maximum`;
    not reproduced if it begins above `fails_above` (by default `maximum`).

    >>> at_most(Estimate(1e-3, 5e-4, 2e-3, 0.95, 5, ""), maximum=1e-2)
    'reproduced'
    """
    if estimate.high <= maximum:
        return REPRODUCED
    ceiling = maximum if fails_above is None else fails_above
    return NOT_REPRODUCED if estimate.low > ceiling else INCONCLUSIVE


def within(estimate: Estimate, low: float, high: float) -> str:
    """Whether a number is the claimed one up to a margin: reproduced if its interval lies inside
    ``[low, high]``, not reproduced if outside.

    >>> within(Estimate(0.6, 0.59, 0.61, 0.95, 5, ""), 0.9, 1.1)
    'not reproduced'
    """
    if low <= estimate.low and estimate.high <= high:
        return REPRODUCED
    outside = estimate.high < low or estimate.low > high
    return NOT_REPRODUCED if outside else INCONCLUSIVE


def all_of(*outcomes: str) -> str:
    """The outcome of a claim in several parts: it holds if all do and fails if one does.

    >>> all_of("reproduced", "inconclusive"), all_of("not reproduced", "inconclusive")
    ('inconclusive', 'not reproduced')
    """
    if NOT_REPRODUCED in outcomes:
        return NOT_REPRODUCED
    return INCONCLUSIVE if INCONCLUSIVE in outcomes else REPRODUCED


def _allowed(outcome: str, negative: Verdict | None, positive: Verdict | None) -> str:
    """`outcome`, or inconclusive where a control shows that the rule cannot tell."""
    blind = negative is not None and negative.outcome != NOT_REPRODUCED
    deaf = positive is not None and positive.outcome != REPRODUCED
    if (outcome == REPRODUCED and blind) or (outcome == NOT_REPRODUCED and deaf):
        return INCONCLUSIVE
    return outcome


def _plain(number: float) -> float | None:
    return number if math.isfinite(number) else None
