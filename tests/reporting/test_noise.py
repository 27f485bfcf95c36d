"""The section on gradient noise from numbers written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from theodolite import results
from theodolite.reporting import report, write_summary
from theodolite.reporting.contents import read_trees
from theodolite.reporting.explanations import EXPLANATIONS
from theodolite.reporting.noise import layer_table, noise_panels, number_table
from theodolite.reporting.noise_advice import (
    advice_row,
    advice_sentence,
    advice_text,
    caveats,
    tail_text,
)
from theodolite.reporting.pitfalls import PITFALLS
from theodolite.reporting.sentences import Cited
from theodolite.reporting.words import words_about

PARTS = ("simple", "hessian_weighted", "covariance_trace", "gradient_norm_squared")
TOLD = {"long_name": "number"}
CURVED = ("hessian_covariance_trace", "gradient_curvature")


def scale(
    critical: tuple[float, float, float] = (300.0, 200.0, 400.0),
    stated: int = 0,
    **attrs: Any,
) -> xr.Dataset:
    """A weighted scale `critical` beside a simple one of 100, of 1,000 examples."""
    value, low, high = critical
    numbers: dict[str, Any] = dict.fromkeys((*PARTS, *CURVED), (4.0, 4.0, 4.0))
    numbers |= {"simple": (100.0, 100.0, 100.0), "hessian_weighted": critical}
    numbers["critical_batch_size"] = critical
    if stated:
        numbers["stated_steps_factor"] = tuple(1 + c / stated for c in critical)
        numbers["stated_examples_factor"] = tuple(1 + stated / c for c in (value, high, low))
    ends = ("", "_low", "_high")
    flat = {n + ends[k]: v for n, own in numbers.items() for k, v in enumerate(own)}
    flat |= {"range_low": 0.1 * low, "range_high": high}
    sizes = np.array([64, 128])
    variables: dict[str, Any] = {n: ((), v, {"long_name": n}) for n, v in flat.items()}
    variables["steps_factor"] = (("batch",), 1 + value / sizes, {"long_name": "steps"})
    variables["examples_factor"] = (("batch",), 1 + sizes / value, {"long_name": "examples"})
    told = {
        "advice_from": "hessian_weighted",
        "caveats": ["Once only."],
        "examples": 1000,
        "level": 0.95,
        "noise_population": "data",
        "batch_size": stated,
    }
    return results.dataset("gradient_noise_scale", variables, {"batch": sizes}, **told | attrs)


def layers(count: int = 3) -> xr.Dataset:
    value = np.linspace(0.01, 0.02, count)
    columns = {
        "signal_to_noise": value,
        "signal_to_noise_low": value / 2,
        "signal_to_noise_high": 2 * value,
        "gradient_norm_squared": value,
        "covariance_trace": np.arange(1.0, count + 1),
    }
    return results.dataset(
        "signal_to_noise",
        {k: (("layer",), v, {"long_name": k}) for k, v in columns.items()},
        {"layer": [f"layer {k}" for k in range(count)]},
        level=0.95,
    )


def tails(refused: int = 3) -> xr.Dataset:
    rank = np.arange(4)
    columns = {"stable_index": 1.5, "hill_index": 2.5, "p_value": 0.01}
    variables: dict[str, Any] = {
        k: (("direction",), np.full(4, v), {"long_name": k}) for k, v in columns.items()
    }
    variables["size"] = (("direction", "rank"), np.tile([9.0, 4, 2, 1], (4, 1)), TOLD)
    variables["exceedance"] = (("rank",), [0.01, 0.1, 0.3, 0.5], TOLD)
    variables["law"] = (("rank",), [20.0, 5, 2, 1], TOLD)
    variables["hill_index_of_norms"] = ((), 3.0, TOLD)
    coords = {"direction": np.arange(4), "rank": rank}
    return results.dataset("gradient_tail_index", variables, coords, stable_refused=refused)


def tree(**parts: xr.Dataset) -> xr.DataTree:
    attrs = {"model": "Net", "target": "net.py:build"}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs), **parts})


def said(noise: xr.Dataset) -> str:
    return advice_text(read_trees(tree(noise_scale=noise))[0])


def test_the_advice_is_computed_from_the_numbers_of_this_network():
    # kills: the other scale, the range for the interval, an interval left out
    text = said(scale())
    assert text == (
        "A batch of about 300 examples (200 to 400) takes twice the fewest steps and twice the "
        "fewest examples (tr(H Sigma) / G'HG); the range to look in is 20 to 400."
    )


def test_a_stated_batch_is_told_its_cost_and_what_doubling_brings():
    # kills: steps and examples exchanged, the saving of another batch
    text = said(scale(stated=100))
    assert (
        "Your batch of 100 takes 4 (3 to 5) times the fewest steps and 1.33 (1.25 to 1.5)" in text
    )
    # 4 to 2.5 steps is 37.5 % less; 4/3 to 5/3 examples is 25 % more
    assert text.endswith("twice that batch would save 38 % of the steps for 25 % more examples.")


@pytest.mark.parametrize(
    ("critical", "words"),
    [
        ((np.inf, 50.0, np.inf), "no batch size is too large for it"),
        ((300.0, 200.0, np.inf), "(200 to no upper end)"),
        ((0.4, 0.3, 0.5), "a batch of more than one saves next to no steps"),
        ((5000.0, 4000.0, 6000.0), "There are 1,000 examples, so a batch of all of them"),
    ],
)
def test_advice_at_the_ends_says_what_it_means(critical, words):
    # kills: an infinite batch size, a fraction of an example, more examples than there are
    assert words in said(scale(critical))


def test_a_stated_batch_below_an_unbounded_scale_has_a_least_cost():
    # kills: infinite costs told as numbers
    text = said(scale((np.inf, 50.0, np.inf), stated=100))
    assert text.endswith("Your batch of 100 takes at least 1.5 times the fewest steps.")


def test_without_a_scale_the_reason_is_given():
    found = scale().drop_vars(["critical_batch_size"]).assign_attrs(no_advice="all are equal.")
    assert said(found) == "No batch size follows from the noise: all are equal."
    assert advice_row(read_trees(tree(noise_scale=found))[0]) is None


def test_what_limits_the_advice_comes_with_it():
    # kills: caveats lost, the two scales' ratio upside down
    contents = read_trees(tree(noise_scale=scale()))[0]
    told = caveats(contents)
    assert told == ("Here the simple and the weighted scale differ 3 times.", "Once only.")
    row = advice_row(contents)
    assert row is not None
    assert row["action"].startswith("Look for the batch size between 20 and 400")
    assert row["command"] == "theodolite noise net.py:build --batch-size 300"


def test_the_sentence_on_top_cites_the_scale():
    contents = read_trees(tree(noise_scale=scale()))[0]
    sentence = advice_sentence(contents)
    assert sentence in words_about(contents)
    cited = {f.name: f.number.value for f in sentence or () if isinstance(f, Cited)}
    assert cited == {"critical_batch_size": 300, "batch_range_low": 20, "batch_range_high": 400}


def test_a_refused_law_says_that_its_index_is_none():
    # kills: a stable index told as a tail index
    told = {k: tail_text(read_trees(tree(t=tails(k)))[0]) for k in (2, 3)}
    assert "is refused in 3; there the index is no tail index. Hill's index" in told[3]
    assert "is refused in 2. Hill's index" in told[2]


def test_tables_hold_every_number_with_its_interval():
    # kills: exact told as an interval, the share of one layer for another's
    contents = read_trees(tree(noise_scale=scale(), noise_layers=layers(), noise_tails=tails()))[0]
    table = number_table(contents)
    assert table is not None
    assert table.head[2] == "95 % interval"
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["simple noise scale tr(Sigma) / |G|², examples"] == ("100", "exact")
    assert rows["noise scale by curvature tr(H Sigma) / G'HG, examples"] == ("300", "200 to 400")
    assert rows["directions in which the law is refused"] == ("3 of 4", "")
    by_layer = layer_table(contents, most=2)
    assert by_layer is not None
    assert by_layer.thinned
    assert [r[0] for r in by_layer.rows] == ["layer 1", "layer 2"]
    assert by_layer.rows[1] == ("layer 2", "0.02", "0.01 to 0.04", "50", "50 %")


def test_what_could_not_be_measured_is_said_once(tmp_path: Path):
    # kills: a section that vanishes, or a reason repeated for every part
    facts = {"not_measured": "the batch has one loss."}
    gone = {
        name: results.dataset(name, {"measured": ((), 0, TOLD)}, **facts)
        for name in ("noise_spectrum", "noise_alignment")
    }
    whole = tree(noise_scale=scale(), **gone)
    (panel,) = noise_panels(read_trees(whole))
    assert panel.missing == (
        "Not measured: alignment of noise and curvature, eigenvalues of Sigma; "
        "the batch has one loss.",
    )
    written = json.loads(write_summary(whole, tmp_path / "s.json").read_text())
    assert set(written["noise"]["not_measured"]) == set(gone)


def test_the_page_and_the_summary_hold_it_all(tmp_path: Path):
    whole = tree(noise_scale=scale(stated=100), noise_layers=layers(30), noise_tails=tails())
    text = report(whole, tmp_path / "r.html").read_text()
    assert 'id="noise"' in text
    assert 'href="#noise"' in text
    assert EXPLANATIONS["noise"].shows in text
    assert EXPLANATIONS["noise"].pitfall in {p.id for p in PITFALLS}
    assert "24 of 30 layers" in text
    assert "law refused in 3 of 4 directions" in text
    assert "Once only." in text
    found = json.loads(write_summary(whole, tmp_path / "s.json").read_text())["noise"]
    assert found["gradient_noise_scale"]["hessian_weighted_high"] == 400
    assert found["signal_to_noise"]["layer"][29] == "layer 29"
    assert found["gradient_tail_index"]["stable_refused"] == 3
    assert found["advice"].startswith("A batch of about 300")


def test_an_infinite_scale_is_null_for_programs(tmp_path: Path):
    whole = tree(noise_scale=scale((np.inf, 50.0, np.inf)))
    report(whole, tmp_path / "r.html")
    found = json.loads(write_summary(whole, tmp_path / "s.json").read_text())["noise"]
    assert found["gradient_noise_scale"]["critical_batch_size"] is None
    assert found["gradient_noise_scale"]["critical_batch_size_low"] == 50
