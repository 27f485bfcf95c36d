"""Axes without a window, and the promise that drawing changes nothing global."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


@pytest.fixture
def ax() -> Axes:
    """Axes of a figure that belongs to nobody else."""
    figure = Figure(figsize=(5, 5))
    FigureCanvasAgg(figure)
    return figure.add_subplot()


@pytest.fixture(autouse=True)
def untouched_settings() -> Iterator[None]:
    """Kills: a plot that sets rcParams instead of its own artists."""
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before
