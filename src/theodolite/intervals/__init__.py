"""Estimates with their intervals: means, ratios, shares and rank correlations, of numbers only."""

from __future__ import annotations
