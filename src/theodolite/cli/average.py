"""``theodolite average``: one network from weights in files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from theodolite.cli.options import Options


def average(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = (None),
    /,
    *files: Annotated[Path, Parameter(help="Weights to average; one file: the target's with it.")],
    kind: Annotated[
        str | None,
        Parameter(help="uniform: all of them; greedy: those that help on the target's test data."),
    ] = None,
    align: Annotated[
        str | None,
        Parameter(help="weights, activations, straight-through: match units to the first's."),
    ] = None,
    repair: Annotated[
        bool | None, Parameter(help="Of two: spread the average's units as theirs.")
    ] = None,
    threshold: Annotated[
        float | None, Parameter(help="The highest barrier within a basin, in units of the loss.")
    ] = None,
    steps: Annotated[int | None, Parameter(help="Points on each line, ends included.")] = None,
    refine: Annotated[
        int | None, Parameter(help="Passes spent at most on each maximum; 0: none.")
    ] = None,
    level: Annotated[float | None, Parameter(help="Of the intervals.")] = None,
    resamples: Annotated[int | None, Parameter(help="Of the examples, for the intervals.")] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Average weights within a basin: theodolite average TARGET A B [C...] [--align weights].

    The barriers between the files are measured first, and weights that lie across one are not
    averaged. BatchNorm statistics are computed anew from all the training data. The weights are
    written to average.safetensors in the run folder. Files are .safetensors or of torch.save, and
    nothing in them is run.
    """
    from theodolite.cli.arguments_in_order import target_first
    from theodolite.cli.running import measured

    target, files = target_first(target, files)
    changes: dict[str, Any] = {
        "files": [str(Path(name).resolve()) for name in files] or None,
        "kind": kind,
        "align": align,
        "repair": repair,
        "threshold": threshold,
        "steps": steps,
        "refine": refine,
        "level": level,
        "resamples": resamples,
        "required": True,
    }
    return measured(target, options, family="averaging", changes=changes)
