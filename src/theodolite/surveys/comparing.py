"""The headline numbers of many runs as one table, with what their errors let one tell apart."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from theodolite.errors import InvalidArgument, InvalidData, InvalidType
from theodolite.results import dataset

MISSING, LEADING, TIED, BEHIND, UNDECIDED = range(5)
"""Values of ``standing``."""
STANDINGS = ("missing", "leading", "tied", "behind", "undecided")
SEPARATE = 2.0
"""Values fewer combined errors away from the leading one are not told apart from it."""

Trees = Sequence[xr.DataTree] | Mapping[str, xr.DataTree]


def compare(trees: Trees) -> xr.Dataset:
    r"""The headline numbers of several runs side by side, and which of them differ.

    The *leading* value of a number is its lowest one, for accuracies its highest. Another value
    x with error s is *tied* with the leading x* with error s* when

    .. math:: |x - x^*| < 2 \sqrt{s^2 + s^{*2}}

    and *behind* otherwise. A number said to be exact has no error; where an error is missing the
    standing is *undecided*, unless the values are equal.

    Parameters
    ----------
    trees
        What ``survey`` or ``load_run`` returned, as a sequence or by label. Without labels a run
        is called after its model, with a number where names repeat.

    Returns
    -------
    quantity ``comparison`` over (run, number): ``value`` and ``error`` (NaN without one),
    ``exact``, ``distance`` from the leading value in combined errors, ``standing`` (0 missing,
    1 leading, 2 tied, 3 behind, 4 undecided); ``label``, ``unit`` and ``leading_is`` over number.

    Raises
    ------
    InvalidArgument
        With fewer than two trees or without a single headline number (E-I22).
    InvalidType, InvalidData
        For what is no tree (E-I23) or a headline that cannot be read (E-I24).

    Notes
    -----
    Cost: none, the numbers are read from the trees. Errors are combined as if independent; runs
    measured on the same examples err together, so a tie may hide a difference that a paired test
    would show. With k runs some pair differs by two errors by chance in about 5 k %. Not checked:
    that the runs used the same data, measures and settings. Lowest is an order, not a verdict: a
    lower curvature is not a better model.

    Examples
    --------
    >>> import json, xarray as xr
    >>> def run(loss, error):
    ...     row = {"name": "loss", "label": "Loss", "value": loss, "error": error}
    ...     return xr.DataTree(xr.Dataset(attrs={"headline": json.dumps([row])}))
    >>> table = compare({"a": run(1.0, 0.3), "b": run(1.9, 0.4), "c": run(2.0, 0.1)})
    >>> table.standing.sel(number="loss").values.tolist()  # 0.9 < 2 * 0.5, 1.0 > 2 * 0.316
    [1, 2, 3]
    """
    named = _named(trees)
    rows = {label: _headline(tree, label) for label, tree in named.items()}
    order = list(dict.fromkeys(name for found in rows.values() for name in found))
    if len(named) < 2 or not order:
        raise InvalidArgument(
            f"trees must be two or more runs with headline numbers; got {len(named)}"
            f"{'' if order else ' without any number'}.",
            fix="pass the trees of finished surveys.",
            code="E-I22",
        )
    shape = (len(rows), len(order))
    value, error = np.full(shape, np.nan), np.full(shape, np.nan)
    exact = np.zeros(shape, np.uint8)
    for i, found in enumerate(rows.values()):
        for j, name in enumerate(order):
            if name in found:
                value[i, j] = _float(found[name].get("value"))
                error[i, j] = _float(found[name].get("error"))
                exact[i, j] = bool(found[name].get("exact", False))
    firsts = {n: next(found[n] for found in rows.values() if n in found) for n in order}
    return _table(list(rows), firsts, value, error, exact)


def leading_is(name: str) -> str:
    """``highest`` for accuracies, ``lowest`` for every other number.

    >>> leading_is("test_accuracy"), leading_is("largest_eigenvalue")
    ('highest', 'lowest')
    """
    return "highest" if name.endswith("accuracy") else "lowest"


def standings(
    value: np.ndarray, error: np.ndarray, exact: np.ndarray, *, highest: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The standing of each run in one number, and its distance from the leading one in errors."""
    standing = np.full(value.shape, MISSING, np.uint8)
    distance = np.full(value.shape, np.nan)
    known = np.isfinite(value)
    if not known.any():
        return standing, distance
    signed = np.where(known, value if highest else -value, -np.inf)
    best = int(np.argmax(signed))
    own = np.where(exact == 1, 0.0, error)
    gap, both = np.abs(value - value[best]), np.hypot(own, own[best])
    for k in np.flatnonzero(known):
        if gap[k] == 0:
            distance[k] = 0.0
        elif both[k] > 0:
            distance[k] = gap[k] / both[k]
        elif both[k] == 0:
            distance[k] = np.inf
        standing[k] = _standing(float(distance[k]))
    standing[best] = LEADING
    return standing, distance


