"""A seeded trainer for small networks, flat-minima optimizers, and the safe reading of weights."""

from __future__ import annotations

from theodolite.training.averaging import EMA, SWA
from theodolite.training.batch_norm import recompute_batch_norm
from theodolite.training.budgets import lasting
from theodolite.training.ensemble_planning import Manner, training_manner
from theodolite.training.ensembles import train_together
from theodolite.training.gradient_noise import GradientNoise
from theodolite.training.loop import Run, train
from theodolite.training.recipe import Recipe
from theodolite.training.recorder import Recorder, Recording
from theodolite.training.sharpness_aware import ASAM, SAM
from theodolite.training.snapshots import Snapshots, snapshot_steps
from theodolite.training.steps import Step
from theodolite.training.swag import SWAG
from theodolite.training.until import Stop, Trained, train_until
from theodolite.training.weights import load_state, load_weights, save_state

__all__ = [
    "ASAM",
    "EMA",
    "SAM",
    "SWA",
    "SWAG",
    "GradientNoise",
    "Manner",
    "Recipe",
    "Recorder",
    "Recording",
    "Run",
    "Snapshots",
    "Step",
    "Stop",
    "Trained",
    "lasting",
    "load_state",
    "load_weights",
    "recompute_batch_norm",
    "save_state",
    "snapshot_steps",
    "train",
    "train_together",
    "train_until",
    "training_manner",
]
