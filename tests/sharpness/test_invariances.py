"""Every entry of the table of invariances, true or false, checked on a small network.

Oracle: the measure itself, before and after the change. Equal to 1e-5 where the table says so,
different by 1 % where it does not.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import theodolite as td
from sharpness.changes import CHANGES, Change
from theodolite.errors import InvalidArgument
from theodolite.sharpness import (
    adaptive,
    averaged,
    box,
    directional,
    expansion,
    fisher_rao,
    invariance_table,
    invariances,
    layer_flatness,
    noise,
    pac_bayes,
    top_eigenvalue,
    valleys,
    worst_case,
)

Numbers = np.ndarray
Measure = Callable[[td.Objective, Tensor, Callable[[Tensor], Tensor]], Numbers]
"""Values at a point; the last argument takes vectors that belong to the point along."""


def adam_diagonal(objective: td.Objective, theta: Tensor) -> Tensor:
    """The preconditioner of Adam after one step, but for a small eps relative to its size."""
    size = objective.gradient(theta).abs()
    return size + 1e-3 * size.max()


def given_direction(theta: Tensor, count: int = 1) -> Tensor:
    """Directions at the point before the change."""
    return torch.stack([noise.gaussian(theta, 9, "given", k) for k in range(count)])


def preconditioned(o: td.Objective, t: Tensor, move: object) -> Numbers:
    """The largest curvature in Adam's own units."""
    found = top_eigenvalue.largest_curvature(
        o, theta=t, preconditioner=adam_diagonal(o, t), tolerance=1e-9
    )
    return found.largest_curvature.values


def halved(batch: object) -> tuple[Tensor, Tensor]:
    """Some examples of a batch."""
    x, y = batch.raw[0], batch.raw[1]  # type: ignore[attr-defined]
    return x[::2], y[::2]


MEASURES: dict[str, Measure] = {
    "largest_curvature": lambda o, t, m: (
        top_eigenvalue.largest_curvature(o, theta=t, tolerance=1e-9).largest_curvature.values
    ),
    "largest_curvature, preconditioned": preconditioned,
    "worst_case_sharpness, p=2": lambda o, t, m: (
        worst_case.worst_case_sharpness(o, theta=t, rho=0.3, steps=5).worst_case_sharpness.values
    ),
    "worst_case_sharpness, p=inf": lambda o, t, m: (
        worst_case.worst_case_sharpness(
            o, theta=t, rho=0.1, p=math.inf, steps=5
        ).worst_case_sharpness.values
    ),
    "adaptive_sharpness": lambda o, t, m: np.concatenate(
        [
            adaptive.adaptive_sharpness(o, theta=t, rho=0.3, p=p, steps=s).adaptive_sharpness.values
            for p in (2, math.inf)
            for s in (1, 5)
        ]
    ),
    "adaptive_sharpness, by filter": lambda o, t, m: (
        adaptive.adaptive_sharpness(
            o, theta=t, rho=0.1, by="filter", steps=5
        ).adaptive_sharpness.values
    ),
    "adaptive_sharpness, eta0 > 0": lambda o, t, m: (
        adaptive.adaptive_sharpness(
            o, theta=t, rho=0.3, eta0=0.2, steps=5
        ).adaptive_sharpness.values
    ),
    "average_sharpness": lambda o, t, m: averages(o, t, adaptive=False),
    "average_sharpness, adaptive": lambda o, t, m: averages(o, t, adaptive=True),
    "keskar_sharpness": lambda o, t, m: (
        box.keskar_sharpness(o, theta=t, epsilon=0.02).keskar_sharpness.values
    ),
    "keskar_sharpness, subspace": lambda o, t, m: (
        box.keskar_sharpness(o, theta=t, epsilon=0.05, subspace=3, draws=2).keskar_sharpness.values
    ),
    "pac_bayes_sharpness, error": lambda o, t, m: sigma(o, t),
    "pac_bayes_sharpness, loss": lambda o, t, m: sigma(o, t, loss_rise=0.2),
    "pac_bayes_sharpness, magnitude-aware, error": lambda o, t, m: sigma(
        o, t, magnitude_aware=True, epsilon=0.1
    ),
    "pac_bayes_sharpness, magnitude-aware, loss": lambda o, t, m: sigma(
        o, t, magnitude_aware=True, epsilon=0.1, loss_rise=0.1
    ),
    "pac_bayes_sharpness, magnitude-aware, epsilon=0, error": lambda o, t, m: sigma(
        o, t, magnitude_aware=True, epsilon=0.0
    ),
    "pac_bayes_sharpness, magnitude-aware, epsilon=0, loss": lambda o, t, m: sigma(
        o, t, magnitude_aware=True, epsilon=0.0, loss_rise=0.2
    ),
    "relative_flatness": lambda o, t, m: np.array(
        [
            float(layer_flatness.relative_flatness(o, theta=t, layer=e.layer).relative_flatness)
            for e in o.space.entries
            if e.kind == "linear"
        ]
    ),
    "fisher_rao_norm": lambda o, t, m: (
        fisher_rao.fisher_rao_norm(o, theta=t, matrix="ggn").fisher_rao_norm.values
    ),
    "directional_curvature": lambda o, t, m: (
        directional.directional_curvature(
            o, m(given_direction(t)[0]), theta=t
        ).directional_curvature.values
    ),
    "predicted_rise, trust radius": lambda o, t, m: trust(o, t),
}
"""Each row of the table as numbers."""


