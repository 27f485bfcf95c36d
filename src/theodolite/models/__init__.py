"""Small networks to survey: plain ``nn.Module`` values, initialized from torch's global stream."""

from __future__ import annotations

from theodolite.models.attention import language_model, transformer
from theodolite.models.convolutional import cnn
from theodolite.models.perceptrons import mlp
from theodolite.models.residual import resnet

__all__ = ["cnn", "language_model", "mlp", "resnet", "transformer"]
