"""``theodolite sharpness``: how sharp the loss is around a point."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from theodolite.cli.options import Options


def sharpness(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = (None),
    /,
    *,
    rho: Annotated[float | None, Parameter(help="Radius of the ball of the worst case.")] = None,
    adaptive_rho: Annotated[
        float | None, Parameter(help="The same in units of each weight (ASAM).")
    ] = None,
    sigma: Annotated[float | None, Parameter(help="Deviation of the noise averaged over.")] = None,
    steps: Annotated[int | None, Parameter(help="Steps of the search for the worst case.")] = None,
    draws: Annotated[int | None, Parameter(help="Pairs of noise vectors averaged over.")] = None,
    factor: Annotated[
        float | None,
        Parameter(help="One layer is rescaled by this to see what moves; 0: no."),
    ] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Measure how sharp the loss is by eight definitions, and which a rescaling changes.

    Largest eigenvalue, worst cases (SAM, ASAM, Keskar), averages over noise, relative flatness
    and the Fisher-Rao norm, each with its error; then predicted and measured rises of the loss.
    """
    from theodolite.cli.running import measured

    changes = {
        "rho": rho,
        "adaptive_rho": adaptive_rho,
        "sigma": sigma,
        "steps": steps,
        "draws": draws,
        "factor": factor,
    }
    return measured(target, options, family="sharpness", changes=changes)
