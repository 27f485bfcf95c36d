"""Correlations of the activations of two ends, over all examples of an objective."""

from __future__ import annotations

import torch
from torch import Tensor

from theodolite.connectivity.ends import End
from theodolite.connectivity.holding import held, with_statistics
from theodolite.errors import UnsupportedModel
from theodolite.objective import Objective
from theodolite.objective.batches import Batch
from theodolite.symmetry import Symmetries
from theodolite.symmetry.assignment import Problem
from theodolite.symmetry.correlations import CrossMoments, correlation_problem
from theodolite.symmetry.sites import Reader, Site, activation_sites


def activation_problem(objective: Objective, found: Symmetries, a: End, b: End) -> Problem:
    """The correlations of all units at all sites as a problem of matching.

    Two passes (with recomputed BatchNorm one for each of its layers more) and the runs that find
    the sites; holds the activations of one batch.
    """
    if objective.ranks is not None:
        raise UnsupportedModel(
            "activations cannot be gathered where processes share an objective.",
            where="match",
            fix='use method="weights", or build the objective without process_group.',
            code="E-A57",
        )
    a, b = (with_statistics(objective, end) for end in (a, b))
    first = next(iter(objective.data))
    sites = held(objective, a, lambda: _sites(objective, found, first))
    moments = [CrossMoments() for _ in sites]
    for batch in objective.data:
        both = [_read(objective, end, sites, batch) for end in (a, b)]
        for made, mine, its in zip(moments, *both, strict=True):
            made.add(mine, its)
    tables = [made.correlation() for made in moments]
    return correlation_problem(found.groups, list(zip(sites, tables, strict=True)))


def _sites(objective: Objective, found: Symmetries, batch: Batch) -> tuple[Site, ...]:
    model = objective.model
    return activation_sites(found, model, lambda: objective.terms.run(model, batch))


def _read(objective: Objective, end: End, sites: tuple[Site, ...], batch: Batch) -> list[Tensor]:
    """The activations at all sites on one batch, units in rows."""
    shown: dict[Site, Tensor] = {}

    def keep(site: Site, tensor: Tensor) -> None:
        shown[site] = site.rows(tensor).clone()  # the model may write to its own afterwards

    def body() -> None:
        with torch.no_grad(), Reader(sites, keep):
            objective.terms.run(objective.model, batch)

    held(objective, end, body)
    return [shown[site] for site in sites]
