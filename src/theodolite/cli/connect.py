"""``theodolite connect``: what lies between weights in files, and how they are related."""

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
    align: Annotated[
        str | None, Parameter(help="weights, activations, straight-through, none.")
    ] = None,
    curve: Annotated[
        str | None, Parameter(help="bezier, polychain, none; usual: bezier to 3 points.")
    ] = None,
    curve_steps: Annotated[int | None, Parameter(help="Batches a curve is trained on.")] = None,
    curve_rate: Annotated[float | None, Parameter(help="Its rate; by default tried.")] = None,
    bands: Annotated[
        bool | None, Parameter(help="Elastic bands for the graph of 3 to 6.", negative="")
    ] = None,
    threshold: Annotated[
        float | None, Parameter(help="Rise that counts as none; usual: 2 % of the gain.")
    ] = None,
    steps: Annotated[int | None, Parameter(help="Points on each path, ends included.")] = None,
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
    """How weights are related: theodolite connect TARGET A B [C...].

    One verdict a pair (same basin, same up to permutation, joined only by a curve, distinct) and
    the lines, curves and answers behind it. Nothing in a file is run.
    """
    from theodolite.cli.arguments_in_order import target_first
    from theodolite.cli.running import measured

    target, files = target_first(target, files)
    changes: dict[str, Any] = {
        "files": [str(Path(name).resolve()) for name in files] or None,
        "align": align,
        "curve": curve,
        "curve_steps": curve_steps,
        "curve_rate": curve_rate,
        "bands": bands,
        "threshold": threshold,
        "steps": steps,
        "refine": refine,
        "level": level,
        "resamples": resamples,
        "batch_norm": batch_norm,
        "required": True,
    }
    return measured(target, options, family="connectivity", changes=changes)
