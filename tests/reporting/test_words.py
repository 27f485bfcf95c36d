"""Sentences. Oracle: the surveys' own numbers, and differences made separable or not by hand."""

from __future__ import annotations

import json
import re

import pytest
import xarray as xr
from tests.reporting import fixtures

from theodolite.reporting.comparison import words_between
from theodolite.reporting.contents import Contents, read_trees
from theodolite.reporting.sentences import Cited, plain_text
from theodolite.reporting.words import words_about

ADJECTIVES = re.compile(r"\b(flat|sharp|good|bad|smooth|rough|high|low|large|small|wide)\b", re.I)


def with_headline(**values: tuple[float, float]) -> Contents:
    """A small survey that says only these headline numbers."""
    rows = [
        {"name": name, "label": name, "value": value, "error": error}
        for name, (value, error) in values.items()
    ]
    (found,) = read_trees(fixtures.survey("bowl", steps=(21, 21), headline=json.dumps(rows)))
    return found


@pytest.mark.parametrize("kind", ["bowl", "chaos"])
def test_a_survey_says_three_to_six_things(kind: str) -> None:
    (found,) = read_trees(fixtures.survey(kind))
    words = words_about(found)
    assert 3 <= len(words) <= 6
    for sentence in words:
        assert any(isinstance(f, Cited) for f in sentence)
        assert plain_text(sentence).endswith(".")


def test_no_adjective_stands_without_a_comparison(both: tuple[Contents, ...]) -> None:
    for sentence in [*words_about(both[0]), *words_about(both[1]), *words_between(both)]:
        assert not ADJECTIVES.search(plain_text(sentence)), plain_text(sentence)


def test_every_number_has_an_error_or_is_a_count(both: tuple[Contents, ...]) -> None:
    for sentence in [*words_about(both[0]), *words_between(both)]:
        for fragment in sentence:
            if isinstance(fragment, Cited):
                assert fragment.number.error is not None or fragment.number.exact


def test_kinks_are_said_once_and_last(bowl: xr.DataTree) -> None:
    # Kills: a warning a survey before what was measured, kinks that fall off the end of the list,
    # models named that have none.
    rough = fixtures.survey("chaos", verdict="non-smooth")
    (alone,) = read_trees(rough)
    assert plain_text(words_about(alone)[-1]).startswith("The loss has kinks within a small step h")
    for trees, who in (
        ([rough, rough], " for ResNet-20, no skips [1] and ResNet-20, no skips [2]: "),
        ([bowl, rough], " for ResNet-20, no skips: "),
    ):
        said = [plain_text(s) for s in words_between(read_trees(trees))]
        assert who in said[-1]
        assert len(said) <= 6
        assert not any("kinks" in s for s in said[:-1])


def test_what_is_not_certified_is_said_first(bowl: xr.DataTree) -> None:
    # Kills: a verdict that is only in a table at the end.
    said = "is not certified (uncertified)"
    tree = fixtures.survey("chaos", verdict="uncertified")
    (found,) = read_trees(tree)
    assert plain_text(words_about(found)[0]).startswith(f"This survey {said}")
    compared = words_between(read_trees([bowl, tree]))
    assert plain_text(compared[0]).startswith(f"ResNet-20, no skips {said}")
    assert len(compared) <= 6


def test_nothing_is_compared_without_an_error_bar() -> None:
    # Kills: "4 times as much" of numbers nobody knows the error of.
    rows = '[{"name": "trace", "label": "Trace", "value": 40.0, "error": null}]'
    bare = read_trees(fixtures.survey("bowl", steps=(21, 21), headline=rows))[0]
    words = words_between([bare, with_headline(trace=(10.0, 1.0))])
    assert not any("curvatures" in plain_text(s) for s in words)


def test_directions_that_left_the_finite_range_are_mentioned() -> None:
    (found,) = read_trees(fixtures.survey("chaos"))
    gone = found.lines[0].copy(deep=True)
    gone["status"][:30] = 2
    changed = Contents(**{**found.__dict__, "lines": (gone, *found.lines[1:])})
    assert "over 2 directions (1 more left the finite range)" in plain_text(words_about(changed)[0])


def test_a_ratio_stands_last_with_its_error() -> None:
    # Kills: the inverse ratio, errors not propagated, the order of the two exchanged.
    words = words_between([with_headline(trace=(40.0, 4.0)), with_headline(trace=(10.0, 1.0))])
    sentence = next(s for s in words if "curvatures" in plain_text(s))
    assert plain_text(sentence) == (
        "The curvatures sum to 10 ± 1 for ResNet-20 and 40 ± 4 for ResNet-20: "
        "4.00 ± 0.57 times as much."
    )
    cited = [f.name for f in sentence if isinstance(f, Cited)]
    assert cited == ["trace[1]", "trace[0]", "trace_ratio"]


def test_a_difference_within_two_errors_is_called_undecided() -> None:
    # Kills: "1.1 times as much" of two numbers nobody can tell apart.
    words = words_between([with_headline(trace=(10.0, 1.0)), with_headline(trace=(11.0, 1.0))])
    assert any("two standard errors do not separate" in plain_text(s) for s in words)
    assert not any("trace_ratio" in str(s) for s in words)


def test_the_most_telling_comparison_comes_first() -> None:
    a = with_headline(trace=(10.0, 0.1), largest_eigenvalue=(1.0, 0.01))
    b = with_headline(trace=(20.0, 0.1), largest_eigenvalue=(50.0, 0.01))
    assert plain_text(words_between([a, b])[0]).startswith("The largest curvature")


def test_a_value_that_changes_sign_is_compared_by_difference() -> None:
    a, b = with_headline(negative_weight=(-1.0, 0.1)), with_headline(negative_weight=(3.0, 0.1))
    words = [plain_text(s) for s in words_between([a, b])]
    assert any("a difference of 4.00 ± 0.14" in s for s in words)


def test_many_models_are_compared_by_their_extremes() -> None:
    three = [with_headline(trace=(v, 0.1)) for v in (20.0, 10.0, 30.0)]
    words = [plain_text(s) for s in words_between(three)]
    assert any("between 10.0 ± 0.1" in s and "30.0 ± 0.1" in s and "3 models" in s for s in words)


def test_surveys_with_other_normalizations_are_not_compared_by_distance(
    both: tuple[Contents, ...],
) -> None:
    # Kills: comparing rises at distances that mean different things.
    other = Contents(**{**both[1].__dict__, "facts": {**both[1].facts, "normalize": "layer"}})
    assert any("rises by" in plain_text(s) for s in words_between(both))
    assert not any("rises by" in plain_text(s) for s in words_between([both[0], other]))