def averages(o: td.Objective, t: Tensor, *, adaptive: bool) -> Numbers:
    """Measured and second-order value."""
    found = averaged.average_sharpness(o, theta=t, sigma=0.1, adaptive=adaptive, draws=4)
    return np.concatenate([found.average_sharpness.values, found.second_order.values])


def sigma(o: td.Objective, t: Tensor, **settings: object) -> Numbers:
    """The largest sigma."""
    return pac_bayes.pac_bayes_sharpness(o, theta=t, draws=8, **settings).sigma.values


def trust(o: td.Objective, t: Tensor) -> Numbers:
    """Trust radii along random directions, and the errors they come from."""
    found = expansion.predicted_rise(o, theta=t, radius=np.geomspace(0.001, 3, 30).tolist())
    return np.concatenate([found.trust_radius.values, found.relative_error.values[:, -8:].ravel()])


@functools.cache
def value_before(name: str, objective: str) -> Numbers:
    """The value before any change: four of the five begin with the same network."""
    change = CHANGES[objective]()
    return MEASURES[name](change.before, change.before.start, lambda v: v)


def value_after(measure: Measure, change: Change, monkeypatch: pytest.MonkeyPatch) -> Numbers:
    """The value after it; draws are turned along where the change turns vectors."""
    start = change.before.start
    pulled = given_direction(start)[0]
    if change.turned:
        plain = noise.gaussian

        def turned(like: Tensor, seed: int, stream: str, draw: int) -> Tensor:
            made = plain(like, seed, stream, draw)
            return change.move(made) if len(made) == len(start) else made

        monkeypatch.setattr(noise, "gaussian", turned)
    return measure(
        change.after,
        change.move(start),
        lambda v: v if change.turned else change.move(pulled),
    )


