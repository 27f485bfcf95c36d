"""A measurement as one line for people, and a training's last words."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

SHOWN = (
    ("loss", "loss"),
    ("gradient_norm", "gradient"),
    ("sharpness", "sharpness"),
    ("batch_sharpness", "batch sharpness"),
    ("noise_scale", "noise scale"),
    ("distance_from_start", "distance"),
    ("step_angle", "angle"),
)


def line_of(row: Mapping[str, Any], share: float) -> str:
    """A row as text.

    >>> values = {"loss": 0.25, "sharpness": 48.0, "threshold": 50.0}
    >>> line_of({"step": 1200, "values": values}, 0.03)
    'step 1,200  loss 0.25  sharpness 48 (0.96 of 50)  monitor 3 % of training'
    """
    values = row["values"]
    parts = [f"step {row['step']:,}"]
    for name, label in SHOWN:
        value = values.get(name)
        if value is None:
            continue
        text = f"{label} {value:.4g}"
        limit = values.get("threshold")
        if name == "sharpness" and limit is not None:
            text += f" ({value / limit:.2f} of {limit:.4g})"
        parts.append(text)
    if "sharpness" not in values and values.get("eigenvalue"):
        parts.append(f"largest eigenvalue {values['eigenvalue'][0]:.4g}")
    failed = row.get("failures") or {}
    parts += [f"{name} failed" for name in failed]
    parts.append(f"monitor {100 * share:.3g} % of training")
    return "  ".join(parts)


def flat(values: Mapping[str, Any]) -> dict[str, float]:
    """Values as one number a name: lists become ``name_1``, ``name_2``.

    >>> flat({"loss": 0.5, "eigenvalue": [3.0, 1.0]})
    {'loss': 0.5, 'eigenvalue_1': 3.0, 'eigenvalue_2': 1.0}
    """
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, list | tuple):
            found |= {f"{name}_{k}": float(v) for k, v in enumerate(value, 1)}
        else:
            found[name] = float(value)
    return found


def say(text: str) -> None:
    """Print to stderr; a reader that has gone away is no error."""
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return
