"""A seeded trainer for small networks, its checkpoints, and the safe reading of weights."""

from __future__ import annotations

from theodolite.training.loop import Run, train
from theodolite.training.recipe import Recipe
from theodolite.training.recorder import Recorder, Recording
from theodolite.training.steps import Step
from theodolite.training.weights import load_state, load_weights, save_state

__all__ = [
    "Recipe",
    "Recorder",
    "Recording",
    "Run",
    "Step",
    "load_state",
    "load_weights",
    "save_state",
    "train",
]
