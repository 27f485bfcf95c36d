"""Runs whose files were written before some setting existed.

Oracle: the configuration as it was before a key was taken out of it.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

import theodolite as td
from theodolite.cli import main
from theodolite.errors import InvalidArgument, RunMismatch, TheodoliteWarning
from theodolite.surveys import surveying
from theodolite.surveys.configuration import from_table, read_toml
from theodolite.surveys.folder import continued, opened_run
from theodolite.surveys.later_settings import with_later_settings
from theodolite.surveys.measures import MEASURES

TARGET = """
import torch
import theodolite as td

def build():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    data = torch.randn(8, 2), torch.arange(8) % 2
    return td.Target(td.Objective(model, torch.nn.CrossEntropyLoss(), data))
"""


def begun(folder: Path, measure: str) -> Path:
    """A run of one measure that has computed nothing yet."""
    (folder / "target.py").write_text(TARGET)
    name = f"{folder / 'target.py'}:build"
    configuration = surveying.configured(measures=[measure], target=name)
    target = surveying.rebuilt(configuration)
    run = folder / measure
    with opened_run(run, configuration, surveying.identified(target, configuration)):
        pass
    return run


def aged(run: Path, measure: str, setting: str) -> None:
    """Take a setting out of a run's files, as if it had not existed."""
    config = run / "config.toml"
    lines = [ln for ln in config.read_text().splitlines() if not ln.startswith(f"{setting} =")]
    config.write_text("\n".join(lines))
    record = json.loads((run / "provenance.json").read_text())
    del record["identity"][f"{measure}.{setting}"]
    (run / "provenance.json").write_text(json.dumps(record))


@pytest.mark.parametrize("measure", [m for m in MEASURES if MEASURES[m].presets["quick"]])
def test_a_run_goes_on_with_the_usual_value_of_every_later_setting(
    measure: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # kills: KeyError of a setting that config.toml lacks; a run refused for it
    run = begun(tmp_path, measure)
    whole = from_table(read_toml(run / "config.toml"))
    target = surveying.rebuilt(whole)
    for setting in whole.settings[measure]:
        kept = (run / "config.toml").read_text(), (run / "provenance.json").read_text()
        aged(run, measure, setting)
        cut = from_table(read_toml(run / "config.toml"))
        assert setting not in cut.settings[measure]
        with pytest.warns(TheodoliteWarning, match=re.escape(f"{measure}.{setting} = ")):
            completed = with_later_settings(cut, run / "config.toml")
        found = {k: v for k, v in completed.settings[measure].items() if v is not None}
        assert found == dict(whole.settings[measure])
        continued(run, surveying.identified(target, completed))
        for name, text in zip(("config.toml", "provenance.json"), kept, strict=True):
            (run / name).write_text(text)
    aged(run, measure, next(iter(whole.settings[measure])))
    assert main(["resume", str(run), "--dry-run"]) == 0
    assert "was written before these settings existed" in " ".join(capsys.readouterr().err.split())


def test_a_later_setting_with_another_value_is_another_run(tmp_path: Path) -> None:
    # kills: any value taken for the one that the run had without knowing it
    run = begun(tmp_path, "saddles")
    aged(run, "saddles", "radius")
    settings = {"saddles": {"radius": 0.2}}
    other = surveying.configured(
        measures=["saddles"], settings=settings, target=f"{tmp_path / 'target.py'}:build"
    )
    target = surveying.rebuilt(other)
    with pytest.raises(RunMismatch, match=r"saddles\.radius: none -> 0\.2"):
        continued(run, surveying.identified(target, other))


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("radius = 0.1", "radius = 0.1\nwarmth = 3", "E-D52"),
        ('preset = "quick"', 'preset = "swift"', "E-D51"),
        ('measures = ["saddles"]', 'measures = ["saddles", "warmth"]', "E-D50"),
        ('measures = ["saddles"]', "", "E-D53"),
    ],
)
def test_what_this_version_does_not_know_is_refused_by_name(
    old: str, new: str, code: str, tmp_path: Path
) -> None:
    # kills: KeyError; a setting of another version that is silently ignored
    file = begun(tmp_path, "saddles") / "config.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(InvalidArgument) as caught:
        with_later_settings(from_table(read_toml(file), file), file)
    assert caught.value.code == code
    assert str(file) in caught.value.what


def test_weights_that_sharpness_is_measured_against_are_part_of_the_run(tmp_path: Path) -> None:
    # kills: numbers against other weights taken up because the file has the same name
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    target = td.Target(
        td.Objective(model, nn.CrossEntropyLoss(), (torch.randn(8, 2), torch.arange(8) % 2))
    )
    place, elsewhere = tmp_path / "origin.pt", tmp_path / "moved.pt"
    torch.save(model.state_dict(), place)
    shutil.copy(place, elsewhere)

    def known(file: Path) -> dict[str, object]:
        settings = {"sharpness": {"origin": str(file)}}
        chosen = surveying.configured(measures=["sharpness"], settings=settings)
        return surveying.identified(target, chosen)

    before = known(place)
    assert known(elsewhere) == before
    assert before["sharpness.origin"] != str(place)
    run, chosen = tmp_path / "run", surveying.configured(measures=["sharpness"])
    with opened_run(run, chosen, before):
        pass
    torch.save({k: v + 1 for k, v in model.state_dict().items()}, place)
    with pytest.raises(RunMismatch, match=r"origin of sharpness \(SHA-256\)"):
        continued(run, known(place))


def test_settings_without_a_value_come_back_as_none(tmp_path: Path) -> None:
    # kills: a resumed run without the settings that TOML has no word for
    run = begun(tmp_path, "connectivity")
    kept = with_later_settings(
        from_table(read_toml(run / "config.toml"), run / "config.toml"), run / "config.toml"
    )
    settings = kept.settings["connectivity"]
    assert settings["curve_rate"] is None
    assert settings["threshold"] is None
    assert set(settings) == set(MEASURES["connectivity"].presets["quick"])
