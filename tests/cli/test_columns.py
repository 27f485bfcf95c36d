"""Tables on terminals that are too narrow. Oracle: the lines, by hand."""

from __future__ import annotations

from theodolite.cli import columns
from theodolite.cli.columns import aligned
from theodolite.reporting.tables import Table

TABLE = Table(
    ("measure", "value", "moved", "setting"),
    (("worst case", "0.25", "yes", "rho = 0.05, 5 steps"), ("Fisher-Rao", "2.5 exact", "no", "")),
)


def test_a_table_that_fits_has_a_line_a_row():
    assert aligned(TABLE, 100).splitlines() == [
        "measure         value  moved              setting",
        "worst case       0.25    yes  rho = 0.05, 5 steps",
        "Fisher-Rao  2.5 exact     no",
    ]
    assert aligned(TABLE) == aligned(TABLE, 100)


def test_columns_that_do_not_fit_follow_their_row_with_their_names():
    # kills: rows broken by the terminal wherever they happen to end, cells that are lost
    assert aligned(TABLE, 30).splitlines() == [
        "measure         value  moved",
        "worst case       0.25    yes",
        "    setting: rho = 0.05, 5 steps",
        "Fisher-Rao  2.5 exact     no",
    ]
    narrow = aligned(TABLE, 5).splitlines()
    assert narrow[2] == "    moved: yes · setting: rho = 0.05, 5 steps"
    assert narrow[4] == "    moved: no"


def test_the_width_is_that_of_a_terminal_somebody_watches(monkeypatch):
    # kills: logs folded at the 80 characters of a terminal that is not there
    monkeypatch.setenv("COLUMNS", "72")
    assert columns.watched_width() is None
    monkeypatch.setattr(columns.terminal, "interactive", lambda: True)
    assert columns.watched_width() == 72
