"""``theodolite study batch-size``: a grid of batch sizes and learning rates."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from theodolite.cli.options import Options


def study_batch_size(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = None,
    /,
    *,
    batch_sizes: Annotated[
        str | None, Parameter(help="As 8,32,128; by default around the recipe's, by factors of 4.")
    ] = None,
    rates: Annotated[
        str | None, Parameter(help="As 0.05,0.1; by default around the recipe's, by factors of 2.")
    ] = None,
    seeds: Annotated[int | None, Parameter(help="Runs of every cell, each from its start.")] = None,
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
    training: Annotated[
        str | None, Parameter(help="auto, together (one batched pass for many) or alone.")
    ] = None,
    products: Annotated[int | None, Parameter(help="Hessian products for the trace.")] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Train by every batch size and learning rate to one loss, and measure where each ends.

    Sharpness (largest eigenvalue, trace, adaptive), test error and temperature of every cell; rank
    correlations and the ratio of large to small batches with their intervals. Needs a target with
    a recipe. Every unit is saved; the same command continues.
    """
    from theodolite.cli.running import measured
    from theodolite.cli.study_options import numbers, stop_of

    changes = {
        "batch_sizes": numbers(batch_sizes, "batch-sizes", int),
        "rates": numbers(rates, "rates", float),
        "seeds": seeds,
        "budget": budget,
        "length": length,
        "stop_loss": stop_of(stop_loss),
        "start": start,
        "training": training,
        "products": products,
    }
    return measured(target, options, family="batch_size", changes=changes)
