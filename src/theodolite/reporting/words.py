"""What one survey says, in three to six computed sentences, the most telling first."""

from __future__ import annotations

from collections.abc import Sequence

from theodolite.reporting import quantities as q
from theodolite.reporting.connection_words import averaged_sentence, related_sentences
from theodolite.reporting.contents import Contents
from theodolite.reporting.convexity import bowl_warning, nonconvexity
from theodolite.reporting.noise_advice import advice_sentence
from theodolite.reporting.numbers import Number
from theodolite.reporting.rescaling import rescaling_sentence
from theodolite.reporting.sentences import Cited, Named, Sentence, percent_of, unit_of
from theodolite.reporting.variants import compared

MOST = 6


def words_about(contents: Contents) -> tuple[Sentence, ...]:
    """At most six sentences: first that a survey is not certified, last that the loss has kinks."""
    found = [
        uncertified(contents),
        *related_sentences(contents),
        averaged_sentence(contents),
        _rise(contents),
        bowl_warning(contents),
        _curvature(contents),
        nonconvexity(contents),
        rescaling_sentence(contents),
        advice_sentence(contents),
        compared(contents),
        _gap(contents),
        _trace(contents),
        _bends(contents),
        _diverged(contents),
    ]
    return fitted([s for s in found if s is not None], kinked([contents]))


def fitted(sentences: Sequence[Sentence], last: Sentence | None) -> tuple[Sentence, ...]:
    """As many sentences as there is room for; ``last`` is always among them."""
    if last is None:
        return tuple(sentences[:MOST])
    return (*sentences[: MOST - 1], last)


def uncertified(contents: Contents, name: str = "This survey") -> Sentence | None:
    """The warning that comes before everything else when derivatives were not certified."""
    if contents.certificate is None:
        return None
    verdict = _verdict(contents)
    if verdict in ("certified", "non-smooth"):
        return None
    reason = str(contents.certificate.attrs.get("reason", "")) or "no reason was recorded"
    return (f"{name} is not certified ({verdict}): {reason}. Its curvature may be wrong.",)


def kinked(surveys: Sequence[Contents]) -> Sentence | None:
    """What curvature means where the loss has kinks, said once for every survey it is true of."""
    where = [k for k, c in enumerate(surveys) if _verdict(c) == "non-smooth"]
    if not where:
        return None
    names: list[str | Named] = []
    for k in where:
        names += [", " if k != where[-1] else " and "] if names else []
        names.append(Named(surveys[k].label, k))
    here: Sentence = (" here",) if len(surveys) == 1 else (" for ", *names)
    return (
        "The loss has kinks within a small step",
        *here,
        ": gradients and curvatures are right, and those of the smooth piece the weights lie on.",
    )


def _verdict(contents: Contents) -> str:
    made = contents.certificate
    return "" if made is None else str(made.attrs.get("verdict", ""))


def directions(count: int) -> str:
    """``1 direction`` or ``7 directions``."""
    return f"{count} direction{'' if count == 1 else 's'}"


def left_out(counts: Sequence[int]) -> str:
    """A clause about directions whose loss is not finite, empty when there is none."""
    total = sum(counts)
    return f" ({total} more left the finite range)" if total else ""


def _rise(contents: Contents) -> Sentence | None:
    distance = q.word_distance(contents)
    found = None if distance is None else q.rise(contents, distance)
    start = q.start_value(contents)
    if found is None or start is None:
        return None
    unit = unit_of(str(contents.note("normalize", "none")))
    return (
        f"Within {percent_of(found.distance)} {unit} the loss rises by ",
        Cited("rise", found.number),
        " from ",
        Cited("start_loss", start),
        f", on average over {directions(found.directions)}{left_out([found.left_out])}.",
    )


def _curvature(contents: Contents) -> Sentence | None:
    top, share = q.largest_eigenvalue(contents), q.negative_weight(contents)
    if share is None:
        return None if top is None else ("The largest curvature is ", Cited("largest", top), ".")
    size = int(contents.spectrum.attrs.get("size", 0)) if contents.spectrum is not None else 0
    count = Number(
        share.value / 100 * size, None if share.error is None else share.error / 100 * size
    )
    head: Sentence = (
        ("The largest curvature is ", Cited("largest", top), "; ") if top is not None else ()
    )
    tail: Sentence = (
        (", or ", Cited("negative_count", count), f" of {size:,} directions.") if size else (".",)
    )
    return (*head, Cited("negative_weight", share), " of the spectrum lies below zero", *tail)


def _gap(contents: Contents) -> Sentence | None:
    train, test = q.start_value(contents), q.start_value(contents, "test_loss")
    if train is None or test is None:
        return None
    return (
        "On test data the loss is ",
        Cited("test_loss", test),
        "; its difference from the training loss is ",
        Cited("gap", q.difference(train, test)),
        ".",
    )


def _trace(contents: Contents) -> Sentence | None:
    trace = q.trace_value(contents)
    size = int(contents.trace.attrs.get("size", 0)) if contents.trace is not None else 0
    if trace is None:
        return None
    if not size:
        return ("The curvatures sum to ", Cited("trace", trace), ".")
    mean = Number(trace.value / size, None if trace.error is None else trace.error / size)
    return (
        "The curvatures sum to ",
        Cited("trace", trace),
        ", a mean of ",
        Cited("mean_curvature", mean),
        f" over {size:,} directions.",
    )


def _bends(contents: Contents) -> Sentence | None:
    share = q.bend_share(contents)
    if share is None:
        return None
    return (
        "Along its axes the surface curves downward in ",
        Cited("bend_share", share),
        " of places; a convex surface nowhere does.",
    )


def _diverged(contents: Contents) -> Sentence | None:
    bad, tried = q.diverged(contents)
    if not bad:
        return None
    return (
        "The loss diverged at ",
        Cited("diverged", Number(bad, exact=True)),
        f" of {tried:,} points of the planes.",
    )
