"""What a command measures beyond its preset. Oracle: the configuration that the run kept."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch

from theodolite.cli.usual import beyond
from theodolite.surveys.measures import MEASURES


def kept(run: str, family: str, preset: str) -> dict:
    """The settings of a family as the run folder holds them, over its preset."""
    table = tomllib.loads((Path(run) / "config.toml").read_text())
    return {**MEASURES[family].presets[preset], **table["settings"].get(family, {})}


def test_only_what_a_preset_leaves_out_is_added():
    usual = {"definitions": "all", "valleys": 3, "curvature": True}
    assert beyond({"definitions": "basic", "valleys": 0, "curvature": False}, usual) == usual
    assert beyond({"definitions": "all", "valleys": 10, "curvature": True}, usual) == {}


@pytest.mark.usefixtures("quick")
def test_a_configuration_file_comes_before_the_usual_and_an_option_before_the_file(call):
    # kills: defaults of the command that overwrite what a run's config.toml says
    small = ("--no-curvature", "--eigenvalues", "0", "--probes", "0", "--tails", "0")
    assert call("noise", "mine.py:build", *small, "-o", "runs/a").code == 0
    again = ("--config", "runs/a/config.toml")
    assert call("noise", *again, "--eigenvalues", "1", "-o", "runs/b").code == 0
    first, second = (kept(run, "noise", "quick") for run in ("runs/a", "runs/b"))
    assert second == {**first, "eigenvalues": 1}
    assert (first["curvature"], first["diversity"], first["probes"]) == (False, True, 0)


@pytest.mark.parametrize(
    ("command", "settings"),
    [("noise", ("probes", "products")), ("sharpness", ("valleys", "valley_top", "layers"))],
)
def test_a_thorough_preset_is_not_made_smaller_by_the_command(call, monkeypatch, command, settings):
    # kills: the command's own number of probes or valleys in place of the preset's
    found = {}
    monkeypatch.setattr(
        "theodolite.cli.running.carried_out",
        lambda job: found.update(job.configuration.settings) or 0,
    )
    assert call(command, "mine.py:build", "--preset", "thorough").code == 0
    preset = MEASURES[command].presets["thorough"]
    assert {k: found[command][k] for k in settings} == {k: preset[k] for k in settings}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("saddles", "mine.py:build", "--count", "0"), "--count must be at least 1"),
        (("saddles", "mine.py:build", "--count", "0", "--search", "newton-mr"), "E-S45"),
        (("spectrum", "mine.py:build", "--config", "no.toml"), "there is no file no.toml. [E-S46]"),
        (
            ("study", "edge-of-stability", "mine.py:build", "--rate", "1", "--share", "0.5"),
            "--rate and --share both say",
        ),
    ],
)
def test_options_that_would_measure_nothing_or_be_ignored_are_refused(call, command, message):
    # kills: a run of nothing that ends well, a share passed over in silence
    said = call(*command)
    assert (said.code, said.out) == (2, "")
    assert message in said.err


@pytest.mark.usefixtures("quick")
def test_what_sharpness_leaves_out_is_said_in_the_terminal(call, place: Path):
    # kills: m-sharpness and valleys that were asked for and are missing without a word
    alone = "    return td.Target(td.Objective(model, loss, data[0]))\n"
    text = (place / "mine.py").read_text()
    (place / "alone.py").write_text(text[: text.index("    return td.Target")] + alone)
    said = call("sharpness", "alone.py:build", "--valleys", "2", "--batch-size", "500")
    assert said.code == 0
    assert "The target has no test data" in said.err
    assert "Without worst case in a ball, by batches (m-sharpness):" in said.err


@pytest.mark.usefixtures("quick")
def test_the_weights_training_started_from_are_found_from_any_folder(call, place, monkeypatch):
    # kills: a relative path in config.toml, which resume looks for somewhere else

    model = torch.nn.Linear(3, 2)
    torch.save(model.state_dict(), place / "start.pt")
    assert call("sharpness", "mine.py:build", "--origin", "start.pt", "-o", "runs/o").code == 0
    assert kept("runs/o", "sharpness", "quick")["origin"] == str(place / "start.pt")


def test_the_help_shows_a_condition_as_it_is_typed(call):
    # kills: a percent sign doubled, as another parser of options would want it
    said = call("compare", "--help")
    assert "sharpness>+20%'" in " ".join(said.out.split())
