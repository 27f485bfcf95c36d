"""``theodolite study optimizers``: optimizers side by side, with noise as the control."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from theodolite.cli.options import Options


def study_optimizers(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = None,
    /,
    *,
    rules: Annotated[
        str | None,
        Parameter(help="Of sgd,gd,gd_batch_noise,gd_isotropic_noise,sam,adam; by default all."),
    ] = None,
    rate: Annotated[
        tuple[str, ...],
        Parameter(help="rule=0.05,0.1: rates to try; the one soonest at the loss is taken."),
    ] = (),
    batch_size: Annotated[
        int | None, Parameter(help="Of those with batches, and of the noise.")
    ] = None,
    seeds: Annotated[int | None, Parameter(help="Starts, shared by all optimizers.")] = None,
    budget: Annotated[str | None, Parameter(help="Equal updates or equal epochs.")] = None,
    length: Annotated[
        int | None, Parameter(help="How many; by default by the recipe, or ten times that.")
    ] = None,
    stop_loss: Annotated[
        str | None,
        Parameter(help="Training loss at which ends are compared, or auto (start / 20), or none."),
    ] = None,
    start: Annotated[
        str | None, Parameter(help="own (the recipe's) or target (its present weights).")
    ] = None,
    products: Annotated[int | None, Parameter(help="Hessian products for the trace.")] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Train by several optimizers from the same starts to one loss, and measure where each ends.

    Full-batch descent with noise of the covariance that batches have, and with isotropic noise of
    equal trace, is the control of what noise does. Needs a target with a recipe. Every unit is
    saved; the same command continues.
    """
    from theodolite.cli.running import measured
    from theodolite.cli.study_options import rates_by_rule, stop_of, words

    changes = {
        "rules": words(rules),
        "rates": rates_by_rule(rate),
        "batch_size": batch_size,
        "seeds": seeds,
        "budget": budget,
        "length": length,
        "stop_loss": stop_of(stop_loss),
        "start": start,
        "products": products,
    }
    return measured(target, options, family="optimizers", changes=changes)
