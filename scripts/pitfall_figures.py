"""Measure every figure that docs/pitfalls.md quotes and write it there (about 2 minutes).

python scripts/pitfall_figures.py [--only NAME]
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import pitfall_measurements as measured
import pitfall_trainings as trainings
import torch

PAGE = Path(__file__).resolve().parents[1] / "docs" / "pitfalls.md"

FIGURES: dict[str, Callable[[], str]] = {
    "scale": measured.scale,
    "width": measured.width,
    "batch-norm": measured.batchnorm,
    "precision": measured.precision,
    "reduction": measured.reduction,
    "one-plane": measured.one_plane,
    "planes-average": measured.trace,
    "subsample": measured.subsample,
    "loss-level": measured.loss_level,
    "eigenvalue-count": measured.eigenvalue_count,
    "kinks": measured.kinks,
    "random-walk": measured.random_walk,
    "trained-loss": trainings.trained_loss,
    "conditions": measured.conditions,
}


def written(page: str, name: str, text: str) -> str:
    """The page with one figure replaced."""
    block = re.compile(rf"(<!-- figure: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    found, count = block.subn(lambda m: f"{m[1]}\n{text}\n\n{m[2]}", page)
    if count != 1:
        raise SystemExit(f"docs/pitfalls.md has {count} places for the figure {name!r}")
    return found


def main() -> None:
    """Measure and write, one figure after the other."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", choices=FIGURES, help="measure just this figure")
    only = options.parse_args().only
    torch.set_num_threads(1)
    for name, measure in FIGURES.items():
        if only in (None, name):
            text = measure()
            PAGE.write_text(written(PAGE.read_text("utf-8"), name, text), "utf-8")
            print(f"{name}: {text}\n")


if __name__ == "__main__":
    main()
