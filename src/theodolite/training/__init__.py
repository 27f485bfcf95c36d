"""A seeded trainer for small networks, flat-minima optimizers, and the safe reading of weights."""

from __future__ import annotations

from theodolite.training.averaging import EMA, SWA
from theodolite.training.batch_norm import recompute_batch_norm
from theodolite.training.budgets import lasting
from theodolite.training.loop import Run, train
from theodolite.training.recipe import Recipe
from theodolite.training.recorder import Recorder, Recording
from theodolite.training.sharpness_aware import ASAM, SAM
from theodolite.training.steps import Step
from theodolite.training.swag import SWAG
from theodolite.training.weights import load_state, load_weights, save_state

__all__ = [
    "ASAM",
    "EMA",
    "SAM",
    "SWA",
    "SWAG",
    "Recipe",
    "Recorder",
    "Recording",
    "Run",
    "Step",
    "lasting",
    "load_state",
    "load_weights",
    "recompute_batch_norm",
    "save_state",
    "train",
]
