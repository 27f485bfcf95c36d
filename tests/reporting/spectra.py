"""Spectra, eigenvalues, a trace, a certificate and a history, made by formulas."""

from __future__ import annotations

import numpy as np
import xarray as xr
from tests.reporting.shapes import label

from theodolite import results


def spectrum(kind: str, probes: int = 4, steps: int = 60) -> xr.Dataset:
    """A bulk at zero, outliers far away, and a negative tail that is heavier for ``chaos``."""
    random = np.random.default_rng(3 if kind == "bowl" else 4)
    top, tail = (42.0, 0.4) if kind == "bowl" else (310.0, 28.0)
    outliers = top * np.array([1.0, 0.61, 0.44, 0.31, 0.22, 0.17, 0.12, 0.09])
    node, weight = np.empty((probes, steps)), np.empty((probes, steps))
    for p in range(probes):
        bulk = np.abs(random.normal(0, 1, steps - 8)) ** 3 * 0.012 * top
        below = random.permutation(steps - 8) < (7 if kind == "bowl" else 14)
        bulk = np.where(below, -bulk * tail / top, bulk)
        mass = np.exp(-np.abs(bulk) / (0.01 * top)) * random.uniform(0.5, 1.5, bulk.size)
        node[p] = np.concatenate([bulk, outliers * (1 + 2e-4 * random.normal(size=8))])
        weight[p] = np.concatenate([mass / mass.sum(), 4e-5 * random.uniform(0.5, 1.6, 8)])
        weight[p] /= weight[p].sum()
        order = np.argsort(node[p])
        node[p], weight[p] = node[p][order], weight[p][order]
    dims = ("probe", "step")
    return results.dataset(
        "spectral_density",
        {
            "node": (dims, node, {"long_name": "eigenvalue"}),
            "weight": (dims, weight, {"long_name": "spectral weight"}),
        },
        {"probe": range(probes), "step": range(steps)},
        operator="Hessian of the training loss",
        size=272474,
        steps=steps,
        probes=probes,
        seed=0,
        products=probes * steps,
    )


def eigenvalues(kind: str) -> xr.Dataset:
    """The eight outliers and two negative values, each with a residual."""
    top, low = (42.0, -0.31) if kind == "bowl" else (310.0, -21.0)
    values = top * np.array([1.0, 0.61, 0.44, 0.31, 0.22, 0.17, 0.12, 0.09])
    values = np.concatenate([values, [0.6 * low, low]])
    residual = 1e-4 * top * (1 + np.arange(10.0) ** 2 / 3)
    return results.dataset(
        "eigenpairs",
        {"residual": (("eigenvalue",), residual, {"long_name": "residual norm"})},
        {"eigenvalue": values},
        operator="Hessian of the training loss",
        size=272474,
        products=184,
        which="both ends",
        tolerance=1e-3,
        converged=True,
        seed=0,
    )


def trace(kind: str, probes: int = 24) -> xr.Dataset:
    """A Hutchinson estimate with its samples."""
    random = np.random.default_rng(5 if kind == "bowl" else 6)
    mean, spread = (148.2, 9.0) if kind == "bowl" else (1921.0, 240.0)
    sample = mean + spread * random.normal(size=probes)
    return results.dataset(
        "trace",
        {
            "trace": ((), sample.mean(), {"long_name": "trace of the Hessian"}),
            "standard_error": (
                (),
                sample.std(ddof=1) / np.sqrt(probes),
                {"long_name": "standard error of the trace"},
            ),
            "sample": (("probe",), sample, {"long_name": "trace estimate of one probe"}),
        },
        {"probe": range(probes)},
        operator="Hessian of the training loss",
        products=probes,
        method="hutchinson",
        size=272474,
        seed=0,
    )


def certificate(verdict: str = "certified") -> xr.Dataset:
    """Five checks; the product check fails unless the verdict is "certified"."""
    good = verdict == "certified"
    names = [
        "two passes agree",
        "product is symmetric",
        "product agrees with central differences",
        "Taylor remainder falls with slope 3",
        "state of the model restored",
    ]
    figure = [0.0, 3.1e-7, 2.2e-7 if good else 0.19, 0.04, 0.0]
    bound = [0.0, 1e-5, 1e-4, 0.3, 0.0]
    passed = [1, 1, int(good), 1, 1]
    return results.dataset(
        "certificate",
        {
            "figure": (("check",), figure, {"long_name": "measured figure"}),
            "bound": (("check",), bound, {"long_name": "largest figure allowed"}),
            "passed": (("check",), np.array(passed, np.uint8), {"long_name": "held"}),
        },
        {"check": names},
        verdict=verdict,
        reason="" if good else "the product differs from central differences by 19 %",
    )


def training(kind: str, epochs: int = 40) -> xr.Dataset:
    """A history of loss and accuracy on both splits."""
    epoch = np.arange(1, epochs + 1)
    random = np.random.default_rng(7 if kind == "bowl" else 8)
    rate, end = (0.16, 0.031) if kind == "bowl" else (0.085, 0.028)
    loss = end + 2.3 * np.exp(-rate * epoch) * (1 + 0.05 * random.normal(size=epochs))
    test = loss + 0.11 * (1 - np.exp(-0.1 * epoch)) + (0.0 if kind == "bowl" else 0.12)
    variables = {"loss": loss, "test_loss": test}
    variables["accuracy"] = 1 - 0.28 * loss / 2.3 - 0.6 * np.exp(-rate * epoch)
    variables["test_accuracy"] = variables["accuracy"] - 0.35 * (test - loss)
    return results.dataset(
        "training",
        {k: (("epoch",), v, {"long_name": label(k)}) for k, v in variables.items()},
        {"epoch": epoch},
        seed=0,
    )


def convexity(kind: str) -> xr.Dataset:
    """Both ends of the spectrum over a coarse plane, more negative away from the start."""
    x = np.linspace(-1, 1, 5)
    top = {"bowl": 4.0, "chaos": 90.0}[kind]
    r = np.hypot(x[:, None], x[None, :])
    ratio = {"bowl": 0.02 - 0.2 * r, "chaos": -0.1 - 0.4 * r}[kind]
    full = {
        "largest_eigenvalue": top * (1 + r),
        "largest_residual": 0.005 * top * (1 + r),
        "smallest_eigenvalue": ratio * top * (1 + r),
        "smallest_residual": 0.005 * top * (1 + r),
        "ratio": ratio,
        "ratio_error": 0.005 * (1 + np.abs(ratio)),
        "products": 20 + 0 * r,
        "converged": 1 + 0 * r,
    }
    dims = ("alpha", "beta")
    variables = {k: (dims, v, {"long_name": k.replace("_", " ")}) for k, v in full.items()}
    variables["status"] = results.status_variable(dims, np.full(r.shape, results.OK))
    return results.dataset(
        "convexity", variables, {"alpha": x, "beta": x}, tolerance=0.01, normalize="filter", seed=0
    )
