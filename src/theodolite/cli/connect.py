"""``theodolite connect``: the loss between weights in files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from theodolite.cli.options import Options


def connect(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = (None),
    /,
    *files: Annotated[
        Path,
        Parameter(help="Weights to connect, every two of them; one file: the target's with it."),
    ],
    steps: Annotated[int | None, Parameter(help="Points on each line, ends included.")] = None,
    refine: Annotated[
        int | None, Parameter(help="Passes spent at most on each maximum; 0: none.")
    ] = None,
    level: Annotated[float | None, Parameter(help="Of the intervals.")] = None,
    resamples: Annotated[int | None, Parameter(help="Of the examples, for the intervals.")] = None,
    batch_norm: Annotated[
        str | None, Parameter(help="given leaves out the lines with recomputed statistics.")
    ] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Measure how high the loss rises between weights: theodolite connect TARGET A B [C...].

    Files are .safetensors or of torch.save, and nothing in them is run. BatchNorm networks are
    measured twice: with statistics averaged as the weights are, and with recomputed ones.
    """
    from theodolite.cli.running import measured

    changes: dict[str, Any] = {
        "files": [str(Path(name).resolve()) for name in files] or None,
        "steps": steps,
        "refine": refine,
        "level": level,
        "resamples": resamples,
        "batch_norm": batch_norm,
        "required": True,
    }
    return measured(target, options, family="connectivity", changes=changes)
