"""Which changes of the parameters that leave the function alone leave a measure alone, too."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

from theodolite import results
from theodolite.errors import InvalidArgument

RESCALING = "layer rescaling"
NORMALIZATION = "scale before normalization"
ORTHOGONAL = "orthogonal change of basis"
PERMUTATION = "permutation of neurons"
LOSS = "scale of the loss"

TRANSFORMATIONS: Mapping[str, str] = {
    RESCALING: "a rectified layer times c, the next one over c; the network computes the same",
    NORMALIZATION: "weights before a normalization times c; the network computes the same",
    ORTHOGONAL: "parameters turned by an orthogonal matrix, the loss turned back",
    PERMUTATION: "hidden units in another order",
    LOSS: "the loss times c",
}
"""What is done to an objective and its point."""

_ANY_BASIS = frozenset({ORTHOGONAL, PERMUTATION})
_ADAPTIVE = frozenset({RESCALING, NORMALIZATION, PERMUTATION})

INVARIANT_UNDER: Mapping[str, frozenset[str]] = {
    "largest_curvature": _ANY_BASIS,
    "largest_curvature, preconditioned": frozenset({PERMUTATION, LOSS}),
    "worst_case_sharpness, p=2": _ANY_BASIS,
    "worst_case_sharpness, p=inf": frozenset({PERMUTATION}),
    "adaptive_sharpness": _ADAPTIVE,
    "adaptive_sharpness, by filter": _ADAPTIVE,
    "adaptive_sharpness, eta0 > 0": frozenset({PERMUTATION}),
    "average_sharpness": _ANY_BASIS,
    "average_sharpness, adaptive": _ADAPTIVE,
    "keskar_sharpness": frozenset({PERMUTATION}),
    "keskar_sharpness, subspace": _ANY_BASIS,
    "pac_bayes_sharpness, error": _ANY_BASIS | {LOSS},
    "pac_bayes_sharpness, loss": _ANY_BASIS,
    "pac_bayes_sharpness, magnitude-aware, error": frozenset({PERMUTATION, LOSS}),
    "pac_bayes_sharpness, magnitude-aware, loss": frozenset({PERMUTATION}),
    "pac_bayes_sharpness, magnitude-aware, epsilon=0, error": _ADAPTIVE | {LOSS},
    "pac_bayes_sharpness, magnitude-aware, epsilon=0, loss": _ADAPTIVE,
    "relative_flatness": _ADAPTIVE,
    "fisher_rao_norm": _ADAPTIVE | {ORTHOGONAL},
    "directional_curvature": _ANY_BASIS,
    "predicted_rise, trust radius": _ANY_BASIS | {LOSS},
    "shifted_valley, shift": _ADAPTIVE | {LOSS},
}
"""The changes each measure does not see. Random measures: in expectation over their draws;
directions that are given: when they change along with the parameters."""


def invariant_under(measure: str) -> list[str]:
    """The names of the changes a measure does not see, in the order of `TRANSFORMATIONS`."""
    return [name for name in TRANSFORMATIONS if name in INVARIANT_UNDER[measure]]


def invariance_table(*measures: str) -> xr.Dataset:
    r"""Which reparameterizations leave a measure of sharpness unchanged.

    .. math:: m(L \circ T^{-1},\, T\theta) = m(L, \theta)

    Parameters
    ----------
    measures
        Rows of the table; by default all.

    Returns
    -------
    xarray.Dataset
        ``invariant(measure, transformation)``, true or false, and what each transformation does
        in ``description(transformation)``. The names of the true ones are in
        ``attrs["invariant_under"]`` of every result.

    Notes
    -----
    Costs nothing: a table, each entry of which the tests check on a small network. Random
    measures are invariant in expectation over their draws. Directions that are given must change
    along with the parameters. A preconditioner is meant to be that of Adam, measured anew after
    the change. A measure that sees a change of nothing but the parameters' names for the same
    function (layer rescaling, scale before normalization) cannot by itself explain how that
    function generalizes. Raises `InvalidArgument` for an unknown measure (E-H10).

    References
    ----------
    Dinh, Pascanu, Bengio, Bengio (2017), arXiv:1703.04933.

    Examples
    --------
    >>> table = invariance_table("largest_curvature", "adaptive_sharpness")
    >>> table.invariant.sel(transformation="layer rescaling").values.tolist()
    [False, True]
    """
    for name in measures:
        if name not in INVARIANT_UNDER:
            raise InvalidArgument(
                f"measures must be among {', '.join(map(repr, INVARIANT_UNDER))}; got {name!r}.",
                code="E-H10",
            )
    rows = list(measures or INVARIANT_UNDER)
    names = list(TRANSFORMATIONS)
    held = [[name in INVARIANT_UNDER[row] for name in names] for row in rows]
    return results.dataset(
        "invariances",
        {
            "invariant": (
                ("measure", "transformation"),
                held,
                {"long_name": "whether the measure stays the same"},
            ),
            "description": (
                ("transformation",),
                list(TRANSFORMATIONS.values()),
                {"long_name": "what the transformation does"},
            ),
        },
        {"measure": rows, "transformation": names},
    )
