"""``theodolite study optimizers``: optimizers side by side, with noise as the control."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from theodolite.cli.options import Options
from theodolite.cli.study_options import Trainings


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
    trainings: Trainings = Trainings(),  # noqa: B008 (frozen, without state)
    options: Options = Options(),  # noqa: B008
) -> int:
    """Train by several optimizers from the same starts to one loss, and measure where each ends.

    Full-batch descent with noise of the covariance that batches have, and with isotropic noise of
    equal trace, is the control of what noise does. Needs a target with a recipe. Every unit is
    saved; the same command continues.
    """
    from theodolite.cli.running import measured
    from theodolite.cli.study_options import rates_by_rule, words

    changes = {
        "rules": words(rules),
        "rates": rates_by_rule(rate),
        "batch_size": batch_size,
        **trainings.changes(),
    }
    return measured(target, options, family="optimizers", changes=changes)
