"""Discovery, running and the table, with a claim planted for the purpose.

Oracles: the files in a folder; arithmetic on planted samples.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite import findings, results
from theodolite.errors import InvalidArgument, InvalidType
from theodolite.findings import catalog
from theodolite.findings.finding import PRESETS, Finding
from theodolite.findings.verdict import NOT_REPRODUCED, Verdict, at_least, concluded, controlled
from theodolite.intervals.statistics import mean_interval
from theodolite.seeds import numpy_generator

FOLDER = Path(findings.__file__).parent


@dataclass(frozen=True)
class Settings:
    seeds: int
    mean: float = 5.0


def measure(settings: Settings, seed: int) -> xr.Dataset:
    draw = numpy_generator(seed, "planted").normal(settings.mean, 1.0, 3)
    words = {"long_name": "planted number"}
    return results.dataset("finding", {"planted": (("draw",), draw, words)}, {"draw": range(3)})


def judge(measured: xr.Dataset) -> Verdict:
    means = measured.planted.mean("draw").values
    made = []
    for samples in (means, means - means.mean() - 9):
        outcome = at_least(mean_interval(samples), minimum=1.0)
        made.append(concluded(outcome, mean_interval(samples), seeds=len(means), explanation="."))
    return controlled(made[0], negative=made[1])


TOY = Finding(
    name="planted",
    claim="The number is at least 1.",
    reference="none",
    protocol="draw",
    threshold="1",
    negative_control="minus 9",
    limits="none",
    effect="mean",
    settings={"quick": Settings(4), "standard": Settings(8), "thorough": Settings(16)},
    measure=measure,
    judge=judge,
    estimates=lambda d: {"mean": mean_interval(d.planted.mean("draw").values)},
)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "_all", lambda: {"planted": TOY})


def test_names_are_the_files_that_hold_a_finding() -> None:
    # Kills: a hand-kept list, a claim file that is not found.
    holding = [p.stem for p in FOLDER.glob("*.py") if "\nFINDING = " in p.read_text("utf-8")]
    assert findings.names() == tuple(sorted(holding))
    assert len(findings.names()) >= 4
    assert all(findings.get(name).name == name for name in findings.names())


Maker = Callable[..., ModuleType]


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Maker]:
    """Makes a package of claims from texts, and forgets it afterwards."""

    def make(**files: str) -> ModuleType:
        (tmp_path / "claims_for_test.py").unlink(missing_ok=True)
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text, "utf-8")
        made = ModuleType("claims_for_test")
        made.__path__ = [str(tmp_path)]
        sys.modules["claims_for_test"] = made
        return made

    yield make
    for name in [n for n in sys.modules if n.startswith("claims_for_test")]:
        del sys.modules[name]


TEXT = (
    "from dataclasses import replace\nfrom theodolite.findings import get\n"
    "FINDING = replace(get('the_residual_gradient_is_at_least_one'), name={!r})\n"
)


def test_discovery_lists_a_package(package: Maker) -> None:
    made = package(b_is_true=TEXT.format("b_is_true"), a_holds=TEXT.format("a_holds"), tool="x=1\n")
    assert list(catalog.discovered(made)) == ["a_holds", "b_is_true"]


def test_a_finding_is_named_as_its_file(package: Maker) -> None:
    with pytest.raises(InvalidType, match=r"named 'one'.*got 'other'"):
        catalog.discovered(package(one=TEXT.format("other")))


def test_something_else_called_finding_is_refused(package: Maker) -> None:
    with pytest.raises(InvalidType, match="E-F05"):
        catalog.discovered(package(one="FINDING = 3\n"))


def test_a_claim_that_does_not_import_does_not_vanish(package: Maker) -> None:
    # Kills: an import guard that hides errors.
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        catalog.discovered(package(one="import no_such_module\n"))


@pytest.mark.usefixtures("planted")
def test_a_run_keeps_its_samples_and_its_verdict() -> None:
    result = findings.run("planted", seed=3)
    assert result.seed.values.tolist() == [3, 4, 5, 6]
    for i, seed in enumerate(range(3, 7)):
        assert np.array_equal(result.planted[i], measure(Settings(4), seed).planted)
    means = result.planted.values.mean(1)
    verdict = findings.verdict_of(result)
    assert verdict.effect == pytest.approx(means.mean())
    assert (verdict.outcome, verdict.seeds) == ("reproduced", 4)
    assert verdict.negative_control is not None
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert result.attrs["outcome"] == "reproduced"
    assert result.attrs["claim"] == TOY.claim
    assert json.loads(result.attrs["settings"]) == {"seeds": 4, "mean": 5.0}
    assert result.planted.attrs["long_name"] == "planted number"


@pytest.mark.usefixtures("planted")
def test_presets_differ_in_the_number_of_seeds() -> None:
    counts = [findings.run("planted", preset=p).sizes["seed"] for p in PRESETS]
    assert counts == [4, 8, 16]


@pytest.mark.usefixtures("planted")
def test_a_run_repeats_and_moves_with_its_seed() -> None:
    a, b, c = (findings.run("planted", seed=s) for s in (0, 0, 10))
    assert a.identical(b)
    assert not np.array_equal(a.planted, c.planted)


@pytest.mark.usefixtures("planted")
def test_progress_counts_repetitions() -> None:
    seen: list[tuple[int, int]] = []
    findings.run("planted", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.usefixtures("planted")
def test_a_result_survives_the_disk(tmp_path: Path) -> None:
    result = findings.run("planted")
    result.to_zarr(tmp_path / "r.zarr", consolidated=False)
    back = xr.open_zarr(tmp_path / "r.zarr", consolidated=False).load()
    assert findings.verdict_of(back) == findings.verdict_of(result)
    assert np.array_equal(back.planted, result.planted)


@pytest.mark.usefixtures("planted")
def test_the_table_holds_plain_values() -> None:
    results_ = [findings.run("planted"), findings.run("planted", preset="standard")]
    rows = json.loads(json.dumps(findings.table(results_), allow_nan=False))
    assert [row["seeds"] for row in rows] == [4, 8]
    assert rows[0]["name"] == "planted"
    assert rows[0]["as_expected"] is True
    assert (rows[0]["negative_control"], rows[0]["corrected"]) == (NOT_REPRODUCED, None)
    assert rows[0]["effect"] == findings.verdict_of(results_[0]).effect


def test_the_table_says_when_an_outcome_is_not_the_expected_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    low = replace(TOY, settings={p: Settings(4, mean=-20.0) for p in PRESETS})
    monkeypatch.setattr(catalog, "_all", lambda: {"planted": low})
    (row,) = findings.table([findings.run("planted")])
    assert (row["outcome"], row["as_expected"]) == (NOT_REPRODUCED, False)


@pytest.mark.parametrize("part", ["claim", "corrected"])
def test_a_judgment_without_a_negative_control_is_refused(part: str) -> None:
    def bare(measured: xr.Dataset) -> Verdict:
        made = judge(measured)
        alone = replace(made, negative_control=None)
        return alone if part == "claim" else replace(made, corrected=alone)

    with pytest.raises(InvalidType, match="without its negative control"):
        catalog.judged(replace(TOY, judge=bare), catalog.replicated(TOY, Settings(4)))


def test_unknown_names_and_presets_are_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidArgument, match="did you mean 'a_slice_is_a_faithful_local_model'"):
        findings.run("a_slice_is_faithful")
    with pytest.raises(InvalidArgument, match="quick, standard, thorough; got 'fast'"):
        findings.run("a_slice_is_a_faithful_local_model", preset="fast")


def test_an_incomplete_finding_cannot_be_made() -> None:
    with pytest.raises(InvalidArgument, match="E-F01"):
        replace(TOY, settings={"quick": Settings(1)})
    with pytest.raises(InvalidArgument, match="must state its negative_control, limits"):
        replace(TOY, negative_control=" ", limits="")
    with pytest.raises(InvalidArgument, match="E-F02"):
        replace(TOY, expected="holds")
    with pytest.raises(InvalidArgument, match="E-F03"):
        replace(TOY, expected=NOT_REPRODUCED)


@pytest.mark.parametrize("name", findings.names())
def test_every_finding_says_what_would_refute_it(name: str) -> None:
    finding = findings.get(name)
    assert "eproduced if" in finding.threshold
    assert "ot reproduced" in finding.threshold
    assert "nconclusive" in finding.threshold
    seeds = [finding.preset(p).seeds for p in PRESETS]
    assert seeds == sorted(seeds)
    assert seeds[0] >= 3


def test_running_leaves_the_global_generators_alone() -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    finding = findings.get("the_residual_gradient_is_at_least_one")
    finding.measure(replace(finding.preset("quick"), draws=1, epochs=1, examples=20), 0)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
