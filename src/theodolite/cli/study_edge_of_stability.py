"""``theodolite study edge-of-stability``: sharpness along gradient descent over all the data."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from theodolite.cli.options import Options
from theodolite.errors import InvalidArgument


def edge_of_stability(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = (None),
    /,
    *,
    rate: Annotated[
        tuple[float, ...],
        Parameter(help="Learning rate; repeat it for several. By default three are chosen."),
    ] = (),
    share: Annotated[
        tuple[float, ...],
        Parameter(
            help="Instead: the share of its threshold that the sharpness has at the start; "
            "by default 0.5, 0.25 and 0.125."
        ),
    ] = (),
    momentum: Annotated[float | None, Parameter(help="Polyak's, or with --nesterov his.")] = None,
    nesterov: Annotated[bool, Parameter(help="Nesterov's momentum.")] = False,
    steps: Annotated[int | None, Parameter(help="Steps of descent.")] = None,
    every: Annotated[int | None, Parameter(help="Steps between two measurements.")] = None,
    eigenvalues: Annotated[int | None, Parameter(help="Largest eigenvalues to follow.")] = None,
    late: Annotated[
        int | None, Parameter(help="Last steps for the mean; by default a quarter of all.")
    ] = None,
    fresh_start: Annotated[
        tuple[int, ...],
        Parameter(
            help="Begin at fresh weights of this seed, not at the target's; repeat it for several."
        ),
    ] = (),
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Descend over all the data at several rates, and follow the sharpness against its threshold.

    Every run begins at the target's weights (or at --fresh-start), takes full-batch steps, and
    measures the largest eigenvalues of the Hessian along the way: when the sharpness first
    reached the threshold of the update rule, 2 / rate without momentum, and where it stays.
    """
    from theodolite.cli.running import measured

    if rate and share:
        raise InvalidArgument(
            "--rate and --share both say which rates to run; one of them would be ignored.",
            fix="give the learning rates, or the shares of the threshold to choose them by.",
            code="E-S47",
        )
    changes = {
        "rates": list(rate) or None,
        "shares": list(share) or None,
        "momentum": momentum,
        "nesterov": nesterov or None,
        "steps": steps,
        "every": every,
        "eigenvalues": eigenvalues,
        "late": late,
        "fresh_starts": list(fresh_start) or None,
    }
    return measured(target, options, family="edge_of_stability", changes=changes)
