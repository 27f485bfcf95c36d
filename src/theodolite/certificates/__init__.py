"""Proof that the derivatives of an objective are those of its loss, at one point."""

from __future__ import annotations

from theodolite.certificates.certification import certify

__all__ = ["certify"]
