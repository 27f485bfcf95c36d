"""``theodolite spectrum``: how the loss curves."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from theodolite.cli.options import Options


def spectrum(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = (None),
    /,
    *,
    steps: Annotated[int | None, Parameter(help="Lanczos steps a probe.")] = None,
    probes: Annotated[
        int | None, Parameter(help="Random probes; their spread is the error.")
    ] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Measure the distribution of the Hessian's eigenvalues."""
    from theodolite.cli.running import measured

    return measured(target, options, family="spectrum", changes={"steps": steps, "probes": probes})
