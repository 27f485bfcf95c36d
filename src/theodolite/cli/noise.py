"""``theodolite noise``: how noisy the gradients of batches are."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from theodolite.cli.options import Options
from theodolite.errors import InvalidArgument

USUAL = {
    "curvature": True,
    "layers": True,
    "diversity": True,
    "eigenvalues": 5,
    "probes": 32,
    "tails": 8,
}
"""What the command measures where neither the preset nor a file nor an option says it."""


def noise(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = (None),
    /,
    *,
    batch_size: Annotated[
        int | None, Parameter(help="Of your training: what it costs, and its temperature.")
    ] = None,
    learning_rate: Annotated[
        float | None, Parameter(help="Of your training: temperatures, and the loss noise holds.")
    ] = None,
    momentum: Annotated[float | None, Parameter(help="Of your training.")] = None,
    population: Annotated[
        str | None,
        Parameter(
            help="data, distribution or a number: whose gradient is meant. By default the data, "
            "or with --limit all the examples there are."
        ),
    ] = None,
    curvature: Annotated[
        bool | None,
        Parameter(negative="--no-curvature", help="The scale weighted by the Hessian."),
    ] = None,
    products: Annotated[int | None, Parameter(help="Hessian products for it, at most.")] = None,
    tolerance: Annotated[
        float | None, Parameter(help="Relative error of tr(H Sigma) at which it stops.")
    ] = None,
    looked: Annotated[
        int | None, Parameter(help="Examples looked at for its error, where data are a sample.")
    ] = None,
    eigenvalues: Annotated[
        int | None, Parameter(help="Of the covariance of noise; 0: none.")
    ] = None,
    probes: Annotated[
        int | None, Parameter(help="Probes of noise and curvature, 8 or more; 0: none.")
    ] = None,
    tails: Annotated[
        int | None, Parameter(help="Directions whose tails are looked at; 0: none.")
    ] = None,
    level: Annotated[float | None, Parameter(help="Of the intervals.")] = None,
    waste: Annotated[
        float | None,
        Parameter(help="Share of examples given away at the lower end of the range advised."),
    ] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Measure the noise of gradients, and which batch sizes it speaks for.

    Noise scales with their intervals, signal against noise by layer, gradient diversity, the
    largest directions of noise and how they lie to the curvature, the weight of the tails with a
    test of the alpha-stable law. With --batch-size and --learning-rate the temperatures as well.
    """
    if batch_size is not None and batch_size < 1:
        raise InvalidArgument(
            f"--batch-size must be at least 1; got {batch_size}.",
            fix="pass the batch size of your training, or leave --batch-size out.",
            code="E-D54",
        )
    given = {k: v for k, v in locals().items() if k not in ("target", "options")}
    from theodolite.cli.running import measured

    if population is not None and population.isdecimal():
        given["population"] = int(population)
    return measured(target, options, family="noise", changes=given, usual=USUAL)
