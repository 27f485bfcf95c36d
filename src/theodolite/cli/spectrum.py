"""``theodolite spectrum``: how the loss curves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from theodolite.cli.options import Options


def spectrum(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = (None),
    /,
    *,
    steps: Annotated[int | None, Parameter(help="Lanczos steps a probe.")] = None,
    probes: Annotated[
        int | None, Parameter(help="Random probes; their spread is the error.")
    ] = None,
    norms: Annotated[
        bool | None,
        Parameter(help="Frobenius norm, diagonal by layer, effective dimension, log determinant."),
    ] = None,
    damping: Annotated[
        float | None, Parameter(help="Added to every eigenvalue in the last two; 0 chooses.")
    ] = None,
    per_layer: Annotated[
        bool | None, Parameter(help="The spectrum, ends and trace of every layer's block.")
    ] = None,
    eigenvalues: Annotated[
        int | None, Parameter(help="So many eigenvalues from both ends, with bounds.")
    ] = None,
    warm_start: Annotated[
        Path | None, Parameter(help="Begin from the eigenvectors in this earlier run's folder.")
    ] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Measure the distribution of the Hessian's eigenvalues, and its ends, norms and layers.

    Bulk, outliers and the shares near and below zero come with it. Eigenvectors of --eigenvalues
    are kept in the run folder while they are 8 million numbers at most; --warm-start uses them.
    """
    from theodolite.cli.running import measured

    changes = {
        "steps": steps,
        "probes": probes,
        "norms": True if damping is not None and norms is None else norms,
        "damping": damping,
        "per_layer": per_layer,
    }
    also: dict[str, dict[str, Any]] = {}
    if eigenvalues is not None or warm_start is not None:
        folder = None if warm_start is None else str(warm_start.resolve())
        also["eigenvalues"] = {"count": eigenvalues, "warm_start": folder}
    return measured(target, options, family="spectrum", changes=changes, also=also)
