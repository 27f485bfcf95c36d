"""Curvature of an objective as symmetric linear maps."""

from __future__ import annotations

from theodolite.operators.gauss_newton import ggn
from theodolite.operators.loss_hessian import hessian
from theodolite.operators.second_moment import empirical_fisher

__all__ = ["empirical_fisher", "ggn", "hessian"]
