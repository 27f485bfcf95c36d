"""The straight line and the trained curve between two networks, measured once each."""

from __future__ import annotations

import warnings

import xarray as xr
from torch import Tensor, nn

from theodolite.connectivity import barrier, curve
from theodolite.errors import TheodoliteWarning
from theodolite.findings.networks import cross_entropy

Data = tuple[Tensor, Tensor]
RESAMPLES = 2
"""Intervals are taken over pairs of networks: those over examples are not used."""


def line_between(a: nn.Module, b: nn.Module, data: Data, *, test: Data | None = None) -> xr.Dataset:
    """`barrier` of the cross-entropy over `data` on the straight line from `a` to `b`."""
    other = None if test is None else cross_entropy(a, test)
    ends = a.state_dict(), b.state_dict()
    return barrier(cross_entropy(a, data), *ends, test=other, resamples=RESAMPLES)


def curve_between(
    a: nn.Module, b: nn.Module, data: Data, *, steps: int, seed: int, test: Data | None = None
) -> xr.Dataset:
    """`curve` from `a` to `b`: a Bezier curve of one control point, trained on all of `data`.

    A curve that was left because it became too long is measured as it is, without the warning;
    ``attrs["stopped"]`` says so.
    """
    other = None if test is None else cross_entropy(a, test)
    ends = a.state_dict(), b.state_dict()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TheodoliteWarning)
        return curve(
            cross_entropy(a, data), *ends, steps=steps, test=other, resamples=RESAMPLES, seed=seed
        )
