"""The numbers of a slice, whole or row by row: the units in which a survey computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.objective.same_space import check_same_space
from theodolite.surfaces import agreement
from theodolite.surfaces.evaluators import Evaluator
from theodolite.surfaces.sweep import Walk, line_walk, plane_walk, swept

Values = dict[str, np.ndarray[Any, np.dtype[Any]]]
Progress = Callable[[int, int], None]


def line_values(
    objective: Objective,
    direction: Shaped[Tensor, ...],
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    alphas: Sequence[float] | Float[np.ndarray, " alpha"],
    test: Objective | None = None,
    progress: Progress | None = None,
) -> Values:
    """Loss, errors, accuracy and status at ``theta + alpha * direction``, arrays ``(alpha,)``.

    Any part of a line, computed alone, gives the same bits as in the whole. Costs one pass over
    the data a point (and one over the test data).
    """
    base = agreement.checked_theta(objective, theta)
    along = agreement.checked_direction(objective, direction)
    places = _finite(alphas, "alphas")

    def walk(point: Tensor) -> Walk:
        return line_walk(point, along.to(point), places)

    found = both(objective, test, base, walk, len(places), progress, moved=theta is not None)
    return {name: values.reshape(len(places)) for name, values in found.items()}


def plane_rows(
    objective: Objective,
    directions: Shaped[Tensor, ...],
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    alphas: Sequence[float] | Float[np.ndarray, " alpha"],
    betas: Sequence[float] | Float[np.ndarray, " beta"],
    rows: Sequence[int],
    test: Objective | None = None,
    evaluators: Mapping[str, Evaluator | None] | None = None,
    progress: Progress | None = None,
) -> Values:
    """The rows of a plane whose numbers are given: arrays ``(row, beta)``, alpha fixed in a row.

    Loss, errors, accuracy and status at
    ``theta + alphas[row] * directions[0] + betas * directions[1]``. Rows computed apart give the
    same bits as the whole plane. `evaluators` are those of `evaluators_for`; by default points are
    evaluated plainly. Costs one pass over the data a point (and one over the test data).
    """
    base = agreement.checked_theta(objective, theta)
    axes = agreement.checked_directions(objective, directions)
    across, down = _finite(betas, "betas"), _finite(alphas, "alphas")
    for row in rows:
        if not 0 <= row < len(down):
            raise InvalidArgument(
                f"rows must lie between 0 and {len(down) - 1}; got {row}.", code="E-G11"
            )
    chosen = [down[row] for row in rows]

    def walk(point: Tensor) -> Walk:
        return plane_walk(point, axes.to(point), chosen, across)

    count = len(chosen) * len(across)
    moved = theta is not None
    found = both(objective, test, base, walk, count, progress, evaluators, moved=moved)
    return {name: values.reshape(len(chosen), len(across)) for name, values in found.items()}


def both(
    objective: Objective,
    test: Objective | None,
    base: Tensor,
    walk: Callable[[Tensor], Walk],
    count: int,
    progress: Progress | None,
    evaluators: Mapping[str, Evaluator | None] | None = None,
    *,
    moved: bool,
) -> Values:
    """The same points for the objective and then the test objective."""
    if test is not None:
        check_same_space(objective, test, moved=moved)
    both = [objective] if test is None else [objective, test]
    done, total = 0, count * len(both)

    def ticked() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    found: Values = {}
    for each, prefix in zip(both, ("", "test_"), strict=False):
        wide = torch.promote_types(base.dtype, each.space.dtype)
        start = base.to(device=each.device, dtype=wide)
        evaluator = (evaluators or {}).get(prefix)
        for name, values in swept(each, start, walk(start), ticked, evaluator).items():
            dtype = np.uint8 if name == "status" else np.float64
            found[prefix + name] = np.array(values, dtype=dtype)
    return found


def _finite(values: Any, name: str) -> list[float]:
    listed = np.asarray(values, dtype=np.float64)
    if listed.ndim != 1 or not np.isfinite(listed).all():
        raise InvalidArgument(f"{name} must be finite numbers in one row.", code="E-G01")
    return [float(v) for v in listed]
