"""A published claim as a value: what it says, how it is measured, when it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr

from theodolite.errors import InvalidArgument
from theodolite.findings.verdict import NOT_REPRODUCED, OUTCOMES, REPRODUCED, Verdict
from theodolite.intervals.statistics import Estimate

PRESETS = ("quick", "standard", "thorough")
"""How much work: seconds, up to a minute, several minutes."""


@dataclass(frozen=True)
class Finding:
    """A claim, its experiment, and the rule that judges it, all fixed before the run.

    ``measure(settings, seed)`` is one repetition: a pure function of its arguments that returns
    a result without a verdict. The repetitions are joined along ``seed``, and ``judge`` sees
    nothing but the joined samples. ``settings`` holds one frozen dataclass a preset, with the
    number of repetitions in ``seeds``. ``effect`` says in words what the number in the verdict
    is, and ``estimates`` reads what else the samples say, by label. ``expected`` is the outcome
    that ``reference`` and counterexamples lead one to expect; it plays no part in the judgment.
    ``disagreement`` is written after a run that came out otherwise, and says why it may have: the
    rule and ``expected`` stay as they were.

    Raises `InvalidArgument` for missing presets or a field left empty.
    """

    name: str
    claim: str
    reference: str
    protocol: str
    threshold: str
    negative_control: str
    limits: str
    effect: str
    settings: Mapping[str, Any]
    measure: Callable[[Any, int], xr.Dataset]
    judge: Callable[[xr.Dataset], Verdict]
    estimates: Callable[[xr.Dataset], Mapping[str, Estimate]]
    expected: str = REPRODUCED
    positive_control: str = ""
    corrected: str = ""
    corrected_effect: str = ""
    disagreement: str = ""

    def __post_init__(self) -> None:
        if set(self.settings) != set(PRESETS):
            raise InvalidArgument(
                f"settings must have the presets {', '.join(PRESETS)}; "
                f"got {', '.join(self.settings) or 'none'}.",
                where=f"finding {self.name!r}",
                code="E-F01",
            )
        words = ("name", "claim", "reference", "protocol", "threshold", "negative_control")
        empty = [w for w in (*words, "limits", "effect") if not getattr(self, w).strip()]
        if empty or self.expected not in OUTCOMES:
            raise InvalidArgument(
                f"a finding must state its {', '.join(empty) or 'expected outcome'}.",
                where=f"finding {self.name!r}",
                code="E-F02",
            )
        if self.expected == NOT_REPRODUCED and not self.corrected.strip():
            raise InvalidArgument(
                "a claim expected to fail must come with the statement that holds instead.",
                where=f"finding {self.name!r}",
                code="E-F03",
            )

    def preset(self, preset: str) -> Any:
        """The settings called `preset`; raises `InvalidArgument` for another name."""
        if preset not in self.settings:
            raise InvalidArgument(
                f"preset must be one of {', '.join(PRESETS)}; got {preset!r}.", code="E-F04"
            )
        return self.settings[preset]
