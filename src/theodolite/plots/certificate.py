"""The checks behind a verdict as a table: what was measured, what was allowed, whether it held."""

from __future__ import annotations

import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import palette
from theodolite.plots.dress import require

COLUMNS = ("check", "figure", "bound", "held")


def plot_certificate(certificate: xr.Dataset, ax: Axes) -> Axes:
    """Draw one row a check under the verdict; return `ax`."""
    require(certificate, "certificate", "check")
    ax.set_axis_off()
    reason = str(certificate.attrs.get("reason", ""))
    verdict = str(certificate.attrs.get("verdict", "no verdict"))
    ax.set_title(verdict + (f": {reason}" if reason else ""), color=palette.INK, loc="left")
    table = ax.table(
        cellText=certificate_rows(certificate),
        colLabels=list(COLUMNS),
        colWidths=[0.55, 0.17, 0.17, 0.11],
        cellLoc="left",
        loc="upper left",
        edges="horizontal",
    )
    for cell in table.get_celld().values():
        cell.set_edgecolor(palette.RULE)
        cell.get_text().set_color(palette.INK)
    return ax


def certificate_rows(certificate: xr.Dataset) -> list[list[str]]:
    """The table's text, a row a check."""
    return [
        [
            str(certificate["check"].values[k]),
            f"{float(certificate['figure'][k]):.2g}",
            f"{float(certificate['bound'][k]):.2g}",
            "yes" if bool(certificate["passed"][k]) else "NO",
        ]
        for k in range(certificate.sizes["check"])
    ]
