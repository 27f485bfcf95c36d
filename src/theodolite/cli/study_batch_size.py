"""``theodolite study batch-size``: a grid of batch sizes and learning rates."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from theodolite.cli.options import Options
from theodolite.cli.study_options import Trainings


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
    training: Annotated[
        str | None, Parameter(help="auto, together (one batched pass for many) or alone.")
    ] = None,
    trainings: Trainings = Trainings(),  # noqa: B008 (frozen, without state)
    options: Options = Options(),  # noqa: B008
) -> int:
    """Train by every batch size and learning rate to one loss, and measure where each ends.

    Sharpness (largest eigenvalue, trace, adaptive), test error and temperature of every cell; rank
    correlations and the ratio of large to small batches with their intervals. Needs a target with
    a recipe. Every unit is saved; the same command continues.
    """
    from theodolite.cli.running import measured
    from theodolite.cli.study_options import numbers

    changes = {
        "batch_sizes": numbers(batch_sizes, "batch-sizes", int),
        "rates": numbers(rates, "rates", float),
        "training": training,
        **trainings.changes(),
    }
    return measured(target, options, family="batch_size", changes=changes)