def _standing(distance: float) -> int:
    if math.isnan(distance):
        return UNDECIDED
    return TIED if distance < SEPARATE else BEHIND


def _table(
    runs: list[str],
    firsts: dict[str, dict[str, Any]],
    value: np.ndarray,
    error: np.ndarray,
    exact: np.ndarray,
) -> xr.Dataset:
    both = ("run", "number")
    names = list(firsts)
    pairs = [
        standings(value[:, j], error[:, j], exact[:, j], highest=leading_is(n) == "highest")
        for j, n in enumerate(names)
    ]
    meaning = ", ".join(f"{k} {word}" for k, word in enumerate(STANDINGS))
    errors = {"long_name": "distance from the leading value", "units": "combined errors"}
    texts = {
        "label": ([str(f.get("label", n)) for n, f in firsts.items()], "label of the number"),
        "unit": ([str(f.get("unit") or "") for f in firsts.values()], "unit of the number"),
        "leading_is": ([leading_is(n) for n in names], "which value leads"),
    }
    return dataset(
        "comparison",
        {
            "value": (both, value, {"long_name": "headline number"}),
            "error": (both, error, {"long_name": "error of the headline number"}),
            "exact": (both, exact, {"long_name": "whether the number is exact"}),
            "distance": (both, np.stack([d for _, d in pairs], axis=1), errors),
            "standing": (
                both,
                np.stack([s for s, _ in pairs], axis=1),
                {"long_name": f"standing: {meaning}"},
            ),
            **{k: (("number",), v, {"long_name": name}) for k, (v, name) in texts.items()},
        },
        {"run": runs, "number": names},
        separate=SEPARATE,
    )


def _named(trees: Any) -> dict[str, Any]:
    if isinstance(trees, Mapping):
        return {str(k): v for k, v in trees.items()}
    if not isinstance(trees, Sequence) or isinstance(trees, str):
        raise _no_tree(trees)
    models = [str(getattr(t, "attrs", {}).get("model", "run")) for t in trees]
    seen: dict[str, int] = {}
    found = {}
    for model, tree in zip(models, trees, strict=True):
        seen[model] = seen.get(model, 0) + 1
        found[f"{model} [{seen[model]}]" if models.count(model) > 1 else model] = tree
    return found


def _headline(tree: Any, label: str) -> dict[str, dict[str, Any]]:
    if not isinstance(tree, xr.DataTree):
        raise _no_tree(tree)
    try:
        rows = json.loads(tree.attrs.get("headline", "[]"))
        return {str(row["name"]): dict(row) for row in rows}
    except (ValueError, TypeError, KeyError) as cause:
        raise InvalidData(
            f"the headline of {label!r} cannot be read: {cause!r}.",
            fix="run the survey again, or restore its results from a copy.",
            code="E-I24",
        ) from cause


def _no_tree(got: Any) -> InvalidType:
    return InvalidType(
        f"trees must be survey trees; got {type(got).__name__}.",
        fix="pass a list of what survey() or load_run() returned.",
        code="E-I23",
    )


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)
