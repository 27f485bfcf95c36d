"""The graph of several points as a unit. Oracle: `minima_graph`, and the lines of the run."""

from __future__ import annotations

import json
from collections import deque
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import theodolite as td
from connectivity.paths import classes, normalized
from theodolite.errors import InvalidArgument
from theodolite.reporting import save_figures, summary
from theodolite.reporting.connection_graph import graph_words
from theodolite.reporting.connectivity import connection_panels
from theodolite.reporting.contents import read_trees
from theodolite.surveys.farm import Field, waits
from theodolite.surveys.groups import Group
from theodolite.surveys.measures.connectivity import CONNECTIVITY
from theodolite.surveys.plan import Plan, outline, resolved_settings

FEW = {"steps": 5, "refine": 0, "resamples": 20, "curve_steps": 8, "curve_rate": 0.01}


def target() -> td.Target:
    return td.Target(td.Objective(normalized(), nn.CrossEntropyLoss(), classes(30, 0)))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A trained network and two with its units in other orders: one loss, barriers between."""
    place = tmp_path_factory.mktemp("points")
    model, (x, y) = normalized(1).train(), classes(30, 0)
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(80):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    state = model.eval().state_dict()
    units = td.symmetries(model, x[:4])
    for k in range(3):
        moved = units.apply(state, units.random(k)) if k else state
        save_file(dict(moved), place / f"net{k}.safetensors")
    return [str(place / f"net{k}.safetensors") for k in range(3)]


@pytest.fixture(scope="module")
def run(files: list[str]) -> object:
    return surveyed(files)


def surveyed(files: list[str], out: Path | None = None, **how: object) -> object:
    settings = {"connectivity": {"files": files, "align": "none", **FEW, **how}}
    return td.survey(target(), measures=["connectivity"], settings=settings, seed=2, out=out)


def groups(files: list[str], **how: object) -> dict[str, Group]:
    settings = resolved_settings(CONNECTIVITY, "quick", {"files": files, **FEW, **how})
    return {g.name: g for g in CONNECTIVITY.groups(target(), settings, 5)}


def test_the_graph_takes_the_lines_and_curves_of_the_run(run):
    """Kills: lines with averaged statistics, paths made anew, pairs in another order."""
    graph = run["minima_graph"]
    assert list(graph["first"].values) == ["net0", "net1", "net2"]
    assert graph.attrs["passes"] == 3  # the minima alone
    for i, j in ((0, 1), (0, 2), (1, 2)):
        line, curve = run[f"barrier_{i}_{j}_recomputed"], run[f"curve_{i}_{j}"]
        assert float(graph["line_height"][i, j]) == float(line["loss"].max())
        assert float(graph["curve_height"][j, i]) == float(curve["loss"].max())
        assert float(graph["distance"][i, j]) == line.attrs["distance"]


def test_without_saved_parts_the_numbers_are_the_same(files):
    """Oracle: the parts taken up. Kills: other seeds, parts that are not taken up by name."""
    own, made = target(), groups(files, align="none")
    group = made["minima_graph"]
    saved = {n: made[n].open(own)(0) for n in group.after}
    taken, anew = group.resume(own, saved)(0), group.open(own)(0)
    partly = group.resume(own, {k: saved[k] for k in list(saved)[:2]})(0)
    for other in (anew, partly):
        for name in taken.data_vars:
            np.testing.assert_array_equal(taken[name].values, other[name].values, err_msg=name)
    assert group.after[0] == "barrier_0_1_recomputed"


def test_which_points_have_a_graph_and_what_bands_cost(files):
    """Kills: graphs of two or seven points, bands that are not announced or not asked for."""
    assert "minima_graph" not in groups(files[:2])
    assert "minima_graph" not in groups(files, curve="none")
    assert "minima_graph" in groups(files * 2, curve="bezier")
    assert "minima_graph" not in groups([*files * 2, files[0]], curve="bezier")
    plain, bands = (groups(files, bands=b)["minima_graph"] for b in (False, True))
    assert plain.passes == 3.0
    assert not plain.bound
    assert bands.bound
    assert bands.passes > 100
    given = groups(files, batch_norm="given")["minima_graph"]
    assert given.passes > plain.passes  # its lines are not among those of the run
    for names, more in ((files[:2], {}), (files, {"curve": "none"})):
        with pytest.raises(InvalidArgument, match="bands are looked for between 3 to 6") as caught:
            groups(names, bands=True, **more)
        assert caught.value.code == "E-S52"


def test_with_bands_the_heights_fall_or_stay(files):
    """Kills: bands that are not passed on, steps of a band that are not the curve's in all."""
    graph = groups(files, bands=True, curve_steps=4)["minima_graph"].open(target())(0)
    assert graph.attrs["bands"] > 0
    known = graph["band_height"].values[np.isfinite(graph["band_height"].values)]
    assert len(known) == 2 * graph.attrs["bands"]
    assert bool((graph["height"] <= graph["curve_height"].fillna(np.inf)).all())


