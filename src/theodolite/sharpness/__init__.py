"""How sharp the loss is around a point: every measure, its error, and what it does not see.

Names are imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theodolite.sharpness.adaptive import adaptive_sharpness as adaptive_sharpness
    from theodolite.sharpness.averaged import average_sharpness as average_sharpness
    from theodolite.sharpness.box import keskar_sharpness as keskar_sharpness
    from theodolite.sharpness.directional import directional_curvature as directional_curvature
    from theodolite.sharpness.expansion import predicted_rise as predicted_rise
    from theodolite.sharpness.fisher_rao import fisher_rao_norm as fisher_rao_norm
    from theodolite.sharpness.invariances import invariance_table as invariance_table
    from theodolite.sharpness.layer_flatness import relative_flatness as relative_flatness
    from theodolite.sharpness.pac_bayes import pac_bayes_sharpness as pac_bayes_sharpness
    from theodolite.sharpness.rescaling import layer_rescaling as layer_rescaling
    from theodolite.sharpness.top_eigenvalue import largest_curvature as largest_curvature
    from theodolite.sharpness.valleys import shifted_valley as shifted_valley
    from theodolite.sharpness.worst_case import worst_case_sharpness as worst_case_sharpness

_HOMES = {
    "adaptive_sharpness": "adaptive",
    "average_sharpness": "averaged",
    "directional_curvature": "directional",
    "fisher_rao_norm": "fisher_rao",
    "invariance_table": "invariances",
    "keskar_sharpness": "box",
    "largest_curvature": "top_eigenvalue",
    "layer_rescaling": "rescaling",
    "pac_bayes_sharpness": "pac_bayes",
    "predicted_rise": "expansion",
    "relative_flatness": "layer_flatness",
    "shifted_valley": "valleys",
    "worst_case_sharpness": "worst_case",
}

__all__ = [
    "adaptive_sharpness",
    "average_sharpness",
    "directional_curvature",
    "fisher_rao_norm",
    "invariance_table",
    "keskar_sharpness",
    "largest_curvature",
    "layer_rescaling",
    "pac_bayes_sharpness",
    "predicted_rise",
    "relative_flatness",
    "shifted_valley",
    "worst_case_sharpness",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'theodolite.sharpness' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"theodolite.sharpness.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
