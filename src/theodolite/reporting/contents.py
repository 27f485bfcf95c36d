"""What a survey tree holds, found by quantity, so that every writer reads it the same way."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from theodolite.errors import InvalidArgument, InvalidData, InvalidType
from theodolite.plots import finished
from theodolite.reporting.connection_parts import ALIGNED, Connections, connections_of
from theodolite.reporting.headline import Headline, written_headline
from theodolite.reporting.numbers import Number
from theodolite.reporting.trajectory_parts import (
    is_trajectory_plane,
    trajectory_of,
    trajectory_plane_of,
)
from theodolite.results import SCHEMA

Reportable = xr.DataTree | xr.Dataset

NEEDED = {
    "start": {"loss"},
    "plane": {"loss"},
    "line": {"loss"},
    "volume": {"loss"},
    "spectral_density": {"node", "weight"},
    "eigenpairs": {"residual"},
    "trace": {"trace", "standard_error"},
    "frobenius_norm": {"frobenius_norm", "norm_error"},
    "layer_diagonals": {"mean", "smallest", "largest"},
    "layer_spectra": {"node", "weight", "trace"},
    "convexity": {"ratio", "smallest_eigenvalue", "status"},
    "sharpness": {"value", "rescaled_value", "kind"},
    "predicted_rise": {"measured", "predicted", "trust_radius", "relative_error"},
    "shifted_valley": {"shift", "train_loss", "test_loss", "length", "name"},
    "gradient_noise_scale": {"simple", "hessian_weighted", "covariance_trace"},
    "signal_to_noise": {"signal_to_noise", "covariance_trace"},
    "gradient_diversity": {"diversity", "batch_bound"},
    "noise_spectrum": {"eigenvalue", "share"},
    "noise_curvature_alignment": {"alignment", "cosine"},
    "gradient_tail_index": {"stable_index", "hill_index", "p_value", "size"},
    "barrier": {"barrier", "loss", "status"},
    "average": {"loss", "barrier"},
    "soup": {"loss", "barrier"},
    "curve": {"saddle_excess", "loss", "arc", "status"},
    "minima_graph": {"height", "edge_height", "minimum_loss"},
    "function_distance": {"disagreement", "ensemble_gain"},
    "unit_matching": {"coverage"},
    "saddle_index": {"index", "verdict", "eigenvalue"},
    "critical_point": {"gradient_norm", "loss"},
    "escape_time": {"steps", "median_steps"},
    "trajectory": {"coordinates"},
    "edge_of_stability": {"eigenvalue", "late_mean", "rate"},
    "certificate": {"figure", "bound", "passed"},
    "training": {"loss"},
    "monitor": {"status"},
    "batch_size_study": {"train_loss", "compared"},
    "optimizer_study": {"train_loss", "compared"},
}
"""What a result must hold to be reported; a run that was stopped may hold less."""


NOISE = (
    "gradient_noise_scale",
    "signal_to_noise",
    "gradient_diversity",
    "noise_spectrum",
    "noise_curvature_alignment",
    "gradient_tail_index",
)
"""Quantities of the section on gradient noise."""

STUDIES = ("batch_size_study", "optimizer_study")
"""Quantities of the section on studies."""

UNMEASURED = "not_measured"
"""Where the survey wrote why a part of it needs more of the gradients than there is."""

RECOMPUTED = "_recomputed"
"""How a plane's name ends when it repeats another with BatchNorm statistics recomputed."""


