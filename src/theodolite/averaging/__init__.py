"""Averages of weights and of answers: within one basin, and what to do across several."""

from theodolite.averaging.averages import average
from theodolite.averaging.comparing import compare_ensembles, curve_members
from theodolite.averaging.ensembling import ensemble
from theodolite.averaging.soups import soup
from theodolite.averaging.states import averaged_state

__all__ = [
    "average",
    "averaged_state",
    "compare_ensembles",
    "curve_members",
    "ensemble",
    "soup",
]