@pytest.mark.parametrize("transformation", CHANGES)
@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_sees_what_the_table_says(
    name: str, transformation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # kills: any entry of the table turned over; units or draws that do not scale with the weights.
    normalized = transformation == invariances.NORMALIZATION
    before = value_before(name, transformation if normalized else invariances.LOSS)
    after = value_after(MEASURES[name], CHANGES[transformation](), monkeypatch)
    assert np.isfinite(before).all()
    gap = np.abs(after - before) / np.abs(before)
    if transformation in invariances.INVARIANT_UNDER[name]:
        assert gap.max() < 1e-5, (before, after)
    else:
        # no answer after the change is another answer, too
        assert np.nan_to_num(gap, nan=np.inf).max() > 1e-2, (before, after)


@pytest.mark.parametrize("transformation", CHANGES)
def test_valleys_see_what_the_table_says(transformation: str) -> None:
    # kills: directions that do not scale with their filters.
    change = CHANGES[transformation]()
    (batch,) = change.before.data
    parts = [part_of(o, halved(batch)) for o in (change.before, change.after)]
    settings = {"span": (-1, 1), "steps": 41}
    start, moved = change.before.start, change.move(change.before.start)
    before = valleys.shifted_valley(change.before, parts[0], count=6, theta=start, **settings)
    along = None
    if transformation == invariances.PERMUTATION:  # the same draws, in the units' new order
        made = td.random_directions(change.before, count=6)
        along = torch.stack([change.move(d) for d in made])
    after = valleys.shifted_valley(
        change.after, parts[1], count=6, theta=moved, directions=along, **settings
    )
    known = np.isfinite(before["shift"].values)
    assert known.sum() >= 2
    same = np.allclose(after["shift"].values[known], before["shift"].values[known], rtol=1e-5)
    assert same == (transformation in invariances.INVARIANT_UNDER["shifted_valley, shift"])


def part_of(objective: td.Objective, data: tuple[Tensor, Tensor]) -> td.Objective:
    """The same model and loss on other data."""
    loss = objective.terms.loss  # type: ignore[attr-defined]
    plain: object = torch.nn.CrossEntropyLoss()
    if "tripled" in loss.label:
        plain = lambda o, t: 3 * torch.nn.functional.cross_entropy(o, t, reduction="none")  # noqa: E731
    return td.Objective(objective.model, plain, data)


def test_every_row_of_the_table_is_checked() -> None:
    # kills: a row added to the table and not to the test.
    assert {*MEASURES, "shifted_valley, shift"} == set(invariances.INVARIANT_UNDER)
    assert set(CHANGES) == set(invariances.TRANSFORMATIONS)


def test_the_changes_leave_the_function_alone() -> None:
    # kills: an example that is none.
    for name, make in CHANGES.items():
        change = make()
        before, after = (
            float(o.value(t))
            for o, t in (
                (change.before, change.before.start),
                (change.after, change.move(change.before.start)),
            )
        )
        times = 3 if name == invariances.LOSS else 1
        assert after == pytest.approx(times * before, rel=1e-12), name


def test_results_name_what_they_do_not_see() -> None:
    # kills: the row of another variant recorded.
    change = CHANGES[invariances.RESCALING]()
    for name, measure in {
        "average_sharpness, adaptive": lambda o: averaged.average_sharpness(o, adaptive=True),
        "adaptive_sharpness, by filter": lambda o: adaptive.adaptive_sharpness(
            o, by="filter", steps=1
        ),
        "worst_case_sharpness, p=inf": lambda o: worst_case.worst_case_sharpness(
            o, p=math.inf, steps=1
        ),
        "keskar_sharpness, subspace": lambda o: box.keskar_sharpness(o, subspace=2, draws=2),
        "pac_bayes_sharpness, magnitude-aware, epsilon=0, loss": lambda o: (
            pac_bayes.pac_bayes_sharpness(
                o, magnitude_aware=True, epsilon=0, loss_rise=0.1, draws=2
            )
        ),
    }.items():
        found = measure(change.before)
        assert found.attrs["measure"] == name
        assert found.attrs["invariant_under"] == invariances.invariant_under(name)


def test_the_table_is_a_result() -> None:
    table = invariance_table()
    assert table.invariant.shape == (len(invariances.INVARIANT_UNDER), 5)
    for name in table.measure.values.tolist():
        held = table.transformation.values[table.invariant.sel(measure=name).values].tolist()
        assert held == invariances.invariant_under(name)
    with pytest.raises(InvalidArgument, match=r"measures must be among .* got 'flatness'"):
        invariance_table("flatness")
