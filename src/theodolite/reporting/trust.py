"""How far a survey may be trusted: one strip of short facts, the verdict first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from theodolite.plots import plain
from theodolite.reporting import quantities as q
from theodolite.reporting.contents import Contents
from theodolite.reporting.headline import json_attr
from theodolite.reporting.precision import known_to, more_would_give

SIGNS = {"certified": "good", "non-smooth": "warn", "uncertified": "bad"}


@dataclass(frozen=True)
class Fact:
    """One fact: ``sign`` is "good", "warn", "bad" or "" (neither); ``why`` explains it."""

    text: str
    why: str
    sign: str = ""


def facts_about(contents: Contents) -> tuple[Fact, ...]:
    """The facts of one survey, in the order they are shown."""
    found = [
        _verdict(contents),
        _failures(contents),
        _mode(contents),
        _batch_norm(contents),
        _examples(contents),
        _precision(contents),
        _more(contents),
        _planes(contents),
        _gaps(contents),
        _seed(contents),
        _arithmetic(contents),
    ]
    return tuple(f for f in found if f is not None)


def shared_facts(surveys: Sequence[Contents]) -> tuple[Fact, ...]:
    """Facts of several surveys: once where all agree, else one a model under its label."""
    each = [facts_about(c) for c in surveys]
    if len(surveys) == 1:
        return each[0]
    out: list[Fact] = []
    for fact in (f for facts in each for f in facts):
        everywhere = all(fact in facts for facts in each)
        if everywhere and fact not in out:
            out.append(fact)
    for contents, facts in zip(surveys, each, strict=True):
        own = [f for f in facts if f not in out]
        out += [Fact(f"{contents.label}: {f.text}", f.why, f.sign) for f in own]
    return tuple(out)


def _verdict(contents: Contents) -> Fact | None:
    if contents.certificate is None:
        return Fact("not certified", "no certificate was asked for", "warn")
    verdict = str(contents.certificate.attrs.get("verdict", "uncertified"))
    passed = int(contents.certificate["passed"].values.sum())
    total = contents.certificate.sizes["check"]
    reason = str(contents.certificate.attrs.get("reason", ""))
    why = f"{passed} of {total} checks of the derivatives held" + (f": {reason}" if reason else "")
    return Fact(verdict, why, SIGNS.get(verdict, "bad"))


def _failures(contents: Contents) -> Fact | None:
    """Measurements that were tried and failed: what is missing from the page, and why."""
    lost = json_attr(contents.attrs, "failures", dict)
    if not lost:
        return None
    reasons = "; ".join(f"{name}: {next(iter(why.values()))}" for name, why in lost.items() if why)
    return Fact(f"failed: {', '.join(lost)}", reasons, "bad")


def _mode(contents: Contents) -> Fact | None:
    mode = contents.note("mode")
    return Fact(f"{mode} mode", "how the model was evaluated") if mode else None


def _batch_norm(contents: Contents) -> Fact | None:
    policy = contents.note("batch_norm")
    if not policy or policy == "none":
        return None
    why = {
        "frozen": "normalization used the stored statistics at every point",
        "recompute": "statistics were computed anew at every point from all the data",
    }
    if contents.recomputed and policy == "frozen":
        both = "planes were measured under both policies; everything else with the stored ones"
        return Fact("BatchNorm frozen, planes also recomputed", both)
    return Fact(f"BatchNorm {policy}", why.get(str(policy), "the policy for normalization layers"))


def _examples(contents: Contents) -> Fact | None:
    used, there = contents.note("examples"), contents.note("examples_available")
    if not used:
        return None
    if there and int(there) > int(used):
        return Fact(f"{int(used):,} of {int(there):,} examples", "a fixed subset of the data")
    return Fact(f"{int(used):,} examples", "the same examples at every point")


def _precision(contents: Contents) -> Fact | None:
    start, population = q.start_value(contents), contents.note("population")
    if start is None or start.error is None or start.value == 0:
        return None
    why = "standard error of the loss over examples, relative to the loss"
    if population:
        sample = contents.note("sampling", "random")
        why += f"; about its mean over all {int(population):,} examples ({sample} sample)"
    return Fact(known_to(start.value, start.error), why)


def _more(contents: Contents) -> Fact | None:
    """What a smaller error would cost."""
    start, used = q.start_value(contents), contents.note("examples")
    if start is None or not start.error or start.value == 0 or not used:
        return None
    population = contents.note("population")
    whole = int(population) if population else None
    text = more_would_give(start.value, start.error, int(used), whole)
    return Fact(text, "from the variance of the losses over the examples used") if text else None


def _planes(contents: Contents) -> Fact | None:
    count = len(contents.planes)
    if not count:
        return None
    size = " \N{MULTIPLICATION SIGN} ".join(
        str(contents.planes[0].sizes[d]) for d in ("alpha", "beta")
    )
    dense = contents.planes[0].attrs.get("method", "dense") == "dense"
    held_out = contents.planes[0].attrs.get("held_out_error")
    how = "every point computed" if dense else "points between interpolated"
    if held_out is not None:
        how = f"held-out error {_short(100 * float(held_out))} %"
    return Fact(f"{count} plane{'s' if count > 1 else ''} of {size}", how)


def _gaps(contents: Contents) -> Fact | None:
    bad, tried = q.diverged(contents)
    if not bad:
        return None
    return Fact(f"{bad:,} of {tried:,} points diverged", "hatched in the pictures", "warn")


def _seed(contents: Contents) -> Fact | None:
    seed = contents.note("seed")
    return None if seed is None else Fact(f"seed {seed}", "the same seed gives the same numbers")


def _arithmetic(contents: Contents) -> Fact | None:
    dtype, device = contents.note("dtype"), contents.note("device")
    if not dtype:
        return None
    short = str(dtype).removeprefix("torch.")
    return Fact(f"{short} on {device}" if device else short, "losses are summed in float64")


def _short(value: float) -> str:
    """Two significant digits."""
    return plain(float(f"{value:.2g}"))
