"""Derivatives of a callable, and the guard that leaves the caller's state untouched."""
