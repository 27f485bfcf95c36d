"""Two survey trees made by formulas: a smooth bowl and a chaotic one, with every kind of gap.

The shapes follow what filter-normalized planes of real networks look like; no network is
involved, so that every number on a page can be computed again from the formula.
"""

from __future__ import annotations

import json

import numpy as np
import xarray as xr

from theodolite import results

EXAMPLES, AVAILABLE = 2048, 60000
FACTS = {
    "examples": EXAMPLES,
    "examples_available": AVAILABLE,
    "batch_norm": "frozen",
    "mode": "eval",
    "dtype": "float32",
    "device": "cpu",
    "fingerprint": "9f2c41d07be5a318",
}


def bowl(a: np.ndarray, b: np.ndarray, plane: int = 0) -> np.ndarray:
    """A wide basin: quadratic near the start, linear far away, slightly off center."""
    x, y = a - 0.06 + 0.02 * plane, 1.25 * b + 0.05
    r = np.sqrt(x**2 + y**2 + 0.3 * x * y)
    return 0.031 + 2.4 * r**2 / (1 + 0.45 * r) * (1 + 0.08 * np.cos(3 * np.arctan2(y, x)))


def chaos(a: np.ndarray, b: np.ndarray, plane: int = 0) -> np.ndarray:
    """A narrow pit among ridges; the range spans four decades and the corners blow up."""
    p = 0.7 * plane
    r = np.sqrt(a**2 + b**2)
    ridges = np.sin(5.1 * a + 2.2 * b + p) * np.cos(4.3 * b - 1.7 * a + p) + 0.55 * np.sin(
        9.7 * a - 6.1 * b + 2 * p
    ) * np.cos(8.3 * b + 3.9 * a)
    well = np.log(0.028) + 5.6 * (1 - np.exp(-((r / 0.34) ** 2)))
    return np.exp(well + 1.15 * ridges * (1 - np.exp(-((r / 0.3) ** 2))) + 1.9 * r**3)


SHAPES = {"bowl": bowl, "chaos": chaos}


def plane(
    kind: str, *, index: int = 0, steps: tuple[int, int] = (51, 51), gaps: bool = True, seed: int = 0
) -> xr.Dataset:
    """A plane of 51 x 51 points with train and test loss, accuracy, errors, and gaps."""
    alpha, beta = (np.linspace(-1, 1, n) for n in steps)
    a, b = np.meshgrid(alpha, beta, indexing="ij")
    loss = SHAPES[kind](a, b, index)
    status = np.full(loss.shape, results.OK, dtype=np.uint8)
    if kind == "chaos" and gaps:
        status[loss > 1400] = results.DIVERGED
        status[3, 40] = results.FAILED
        status[-4:, :3] = results.TODO
    test = 1.12 * SHAPES[kind](a + 0.03, b - 0.02, index) + 0.06
    fields = {"loss": loss, "test_loss": test}
    fields |= {f"{k}_error": 0.9 * v / np.sqrt(EXAMPLES) + 2e-4 for k, v in list(fields.items())}
    for prefix in ("", "test_"):
        accuracy = 0.1 + 0.89 * np.exp(-fields[f"{prefix}loss"] / 1.9)
        fields[f"{prefix}accuracy"] = accuracy
        fields[f"{prefix}accuracy_error"] = np.sqrt(accuracy * (1 - accuracy) / EXAMPLES)
    dims = ("alpha", "beta")
    variables = {
        k: (dims, np.where(status == results.OK, v, np.nan), {"long_name": label(k)})
        for k, v in fields.items()
    }
    variables["status"] = results.status_variable(dims, status)
    start = float(SHAPES[kind](np.array(0.0), np.array(0.0), index))
    return results.dataset(
        "plane",
        variables,
        {"alpha": alpha, "beta": beta},
        normalize="filter",
        seed=seed,
        plane=index,
        axis_cosine=0.0043 - 0.009 * index,
        direction_norm_alpha=17.31,
        direction_norm_beta=17.28,
        theta_norm=23.9,
        method="dense",
        span=[-1.0, 1.0, -1.0, 1.0],
        steps=list(steps),
        start_loss=start,
        start_loss_error=0.9 * start / np.sqrt(EXAMPLES) + 2e-4,
        **FACTS,
    )


def label(name: str) -> str:
    """The long name of a metric: ``test_loss_error`` is "standard error of the test loss"."""
    plain = name.removesuffix("_error").replace("_", " ")
    return f"standard error of the {plain}" if name.endswith("_error") else plain


def line(kind: str, index: int, steps: int = 61) -> xr.Dataset:
    """One random line through the start, at its own angle through the formula's plane."""
    alpha = np.linspace(-1, 1, steps)
    angle = 0.4 + 1.1 * index
    loss = SHAPES[kind](alpha * np.cos(angle), alpha * np.sin(angle), index)
    status = np.where(loss > 1400, results.DIVERGED, results.OK).astype(np.uint8)
    error = 0.9 * loss / np.sqrt(EXAMPLES) + 2e-4
    variables = {
        k: (("alpha",), np.where(status == results.OK, v, np.nan), {"long_name": label(k)})
        for k, v in {"loss": loss, "loss_error": error}.items()
    }
    variables["status"] = results.status_variable(("alpha",), status)
    return results.dataset(
        "line",
        variables,
        {"alpha": alpha},
        normalize="filter",
        seed=index,
        direction_norm_alpha=17.3,
        theta_norm=23.9,
        start_loss=float(loss[steps // 2]),
        **FACTS,
    )


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


def headline(children: dict[str, xr.Dataset]) -> list[dict[str, object]]:
    """The headline numbers as a survey writes them."""
    first, top, estimate = children["plane_0"], children["eigenvalues"], children["trace"]
    middle = first.sel(alpha=0, beta=0, method="nearest")

    def row(name, text, value, error, explain, unit="", exact=False):  # type: ignore[no-untyped-def]
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
            "seed": 0,
            "preset": "quick",
            "created": "2026-11-24T09:30:00Z",
            "provenance": json.dumps(PROVENANCE),
            "headline": json.dumps(headline(children)),
            **attrs,
        }
    )
    return xr.DataTree.from_dict({"/": root, **children})
