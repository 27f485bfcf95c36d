"""Curvature of an objective as operators: matrices known by their products."""

from __future__ import annotations

from theodolite.operators.covariance import gradient_covariance
from theodolite.operators.diagonal_blocks import blocks
from theodolite.operators.gauss_newton import ggn
from theodolite.operators.loss_hessian import hessian
from theodolite.operators.model_fisher import fisher
from theodolite.operators.preconditioning import preconditioned
from theodolite.operators.second_moment import empirical_fisher

__all__ = [
    "blocks",
    "empirical_fisher",
    "fisher",
    "ggn",
    "gradient_covariance",
    "hessian",
    "preconditioned",
]
