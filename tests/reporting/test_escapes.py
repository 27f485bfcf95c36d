"""The escapes of the saddles section from planted runs. Oracle: the numbers put in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.reporting.descents import escape, unescaped
from tests.reporting.test_saddles import search
from tests.reporting.test_sharpness import tree

from theodolite.reporting import report
from theodolite.reporting.contents import read_trees
from theodolite.reporting.escapes import (
    METHODS,
    escape_panel,
    escape_table,
    escape_words,
    steps_text,
)

WHY = "The point is a minimum."


def panel(*found: object, index: int = 0):  # type: ignore[no-untyped-def]
    parts = {f"escape_{k}": one for k, one in enumerate(found)}
    (contents,) = read_trees(tree(critical=search(), **parts))  # type: ignore[arg-type]
    return escape_panel(contents, index)


def test_the_words_are_the_settings_and_the_noise() -> None:
    # kills: radius and displacement exchanged, the ratio of noise upside down
    said = escape_words([escape("gradient")])
    assert said.startswith(
        "From 0.01 beside the saddle, whose lowest eigenvalue is \N{MINUS SIGN}2"
    )
    assert "± 0.01, until 0.1 along its eigenvector; learning rate 0.25, 5 runs each." in said
    assert said.endswith(
        "Gradient noise has 3 times as much variance along it as in a mean direction."
    )
    quiet = escape("gradient").assign(noise_mean=0.0)
    assert "noise" not in escape_words([quiet])


def test_the_table_has_medians_quartiles_and_linear_theory() -> None:
    # kills: the mean, quartiles of the runs that left alone, the theory of the first run.
    # Starts of 1 to 5e-3 doubled until 0.1 take 7, 6, 6, 5 and 5 steps.
    (row,) = escape_table([escape("gradient")]).rows
    assert row == ("gradient descent", "6 (5 to 6)", "5.1", "5 of 5")
    (held,) = escape_table([escape("stochastic", stayed=2)]).rows
    assert held[0] == "SGD"
    assert held[1] == "6 (5 to over 1,000)"
    assert held[3] == "3 of 5"
    assert steps_text(escape("gradient", stayed=5)) == "over 1,000"
    lost = escape("gradient", stayed=1)
    lost["outcome"][0] = "diverged"
    assert escape_table([lost]).rows[0][3] == "4 of 5, 1 diverged"


def test_methods_come_in_one_order() -> None:
    # kills: the order of the files
    made = panel(*(escape(m) for m in reversed(METHODS)))
    assert [r[0] for r in made.table.rows] == list(METHODS.values())
    assert [name for name, _ in made.pictures] == [
        "Distance along the lowest direction",
        "Loss, from that of the saddle",
    ]


def test_a_reason_stands_in_place_of_runs_once() -> None:
    # kills: the same reason four times, an empty table
    none = panel(*(unescaped(m, WHY) for m in METHODS))
    assert (none.sentence, none.pictures, none.table, none.notes) == (WHY, (), None, ())
    some = panel(escape("gradient"), unescaped("stochastic", WHY))
    assert some.notes == (WHY,)
    assert len(some.table.rows) == 1
    (contents,) = read_trees(tree(critical=search()))
    assert escape_panel(contents, 0) is None


def test_runs_without_curves_have_a_table_and_no_picture() -> None:
    # kills: a picture of nothing
    made = panel(escape("gradient", curves=False))
    assert made.pictures == ()
    assert len(made.table.rows) == 1


def test_two_surveys_on_a_page_share_no_ids(tmp_path: Path) -> None:
    # kills: pictures of two surveys with the same ids, a panel of the wrong survey
    one, two = (panel(escape("gradient"), index=k) for k in range(2))
    ids = [set(re.findall(r'id="([^"]+)"', p.pictures[0][1])) for p in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]
    both = [tree(a=search(), b=escape("gradient")), tree(a=search(), b=unescaped("gradient", WHY))]
    page = report(both, tmp_path / "r.html").read_text("utf-8")
    assert page.count("Escape from the saddle</h3>") == 2
    assert page.count('aria-label="Distance along the lowest direction') == 1
    assert page.count(WHY) == 1


@pytest.mark.parametrize("method", METHODS)
def test_every_kind_of_descent_has_a_name(method: str) -> None:
    assert escape_table([escape(method)]).rows[0][0] == METHODS[method]
