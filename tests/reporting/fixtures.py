"""Whole survey trees: the parts of `shapes` and `spectra` put together as a survey does it."""

from __future__ import annotations

import json

import xarray as xr
from tests.reporting.shapes import EXAMPLES, FACTS, line, plane
from tests.reporting.spectra import certificate, convexity, eigenvalues, spectrum, trace, training


def headline(children: dict[str, xr.Dataset]) -> list[dict[str, object]]:
    """The headline numbers as a survey writes them."""
    first, top, estimate = children["plane_0"], children["eigenvalues"], children["trace"]
    middle = first.sel(alpha=0, beta=0, method="nearest")

    def row(
        name: str,
        text: str,
        value: float,
        error: float | None,
        explain: str,
        unit: str = "",
        exact: bool = False,
    ) -> dict[str, object]:
        keys = ("name", "label", "value", "error", "exact", "unit", "explain")
        return dict(zip(keys, (name, text, value, error, exact, unit, explain), strict=True))

    per = "mean over examples; the error is the standard error over examples"
    return [
        row("loss", "Loss", float(middle.loss), float(middle.loss_error), per),
        row("test_loss", "Loss, test", float(middle.test_loss), float(middle.test_loss_error), per),
        row(
            "test_accuracy",
            "Accuracy, test",
            100 * float(middle.test_accuracy),
            100 * float(middle.test_accuracy_error),
            "share of test examples classified correctly",
            "%",
        ),
        row(
            "largest_eigenvalue",
            "Largest curvature",
            float(top.eigenvalue[0]),
            float(top.residual[0]),
            "largest eigenvalue of the Hessian; the error is its residual, a bound",
        ),
        row(
            "trace",
            "Trace of the Hessian",
            float(estimate.trace),
            float(estimate.standard_error),
            "sum of all eigenvalues, by Hutchinson's estimator",
        ),
        row("params", "Parameters", 272474, None, "trainable coordinates", exact=True),
    ]


PROVENANCE = {
    "command": "theodolite survey demo.py:build -a skip=true --preset quick --seed 0 -o runs/skip",
    "config": {"preset": "quick", "seed": 0, "plane.steps": [51, 51], "spectrum.probes": 4},
    "versions": {"theodolite": "0.1.0", "torch": "2.13.0", "python": "3.11.7"},
    "git": {"commit": "4be1c0d", "dirty": False},
    "hashes": {"checkpoint": "sha256:77ab...", "data": "sha256:1c09..."},
    "cost": {"plane_0": "41 s", "spectrum": "38 s", "eigenvalues": "22 s", "trace": "4 s"},
}


def survey(
    kind: str,
    *,
    model: str | None = None,
    target: str = "Fashion-MNIST, residual networks",
    planes: int = 2,
    lines: int = 3,
    steps: tuple[int, int] = (51, 51),
    verdict: str = "certified",
    gaps: bool = True,
    **attrs: object,
) -> xr.DataTree:
    """A whole survey tree; `attrs` override the root's attributes."""
    children = {f"plane_{k}": plane(kind, index=k, steps=steps, gaps=gaps) for k in range(planes)}
    children |= {f"line_{k}": line(kind, k) for k in range(lines)}
    children |= {
        "spectrum": spectrum(kind),
        "eigenvalues": eigenvalues(kind),
        "trace": trace(kind),
        "convexity": convexity(kind),
        "certificate": certificate(verdict),
        "training": training(kind),
    }
    names = {"bowl": "ResNet-20", "chaos": "ResNet-20, no skips"}
    root = xr.Dataset(
        attrs={
            "target": target,
            "model": names[kind] if model is None else model,
            "params": 272474,
            "examples": EXAMPLES,
            "examples_available": FACTS["examples_available"],
            "seed": 0,
            "preset": "quick",
            "created": "2026-11-24T09:30:00Z",
            "provenance": json.dumps(PROVENANCE),
            "headline": json.dumps(headline(children)),
            **attrs,
        }
    )
    return xr.DataTree.from_dict({"/": root, **children})
