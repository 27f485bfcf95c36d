"""``theodolite sharpness``: how sharp the loss is around a point."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from theodolite.cli.options import Options

USUAL = {"definitions": "all", "valleys": 3, "valley_top": 2}
"""What the command measures where neither the preset nor a file nor an option says it."""


def sharpness(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = (None),
    /,
    *,
    definitions: Annotated[
        Literal["basic", "all"] | None,
        Parameter(help="The eight of a quick survey, or all; the plan says what they cost."),
    ] = None,
    rho: Annotated[float | None, Parameter(help="Radius of the ball of the worst case.")] = None,
    adaptive_rho: Annotated[
        float | None, Parameter(help="The same in units of each weight (ASAM).")
    ] = None,
    p: Annotated[Literal["2", "inf"] | None, Parameter(help="Norm of both balls.")] = None,
    by: Annotated[
        Literal["element", "filter"] | None, Parameter(help="Unit of the adaptive ball.")
    ] = None,
    eta0: Annotated[float | None, Parameter(help="Added to the adaptive ball's units.")] = None,
    steps: Annotated[int | None, Parameter(help="Steps of the search for the worst case.")] = None,
    restarts: Annotated[int | None, Parameter(help="Starts of that search.")] = None,
    batch_size: Annotated[
        int | None, Parameter(help="Examples a batch: m-sharpness, and Adam's scale.")
    ] = None,
    sigma: Annotated[float | None, Parameter(help="Deviation of the noise averaged over.")] = None,
    adaptive_sigma: Annotated[
        float | None, Parameter(help="The same in proportion to each weight.")
    ] = None,
    draws: Annotated[int | None, Parameter(help="Pairs of noise vectors averaged over.")] = None,
    epsilon: Annotated[float | None, Parameter(help="Half-width of Keskar's box.")] = None,
    subspace: Annotated[
        int | None, Parameter(help="Random directions of that box; 0: the full space.")
    ] = None,
    error_rise: Annotated[
        float | None, Parameter(help="Rise of the error that PAC-Bayes noise may cause.")
    ] = None,
    loss_rise: Annotated[float | None, Parameter(help="A rise of the loss instead.")] = None,
    pac_epsilon: Annotated[
        float | None, Parameter(help="Least deviation of the noise that knows the weights.")
    ] = None,
    pac_draws: Annotated[int | None, Parameter(help="Noise vectors of PAC-Bayes.")] = None,
    origin: Annotated[
        Path | None,
        Parameter(help="Weights the training started from: adds the PAC-Bayes bound's term."),
    ] = None,
    layers: Annotated[
        int | None, Parameter(help="Linear layers with a relative flatness, the last first.")
    ] = None,
    products: Annotated[int | None, Parameter(help="Hessian products for each.")] = None,
    matrix: Annotated[
        Literal["fisher", "ggn", "empirical"] | None, Parameter(help="Of the Fisher-Rao norm.")
    ] = None,
    learning_rate: Annotated[
        float | None, Parameter(help="Compare the largest curvature with its limit.")
    ] = None,
    momentum: Annotated[float | None, Parameter(help="Of the limits that have one.")] = None,
    along: Annotated[
        Literal["random", "top", "gradient"] | None, Parameter(help="Directions of the rises.")
    ] = None,
    directions: Annotated[int | None, Parameter(help="How many.")] = None,
    factor: Annotated[
        float | None,
        Parameter(help="One layer is rescaled by this to see what moves; 0: no."),
    ] = None,
    valleys: Annotated[
        int | None,
        Parameter(help="Random lines of training and test loss; with --valley-top 0: none."),
    ] = None,
    valley_top: Annotated[int | None, Parameter(help="Such lines along top eigenvectors.")] = None,
    valley_steps: Annotated[int | None, Parameter(help="Points of each line.")] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Measure how sharp the loss is by all definitions, and which a rescaling changes.

    Worst cases (SAM, ASAM, by batches, Keskar), averages over noise, PAC-Bayes, curvature along
    directions and at the top, relative flatness and the Fisher-Rao norm, each with its error;
    predicted and measured rises of the loss; with test data, how far its valley is shifted.
    """
    given: dict[str, Any] = {k: v for k, v in locals().items() if k not in ("target", "options")}
    given["origin"] = None if origin is None else str(origin.resolve())
    from theodolite.cli.running import measured

    return measured(target, options, family="sharpness", changes=given, usual=USUAL)
