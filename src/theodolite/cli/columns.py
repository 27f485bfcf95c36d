"""Tables in columns for a terminal, folded where it is too narrow for them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from theodolite.cli import terminal

if TYPE_CHECKING:
    from theodolite.reporting.tables import Table

INDENT = "    "


def aligned(table: Table, width: int | None = None) -> str:
    """A table in columns, the first to the left and the others to the right.

    Columns that do not fit into `width` characters, by default those of the terminal if one is
    watched, follow each row on a line of their own, with their names.
    """
    most = watched_width() if width is None else width
    every = [table.head, *table.rows]
    widths = [max(len(row[k]) for row in every) for k in range(len(table.head))]
    shown = fitting(widths, most)
    rest = range(shown, len(widths))
    lines = []
    for place, row in enumerate(every):
        cells = [row[0].ljust(widths[0]), *(row[k].rjust(widths[k]) for k in range(1, shown))]
        lines.append("  ".join(cells).rstrip())
        told = [f"{table.head[k]}: {row[k]}" for k in rest if place and row[k]]
        lines += [INDENT + " · ".join(told)] if told else []
    return "\n".join(lines)


def fitting(widths: list[int], most: int | None) -> int:
    """How many columns fit side by side, the first two in any case.

    >>> fitting([10, 5, 20], 40), fitting([10, 5, 20], 30), fitting([10, 5, 20], None)
    (3, 2, 3)
    """
    if most is None:
        return len(widths)
    ends = [sum(widths[: k + 1]) + 2 * k for k in range(len(widths))]
    return max(min(2, len(widths)), sum(end <= most for end in ends))


def watched_width() -> int | None:
    """Characters in a line of the terminal on stderr; None where nobody watches."""
    if not terminal.interactive():
        return None
    try:
        return int(os.environ.get("COLUMNS", "")) or None
    except ValueError:
        pass
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or None
    except (OSError, ValueError):
        return None
