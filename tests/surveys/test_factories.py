"""From a name on a command line to a target, with every mistake named.

Oracle: small files written for the test; the interpreter's path before and after.
"""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import pytest
import torch

import theodolite as td
from theodolite.errors import InvalidArgument, InvalidType, StorageError, UnsupportedModel
from theodolite.surveys.factories import load_target, parse_arguments, resolved_name
from theodolite.surveys.target import Target, adjusted

TARGET = """
import torch
import theodolite as td
import beside

def build(width: int = 2, scale: float = 1.0):
    model = torch.nn.Linear(3, width)
    x, y = torch.ones(4, 3), torch.zeros(4, width)
    return td.Target(td.Objective(model, torch.nn.MSELoss(), (x, y)))

def bare():
    return build().objective

def named():
    return td.Target(build().objective, name="a name")

def wrong():
    return {"model": 1}

def broken():
    return {}["missing"]

number = 3
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(TARGET)
    (tmp_path / "beside.py").write_text("")
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def test_a_file_is_called_with_its_arguments_and_leaves_the_path_alone(folder):
    # kills: a folder left on sys.path, arguments passed as text
    before = list(sys.path)
    target = load_target(f"{folder}/mine.py:build", {"width": 5})
    assert isinstance(target, Target)
    assert target.objective.space.size == 20
    assert target.title == "mine"
    assert sys.path == before
    assert load_target(f"{folder}/mine.py").objective.space.size == 8  # ``build`` is the default
    assert load_target(f"{folder}/mine.py:bare").title == "mine:bare"
    assert load_target(f"{folder}/mine.py:named").title == "a name"


def test_a_module_is_found_by_its_dotted_name(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert load_target("mine:build").objective.space.size == 8
    assert resolved_name("mine:build") == "mine:build"
    assert resolved_name("mine.py") == f"{folder}/mine.py:build"


def test_two_files_of_one_name_are_two_modules(folder, tmp_path):
    # kills: the second file answered by the first one's module; a module of Python replaced
    (tmp_path / "other").mkdir()
    (tmp_path / "other/mine.py").write_text(TARGET.replace("width: int = 2", "width: int = 7"))
    (tmp_path / "other/beside.py").write_text("")
    (tmp_path / "random.py").write_text(TARGET)
    held = sys.modules["random"]
    assert load_target(f"{folder}/mine.py").objective.space.size == 8
    assert load_target(f"{folder}/other/mine.py").objective.space.size == 28
    assert load_target(f"{folder}/random.py").objective.space.size == 8
    assert sys.modules["random"] is held


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "message"),
    [
        ("nothing.py:build", {}, InvalidArgument, r"there is no file .*nothing\.py"),
        ("mine.py:absent", {}, InvalidArgument, r"(?s)names no function.*build, bare, named"),
        ("mine.py:number", {}, InvalidArgument, "names no function"),
        ("mine.py:build", {"depth": 3}, InvalidArgument, r"(?s)cannot be called.*'depth'"),
        ("mine.py:wrong", {}, InvalidType, r"returned dict; it must return a td\.Target"),
        ("mine.py:broken", {}, InvalidArgument, r"(?s)failed: KeyError: 'missing'.*mine\.py, line"),
        ("mine.py:build", {"width": "x"}, InvalidArgument, "failed: TypeError"),
        ("mine.py:os.system('true')", {}, InvalidArgument, "does not name a target"),
        ("mine.py:a b", {}, InvalidArgument, "does not name a target"),
        (":build", {}, InvalidArgument, "does not name a target"),
        ("a\0b.py:build", {}, InvalidArgument, "does not name a target"),
        ("no.such.package:build", {}, InvalidArgument, "could not be imported"),
    ],
)
def test_mistakes_are_named(folder, monkeypatch, name, arguments, kind, message):
    monkeypatch.chdir(folder)
    before = list(sys.path)
    with pytest.raises(kind, match=message):
        load_target(name, arguments)
    assert sys.path == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def build(:\n", "SyntaxError"),
        ("import nowhere_at_all\n", "nowhere_at_all"),
        ("1 / 0\n", r"(?s)ZeroDivisionError.*bad\.py, line 1"),
    ],
)
def test_a_file_that_does_not_import_says_why_and_keeps_the_cause(folder, text, message):
    (folder / "bad.py").write_text(text)
    with pytest.raises(InvalidArgument, match=message) as caught:
        load_target(f"{folder}/bad.py")
    assert caught.value.__cause__ is not None
    assert "bad" not in sys.modules


def test_an_error_of_the_library_keeps_its_own_advice(folder):
    (folder / "empty.py").write_text(
        "import torch, theodolite as td\n"
        "def build():\n"
        "    return td.Objective(torch.nn.Linear(1, 1), torch.nn.MSELoss(), [])\n"
    )
    with pytest.raises(InvalidArgument, match=r"InvalidData: the data hold no example") as caught:
        load_target(f"{folder}/empty.py")
    assert "at least one example" in caught.value.fix


def test_values_are_literals_and_never_evaluated(tmp_path):
    canary = tmp_path / "canary"
    evil = f"__import__('pathlib').Path({str(canary)!r}).touch()"
    found = parse_arguments(["a=1", "b=[1, 2]", "c='x'", "d=x=y", f"e={evil}", "f=None", "g="])
    assert found == {"a": 1, "b": [1, 2], "c": "x", "d": "x=y", "e": evil, "f": None, "g": ""}
    assert not canary.exists()
    for wrong in ("a", "=1", "a b=1", "1a=2"):
        with pytest.raises(InvalidArgument, match="must be key=value"):
            parse_arguments([wrong])


def test_a_device_torch_does_not_know_is_named(folder):
    with pytest.raises(InvalidArgument, match="device must be one torch knows; got 'gpu'"):
        load_target(f"{folder}/mine.py", device="gpu")
    assert load_target(f"{folder}/mine.py", device="cpu").objective.space.size == 8
    assert torch.get_default_device().type == "cpu"


class Evil:
    """A pickle that touches a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_checkpoints_that_would_run_code_or_do_not_fit_are_refused(folder, tmp_path):
    # kills: torch.load without weights_only; a partial load of weights that do not fit
    target = load_target(f"{folder}/mine.py")
    before = target.objective.model.weight.detach().clone()
    canary = tmp_path / "canary"
    torch.save({"weight": Evil(canary)}, tmp_path / "evil.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Evil(canary)))
    torch.save(target.objective.model, tmp_path / "module.pt")
    (tmp_path / "torn.pt").write_bytes((tmp_path / "evil.pt").read_bytes()[:100])
    (tmp_path / "none.safetensors").write_bytes(b"")
    torch.save({"weight": torch.zeros(9, 9)}, tmp_path / "other.pt")
    for name, kind in (
        ("evil.pt", StorageError),
        ("raw.pt", StorageError),
        ("module.pt", StorageError),
        ("torn.pt", StorageError),
        ("none.safetensors", StorageError),
        ("missing.pt", StorageError),
        ("other.pt", UnsupportedModel),
    ):
        with pytest.raises(kind):
            adjusted(target, checkpoint=tmp_path / name)
    assert not canary.exists()
    assert torch.equal(target.objective.model.weight, before)


def test_a_target_of_other_parts_is_refused():
    x, y = torch.ones(2, 3), torch.zeros(2, 1)
    one = td.Objective(torch.nn.Linear(3, 1), torch.nn.MSELoss(), (x, y))
    other = td.Objective(torch.nn.Linear(3, 1, bias=False), torch.nn.MSELoss(), (x, y))
    with pytest.raises(InvalidArgument, match="same parameters"):
        td.Target(one, test=other)
    with pytest.raises((InvalidType, TypeError)):
        td.Target(torch.nn.Linear(3, 1))
