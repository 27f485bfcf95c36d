"""Studies as they are stored, with numbers that are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.studies.layouts import Layout
from theodolite.studies.names import COMPARED_WORDS, WORDS

SIZES, RATES = [4, 16, 64, 256], [0.05, 0.1, 0.2, 0.4]
FACTS: dict[str, Any] = {
    "budget": "updates",
    "length": 100,
    "stop_loss": 0.1,
    "start": "own",
    "recipe": "abc",
    "train_examples": 1000,
    "study_seed": 0,
}
Row = Callable[[dict[str, Any]], dict[str, float]]


def stored(quantity: str, axes: dict[str, list[Any]], row: Row, **facts: Any) -> xr.Dataset:
    """A study of these axes, every cell as `row` says; missing numbers are NaN."""
    layout = Layout(axes)
    made = [row(layout.cell(k)) for k in range(layout.cells)]
    names = dict.fromkeys([*WORDS, *(n for r in made for n in r)])
    dims = ("unit", "member")

    def column(name: str, otherwise: float = np.nan) -> np.ndarray:
        return np.array([[r.get(name, otherwise)] for r in made])

    variables: dict[str, results.Variable] = {
        n: (dims, column(n), {"long_name": WORDS.get(n, n)})
        for n in names
        if n not in ("compared", "status")
    }
    marks = column("compared", 1.0).astype(np.uint8)
    variables["compared"] = (dims, marks, {"long_name": COMPARED_WORDS})
    variables["status"] = results.status_variable(dims, column("status", 1.0))
    known = {**FACTS, **facts, "axes": json.dumps(axes)}
    return results.dataset(quantity, variables, **known)


def batch_sizes(row: Row, *, sizes: list[int] = SIZES, seeds: int = 3) -> xr.Dataset:
    """A grid of four batch sizes and four rates."""
    axes = {"batch_size": sizes, "seed": list(range(seeds)), "learning_rate": RATES}
    facts = {"momentum": 0.9, "optimizer": "sgd", "training": "alone", "training_reason": ""}
    return stored("batch_size_study", axes, row, **facts)


def optimizers(
    row: Row, *, rules: tuple[str, ...] = ("sgd", "gd", "sam"), seeds: int = 4
) -> xr.Dataset:
    """Three optimizers with four seeds."""
    axes = {"optimizer": list(rules), "seed": list(range(seeds))}
    return stored("optimizer_study", axes, row, batch_size=50, momentum=0.9, rates={})


def noisy(cell: dict[str, Any], *names: str) -> float:
    """A small number that depends on the cell alone."""
    text = json.dumps([*(cell[k] for k in sorted(cell)), *names])
    return float(np.random.default_rng(list(text.encode())).normal())


def following(cell: dict[str, Any]) -> dict[str, float]:
    """Sharpness that falls with the temperature alone, and a test error that rises with it."""
    heat = cell["learning_rate"] / cell["batch_size"]
    sharp = heat**-0.5 * np.exp(0.01 * noisy(cell))
    return {
        "updates": 50.0,
        "train_loss": 0.09,
        "largest_eigenvalue": sharp,
        "trace": 5 * sharp,
        "adaptive_sharpness": np.exp(noisy(cell, "adaptive")),
        "test_error": 0.02 + heat + 1e-4 * noisy(cell, "error"),
    }
