"""What a survey says about convexity: planes that look like bowls where the Hessian has none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from theodolite.curvature import nonconvex, surface_curvature
from theodolite.curvature.nonconvexity import convexity_facts
from theodolite.plots import status_counts
from theodolite.reporting.contents import Contents, Reportable, read_trees
from theodolite.reporting.numbers import Number, text
from theodolite.reporting.overlays import can_be_fitted
from theodolite.reporting.sentences import Cited, Sentence, plain_text
from theodolite.results import OK

NEGLIGIBLE = 1e-3
"""A negative curvature below this share of the largest is not worth a warning."""


@dataclass(frozen=True)
class Lowest:
    """The most negative curvature known at the start, and the largest in size there."""

    number: Number
    largest: float


def bowl_warning(contents: Contents) -> Sentence | None:
    """The sentence for a plane that is a bowl at the start where the full Hessian is not.

    A bowl: both principal curvatures of the fitted surface exceed their errors. The Hessian is
    not one where its smallest known eigenvalue lies below minus its residual and below minus a
    thousandth of the largest.
    """
    planes = [p for p in contents.planes if can_be_fitted(p)]
    bowls = sum(_is_bowl(p) for p in planes)
    found = lowest_curvature(contents)
    if not bowls or found is None:
        return None
    value, error = found.number.value, found.number.error or 0.0
    if not value < -max(error, NEGLIGIBLE * found.largest):
        return None
    look = "The plane looks like a bowl"
    if len(planes) > 1:
        plural = "s look like bowls" if bowls > 1 else " looks like a bowl"
        look = f"At the start {bowls} of {len(planes)} plane{plural}"
    return (
        f"{look}, but the Hessian there has a negative direction: ",
        Cited("hidden_curvature", found.number),
        "; random slices hide it.",
    )


def bowl_note(trees: Reportable) -> str:
    """The same warning as plain text; empty where there is none."""
    sentence = bowl_warning(read_trees(trees)[0])
    return "" if sentence is None else plain_text(sentence)


def lowest_curvature(contents: Contents) -> Lowest | None:
    """The smallest curvature at the start: from eigenvalues, a convexity map, or the spectrum.

    Every one is a Rayleigh quotient, so the true smallest eigenvalue is not above it.
    """
    pairs = contents.eigenvalues
    if pairs is not None and pairs.sizes["eigenvalue"]:
        values, residuals = pairs["eigenvalue"].values, pairs["residual"].values
        k = int(np.argmin(values))
        return Lowest(Number(float(values[k]), float(residuals[k])), float(np.abs(values).max()))
    if contents.convexity is not None:
        middle = contents.convexity.sel(alpha=0.0, beta=0.0, method="nearest")
        if abs(float(middle.alpha)) + abs(float(middle.beta)) < 1e-9 and int(middle.status) == OK:
            low, high = (float(middle[f"{k}_eigenvalue"]) for k in ("smallest", "largest"))
            number = Number(low, float(middle["smallest_residual"]))
            return Lowest(number, max(abs(low), abs(high)))
    if contents.spectrum is not None:
        nodes = contents.spectrum["node"].values
        return Lowest(Number(float(np.nanmin(nodes))), float(np.nanmax(np.abs(nodes))))
    return None


def nonconvexity(contents: Contents) -> Sentence | None:
    """How much of the convexity map is not convex."""
    if contents.convexity is None:
        return None
    facts = convexity_facts(contents.convexity)
    if "nonconvex_share" not in facts:
        return None
    sure, maybe = (int(m.sum()) for m in nonconvex(contents.convexity))
    open_ = f" ({maybe - sure} more are undecided)" if maybe > sure else ""
    head: Sentence = (
        "The full Hessian has a negative direction at ",
        Cited("nonconvex_points", Number(sure, exact=True)),
        f" of {facts['points']:,} points of the convexity map{open_}",
    )
    if "mean_ratio" not in facts:
        return (*head, ".")
    ratio = Number(facts["mean_ratio"], facts["mean_ratio_error"])
    tail = (" times the largest on average.",)
    return (*head, "; the smallest curvature there is ", Cited("mean_ratio", ratio), *tail)


def convexity_caption(convexity: xr.Dataset) -> str:
    """What the picture holds, in one line."""
    counts = status_counts(convexity)
    facts = convexity_facts(convexity)
    parts = [f"{counts['ok']:,} points, {facts['products']:,} Hessian-vector products"]
    parts += [f"{counts[k]:,} {k}" for k in ("diverged", "failed", "not computed") if counts[k]]
    loose = int((convexity["converged"].values[convexity["status"].values == OK] == 0).sum())
    if loose:
        parts.append(f"{loose:,} did not reach the tolerance")
    return "; ".join(parts) + "."


def convexity_rows(convexity: xr.Dataset) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Head and rows of the table behind the picture."""
    head = ("point", "smallest eigenvalue ± residual", "largest eigenvalue ± residual", "products")
    rows = []
    for i, alpha in enumerate(convexity["alpha"].values):
        for j, beta in enumerate(convexity["beta"].values):
            at = convexity.isel(alpha=i, beta=j)
            if int(at["status"]) != OK:
                continue
            ends = [
                text(Number(float(at[f"{k}_eigenvalue"]), float(at[f"{k}_residual"])))
                for k in ("smallest", "largest")
            ]
            rows.append((f"({alpha:.3g}, {beta:.3g})", *ends, f"{int(at['products'])}"))
    return head, tuple(rows)


def _is_bowl(plane: xr.Dataset) -> bool:
    """Whether the fitted surface surely curves up in both directions at the start."""
    signs = surface_curvature(plane)["sign"].sel(alpha=0.0, beta=0.0, method="nearest")
    near = abs(float(signs["alpha"])) + abs(float(signs["beta"]))
    return near < 1e-9 and bool((signs.values > 0).all())
