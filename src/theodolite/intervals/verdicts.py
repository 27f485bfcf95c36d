"""How two minima are related: one verdict from the heights of the paths between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import xarray as xr

SAME, PERMUTED, JOINED, DISTINCT = (
    "same basin",
    "same up to permutation",
    "joined only by a curve",
    "distinct",
)
UNDECIDED = "undecided"

VERDICTS = (SAME, PERMUTED, JOINED, DISTINCT)
"""From the closest relation to none; a closer one is stated where it holds."""

SHARE = 0.02
"""The threshold by default, as a share of what training gained."""


@dataclass(frozen=True)
class Height:
    """A number with the ends of its interval, NaN where there is none; not finite: it diverged."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def below(self, threshold: float) -> bool | None:
        """Whether the whole interval lies at or below a threshold; None where it straddles it.

        >>> Height(1.0, 0.5, 1.5).below(2.0), Height(1.0, 0.5, 1.5).below(1.2)
        (True, None)
        >>> Height(math.nan).below(1.0)  # not finite on the way
        False
        """
        if not math.isfinite(self.value):
            return False
        low, high = (self.value if math.isnan(end) else end for end in (self.low, self.high))
        if max(high, self.value) <= threshold:
            return True
        return False if min(low, self.value) > threshold else None


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on; parts that were not measured are None.

    ``barrier`` and ``aligned`` are rises above the chord on the straight line, as the weights are
    and with the units of the second matched to those of the first; ``curve`` and
    ``aligned_curve`` are largest losses on a curve above the worse end. ``unaligned`` says why
    no units were matched where the model has none to match, ``unfinished`` why the training of a
    curve was stopped, which says nothing of curves that are there.
    """

    threshold: float
    barrier: Height
    aligned: Height | None = None
    unaligned: str = ""
    curve: Height | None = None
    aligned_curve: Height | None = None
    disagreement: Height | None = None
    normalized_disagreement: Height | None = None
    ensemble_gain: Height | None = None
    unfinished: str = ""


@dataclass(frozen=True)
class Verdict:
    """One of `VERDICTS`, or "undecided" with those the evidence leaves open, and why."""

    word: str
    candidates: tuple[str, ...]
    open: tuple[str, ...] = ()


def verdict(evidence: Evidence) -> Verdict:
    """The closest relation whose measure lies below the threshold with its whole interval.

    >>> apart = Height(0.5, 0.4, 0.6)
    >>> verdict(Evidence(0.1, Height(0.05, 0.04, 0.06))).word
    'same basin'
    >>> verdict(Evidence(0.1, apart, aligned=Height(0.02), curve=Height(0.0))).word
    'same up to permutation'
    >>> verdict(Evidence(0.1, apart, aligned=apart)).open
    ('no curve was trained',)
    """
    candidates: list[str] = []
    why: list[str] = []
    for word, holds, reason in _rungs(evidence):
        if holds is not False:
            candidates.append(word)
        if holds is None:
            why.append(reason)
        if holds:
            break
    else:
        candidates.append(DISTINCT)
    single = len(candidates) == 1
    return Verdict(candidates[0] if single else UNDECIDED, tuple(candidates), tuple(why))


def _rungs(evidence: Evidence) -> list[tuple[str, bool | None, str]]:
    """Every relation with whether it holds (None: open), and what is open about it."""
    level = evidence.threshold
    aligned: bool | None = None
    told = "the units of the two were not matched"
    if evidence.aligned is not None:
        aligned = evidence.aligned.below(level)
        told = "the interval of the barrier after matching contains the threshold"
    elif evidence.unaligned:
        aligned = False
    tried = [c.below(level) for c in (evidence.curve, evidence.aligned_curve) if c is not None]
    curved: bool | None = None
    if True in tried:
        curved = True
    elif tried and None not in tried and not evidence.unfinished:
        curved = False
    over = "the interval of the curve's largest loss contains the threshold"
    if evidence.unfinished:
        over = f"the training of a curve was stopped ({evidence.unfinished})"
    return [
        (
            SAME,
            evidence.barrier.below(level),
            "the interval of the barrier contains the threshold",
        ),
        (PERMUTED, aligned, told),
        (JOINED, curved, over if tried else "no curve was trained"),
    ]


def gathered(
    barrier: xr.Dataset,
    threshold: float,
    *,
    aligned: xr.Dataset | None = None,
    unaligned: str = "",
    curve: xr.Dataset | None = None,
    aligned_curve: xr.Dataset | None = None,
    functions: xr.Dataset | None = None,
) -> Evidence:
    """The evidence in results of `barrier`, `curve` and `function_distance`."""

    def part(found: xr.Dataset | None, name: str) -> Height | None:
        return None if found is None else height(found, name)

    return Evidence(
        threshold,
        height(barrier, "barrier"),
        aligned=part(aligned, "barrier"),
        unaligned=unaligned,
        curve=part(curve, "saddle_excess"),
        aligned_curve=part(aligned_curve, "saddle_excess"),
        disagreement=part(functions, "disagreement"),
        normalized_disagreement=part(functions, "normalized_disagreement"),
        ensemble_gain=part(functions, "ensemble_gain"),
        unfinished=_stopped(curve) or _stopped(aligned_curve),
    )


def _stopped(curve: xr.Dataset | None) -> str:
    return "" if curve is None else str(curve.attrs.get("stopped", ""))


def height(found: xr.Dataset, name: str) -> Height:
    """A number of a result with its interval."""
    value, low, high = (float(found[name + end]) for end in ("", "_low", "_high"))
    return Height(value, low, high)


def threshold_of(
    losses: Sequence[float], idle: float, given: float | None = None
) -> tuple[float, str]:
    r"""The height below which a barrier counts as none, and where it comes from.

    .. math:: 0.02\,\bigl(L(0) - \max(L(\theta_a), L(\theta_b))\bigr)

    `losses` are those of the ends, `idle` that of the network with all parameters zero, which
    answers every input alike. Where it does not exist, or training gained nothing on it, a share
    of the worse end's own loss. `given` stands as it is.

    >>> round(threshold_of([0.1, 0.3], 2.3)[0], 6)
    0.04
    """
    if given is not None:
        return float(given), "given"
    worse = max(losses)
    gained = idle - worse
    if math.isfinite(gained) and gained > 0:
        return SHARE * gained, (
            f"{100 * SHARE:g} % of what training gained on a network that answers every input "
            f"alike (loss {idle:.3g})"
        )
    return SHARE * abs(worse), f"{100 * SHARE:g} % of the loss at the worse end"


def sentence(evidence: Evidence, first: str, second: str, examples: str = "") -> str:
    """The verdict in words with the numbers it rests on.

    `examples` says what the disagreement was measured on, as in "test examples".
    """
    return f"{claim(evidence, first, second)} {grounds(evidence, examples)}"


def claim(evidence: Evidence, first: str, second: str) -> str:
    """The verdict in one sentence.

    >>> claim(Evidence(0.1, Height(0.05)), "a", "b")
    'a and b are in the same basin.'
    """
    found = verdict(evidence)
    if found.word == UNDECIDED:
        return (
            f"It is undecided whether {first} and {second} are "
            f"{' or '.join(map(_as_said, found.candidates))}: {'; '.join(found.open)}."
        )
    tried = ": nothing that was tried joins them" if found.word == DISTINCT else ""
    return f"{first} and {second} are {_as_said(found.word)}{tried}."


def grounds(evidence: Evidence, examples: str = "") -> str:
    """The numbers a verdict rests on, in sentences."""
    return " ".join(filter(None, [*_heights(evidence), _functions(evidence, examples)]))


def _as_said(word: str) -> str:
    told = {SAME: "in the same basin", PERMUTED: "the same up to permutation"}
    return told.get(word, word)


def _heights(evidence: Evidence) -> list[str]:
    made = [
        f"On the straight line the loss rises by {shown(evidence.barrier)} above the chord; up to "
        f"{evidence.threshold:.3g} counts as none."
    ]
    if evidence.aligned is not None:
        made.append(f"With their units matched the rise is {shown(evidence.aligned)}.")
    elif evidence.unaligned:
        made.append("Units could not be matched.")
    for curve, which in (
        (evidence.curve, "the trained curve"),
        (evidence.aligned_curve, "the curve between matched units"),
    ):
        if curve is not None and curve.value <= 0:
            made.append(f"On {which} it is nowhere above the worse end.")
        elif curve is not None:
            made.append(f"On {which} it is at most {shown(curve)} above the worse end.")
    return made


def _functions(evidence: Evidence, examples: str) -> str:
    apart, share, gain = (
        evidence.disagreement,
        evidence.normalized_disagreement,
        evidence.ensemble_gain,
    )
    if apart is None or share is None or gain is None:
        return ""
    said = f"They disagree on {percent(apart)} of the {examples or 'examples'}"
    if math.isfinite(share.value):
        said += f", {share.value:.2g} times their share of errors"
    return f"{said}; averaging their answers gains {points(gain)}."


def shown(height: Height) -> str:
    """A height with its interval.

    >>> shown(Height(0.123456, 0.1, 0.2)), shown(Height(math.inf))
    ('0.123 (0.1 to 0.2)', 'more than any number')
    """
    if not math.isfinite(height.value):
        return "more than any number"
    told = f"{height.value:.3g}"
    if not math.isfinite(height.low) or height.low == height.high:
        return told
    return f"{told} ({height.low:.3g} to {height.high:.3g})"


def percent(height: Height) -> str:
    """A share in percent."""
    return f"{100 * height.value:.3g} %"


def points(height: Height) -> str:
    """A difference of shares in percentage points, with its interval."""
    value, low, high = (100 * v for v in (height.value, height.low, height.high))
    told = f" ({low:.2g} to {high:.2g})" if math.isfinite(low) else ""
    return f"{value:.2g}{told} percentage points"
