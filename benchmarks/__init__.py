"""Timings against floors, printed as tables; nothing here is imported by the package."""