@dataclass(frozen=True)
class Contents:
    """One survey, sorted by quantity; parts that were not measured are empty or ``None``."""

    label: str
    attrs: Mapping[str, Any]
    planes: tuple[xr.Dataset, ...] = ()
    recomputed: Mapping[int, xr.Dataset] = field(default_factory=dict)
    lines: tuple[xr.Dataset, ...] = ()
    volumes: tuple[xr.Dataset, ...] = ()
    spectrum: xr.Dataset | None = None
    eigenvalues: xr.Dataset | None = None
    trace: xr.Dataset | None = None
    frobenius: xr.Dataset | None = None
    diagonals: xr.Dataset | None = None
    layers: xr.Dataset | None = None
    convexity: xr.Dataset | None = None
    sharpness: xr.Dataset | None = None
    rises: xr.Dataset | None = None
    valleys: xr.Dataset | None = None
    noise: Mapping[str, xr.Dataset] = field(default_factory=dict)
    no_noise: Mapping[str, str] = field(default_factory=dict)
    barriers: tuple[xr.Dataset, ...] = ()
    barriers_recomputed: Mapping[int, xr.Dataset] = field(default_factory=dict)
    averages: xr.Dataset | None = None
    connections: Connections = Connections()  # noqa: RUF009 (frozen, without state)
    saddles: xr.Dataset | None = None
    critical: xr.Dataset | None = None
    escapes: tuple[xr.Dataset, ...] = ()
    edge: xr.Dataset | None = None
    trajectory: xr.Dataset | None = None
    trajectory_plane: xr.Dataset | None = None
    certificate: xr.Dataset | None = None
    training: xr.Dataset | None = None
    monitor: xr.Dataset | None = None
    studies: Mapping[str, xr.Dataset] = field(default_factory=dict)
    headline: tuple[Headline, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def note(self, name: str, otherwise: Any = None) -> Any:
        """A setting by name: from the survey, else from its first measurement."""
        return self.attrs.get(name, self.facts.get(name, otherwise))

    def number(self, name: str) -> Number | None:
        """The headline number of that name, where the survey wrote a finite one.

        Sentences cite it rather than compute it again: one number has one value on a page.
        """
        found = (h.number for h in self.headline if h.name == name)
        return next((n for n in found if math.isfinite(n.value)), None)


def read_trees(trees: Any) -> tuple[Contents, ...]:
    """The contents of one or several surveys, each with a label of its own.

    `trees` is a survey tree, a single result, a sequence of them, or a mapping from the label
    each shall have. Raises ``InvalidType``, ``InvalidArgument`` (nothing to report) or
    ``InvalidData`` (written by a newer version).
    """
    named: list[tuple[str | None, Any]]
    if isinstance(trees, xr.DataTree | xr.Dataset):
        named = [(None, trees)]
    elif isinstance(trees, Mapping):
        named = [(str(label), tree) for label, tree in trees.items()]
    elif isinstance(trees, Sequence) and not isinstance(trees, str):
        named = [(None, tree) for tree in trees]
    else:
        named = [(None, trees)]
    if not named:
        raise InvalidArgument(
            "there is nothing to report: no survey was given.",
            fix="pass the tree that survey() returned, or a list of such trees.",
            code="E-H01",
        )
    found = [_contents(tree, label) for label, tree in named]
    labels = _distinct([c.label for c in found], [str(c.attrs.get("target", "")) for c in found])
    return tuple(
        Contents(**{**c.__dict__, "label": label}) for c, label in zip(found, labels, strict=True)
    )


def _contents(tree: Any, label: str | None) -> Contents:
    results = _results(tree)
    for name, result in results:
        if int(result.attrs.get("schema", SCHEMA)) > SCHEMA:
            raise InvalidData(
                f"result {name!r} has schema {result.attrs['schema']}; "
                f"this version reads up to {SCHEMA}.",
                fix="upgrade theodolite, or write the report with the version that measured.",
                code="E-H03",
            )

    def every(quantity: str) -> tuple[xr.Dataset, ...]:
        return tuple(r for _, r in results if _is(r, quantity))

    def first(quantity: str) -> xr.Dataset | None:
        return next(iter(every(quantity)), None)

    history = next((r for n, r in results if n == "training" and "epoch" in r.dims), None)
    if not any(every(quantity) for quantity in NEEDED) and history is None:
        raise InvalidArgument(
            "there is nothing to report: the tree holds no result.",
            fix="pass a tree whose children were made by survey(), plane(), spectral_density()...",
            code="E-H01",
        )
    planes, recomputed = _variants(
        [(n, r) for n, r in results if _is(r, "plane") and not is_trajectory_plane(r)]
    )
    lines = [(n, r) for n, r in results if _is(r, "barrier") and not n.startswith(ALIGNED)]
    barriers, barriers_again = _variants(lines)
    attrs = {str(k): v for k, v in tree.attrs.items()} if isinstance(tree, xr.DataTree) else {}
    facts = _facts([*every("plane"), *every("line"), *(r for _, r in results)])
    spectrum = first("spectral_density")
    if spectrum is not None:
        spectrum = finished(spectrum)
    return Contents(
        label=label or str(attrs.get("model") or facts.get("model") or "model"),
        attrs=attrs,
        planes=planes,
        recomputed=recomputed,
        lines=every("line"),
        volumes=every("volume"),
        spectrum=spectrum if spectrum is not None and spectrum.sizes["probe"] else None,
        eigenvalues=first("eigenpairs"),
        trace=first("trace"),
        frobenius=first("frobenius_norm"),
        diagonals=first("layer_diagonals"),
        layers=first("layer_spectra"),
        convexity=first("convexity"),
        sharpness=first("sharpness"),
        rises=first("predicted_rise"),
        valleys=first("shifted_valley"),
        noise={q: r for q in NOISE if (r := first(q)) is not None},
        no_noise={n: str(r.attrs[UNMEASURED]) for n, r in results if UNMEASURED in r.attrs},
        barriers=barriers,
        barriers_recomputed=barriers_again,
        averages=next(iter((*every("average"), *every("soup"))), None),
        connections=connections_of(results, _is),
        saddles=first("saddle_index"),
        critical=first("critical_point"),
        escapes=every("escape_time"),
        edge=first("edge_of_stability"),
        trajectory=trajectory_of(results),
        trajectory_plane=trajectory_plane_of(results),
        certificate=first("certificate"),
        training=first("training") if history is None else history,
        monitor=first("monitor"),
        studies={q: r for q in STUDIES if (r := first(q)) is not None},
        headline=written_headline(attrs),
        facts=facts,
    )


def _is(result: xr.Dataset, quantity: str) -> bool:
    return result.attrs.get("quantity") == quantity and NEEDED[quantity] <= set(result)


def _variants(
    planes: Sequence[tuple[str, xr.Dataset]],
) -> tuple[tuple[xr.Dataset, ...], dict[int, xr.Dataset]]:
    """The planes, and by their places those measured again with recomputed statistics."""
    names = [n for n, _ in planes]
    again = {n.removesuffix(RECOMPUTED): r for n, r in planes if n.endswith(RECOMPUTED)}
    again = {n: r for n, r in again.items() if n in names}
    first = [(n, r) for n, r in planes if n.removesuffix(RECOMPUTED) not in again or n in again]
    pairs = {k: again[n] for k, (n, _) in enumerate(first) if n in again}
    return tuple(r for _, r in first), pairs


def _results(tree: Any) -> list[tuple[str, xr.Dataset]]:
    if isinstance(tree, xr.Dataset):
        return [(str(tree.attrs.get("quantity", "result")), tree)]
    if not isinstance(tree, xr.DataTree):
        raise InvalidType(
            f"a report is made from survey trees or results; got {type(tree).__name__}.",
            fix="pass the xarray.DataTree that survey() returned.",
            code="E-H04",
        )
    children = [(str(k), v.to_dataset()) for k, v in tree.children.items()]
    return sorted(children, key=lambda pair: _natural(pair[0]))


def _facts(results: Sequence[xr.Dataset]) -> dict[str, Any]:
    """The settings of all results, the first to name one wins."""
    found: dict[str, Any] = {}
    for result in results:
        for name, value in result.attrs.items():
            found.setdefault(str(name), value)
    return found


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that puts plane_2 before plane_10."""
    return [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", name)]


def _distinct(labels: list[str], targets: list[str]) -> list[str]:
    """`labels`, told apart by their targets and then by their place where they repeat."""
    if len(set(labels)) < len(labels) and len(set(targets)) == len(targets):
        labels = [f"{a} ({b})" if b else a for a, b in zip(labels, targets, strict=True)]
    seen: dict[str, int] = {}
    out = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        out.append(f"{label} [{seen[label]}]" if labels.count(label) > 1 else label)
    return out
