"""``theodolite saddles``: which way the loss curves down."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from theodolite.cli.options import Options


def saddles(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = (None),
    /,
    *,
    count: Annotated[int, Parameter(help="Lowest eigenvalues to find and certify.")] = 4,
    probes: Annotated[int | None, Parameter(help="Random probes of the spectrum.")] = None,
    steps: Annotated[int | None, Parameter(help="Lanczos steps a probe.")] = None,
    search: Annotated[
        Literal["none", "newton-mr", "gradient-norm", "saddle-free"] | None,
        Parameter(help="Look for a critical point from here, and certify it."),
    ] = None,
    max_products: Annotated[
        int | None, Parameter(help="Hessian products the search may take.")
    ] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Measure how many directions curve down, as a curve over thresholds.

    Small networks get their whole spectrum, others a sample of it with bounds and their lowest
    eigenvalues, each with its residual. With --search a critical point is looked for as well.
    """
    from theodolite.cli.running import measured

    changes = {
        "count": count,
        "probes": probes,
        "steps": steps,
        "search": search,
        "max_products": max_products,
    }
    return measured(target, options, family="saddles", changes=changes)