def test_seconds_come_on_top_of_the_passes(files):
    """Kills: fixed costs left out of the plan or counted per pass."""
    plan = Plan(tuple(groups(files).values()))
    lines = outline(plan)
    total = sum(line.time(0.01) for line in lines)
    assert total == pytest.approx(plan.passes * 0.01 + plan.seconds)
    assert plan.seconds > 3.0  # three traces
    costs = plan.costs(0.5)
    matching = next(g for g in plan.groups if g.name == "matching_0_1")
    assert costs["matching_0_1"] == pytest.approx(matching.passes + matching.seconds / 0.5)
    assert plan.costs(None)["matching_0_1"] == matching.passes


def test_a_group_that_gathers_waits_for_what_is_at_work(files):
    """Kills: lines made a second time by a free worker."""
    made = groups(files)
    state = Field(waiting=deque(), flying={Future(): (made["curve_0_1"], 0)})
    assert waits(state, made["minima_graph"])
    assert not waits(state, made["aligned_curve_0_1"])
    state.flying = {Future(): (made["matching_0_1"], 0)}
    assert not waits(state, made["minima_graph"])


def test_the_page_the_words_and_the_record_hold_the_graph(run, tmp_path):
    """Kills: the tree without its picture, verdicts left out of the top of the page."""
    (contents,) = read_trees(run)
    graph = run["minima_graph"]
    (said,) = graph_words(contents.connections)
    assert f"{float(graph['mean_edge_height']):.3g}" in said
    (panel,) = connection_panels([contents])
    part = panel.parts[0]
    assert part.title == "The graph of the minima"
    assert "<svg" in part.views[0].pictures[0].drawn
    assert len(part.tables[0][1].rows) == 2
    model = summary.summarize([contents]).models[0]
    record = json.loads(json.dumps(model.records["minima_graph"]))
    assert [m["name"] for m in record["minima"]] == ["net0", "net1", "net2"]
    assert record["pairs"][2]["line_height"] == float(graph["line_height"][1, 2])
    top = [str(s[0]) for s in model.words]
    assert sum("net0 and net1" in s for s in top) == 1
    names = {p.stem for p in save_figures(run, tmp_path)}
    assert {"minima_graph", "barrier_0_1", "path_1_2", "different_answers"} <= names


def test_a_line_as_low_as_the_curve_needs_none(run):
    """Kills: a curve called lowest where it gains less than the threshold."""
    (contents,) = read_trees(run)
    found = contents.connections
    graph = run["minima_graph"].to_dataset().copy(deep=True)
    graph["kind"][:] = 2
    graph["height"][:] = graph["line_height"] - 1e-9
    (said,) = graph_words(type(found)(lines=found.lines, graph=graph))
    assert "Nothing is lower than the straight line, by the threshold, between every pair" in said
    graph["height"][0, 1] = graph["line_height"][0, 1] - 10.0
    (said,) = graph_words(type(found)(lines=found.lines, graph=graph))
    assert "A curve is the lowest path between net0 and net1." in said
