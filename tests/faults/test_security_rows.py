"""Rows X01 to X04, X06, X08 and X13 of the fault catalogue: attacks that must stay inert.

Oracle: canary files, a parser of HTML, and a process without network. Cuts at every length (X04),
compressed archives and huge headers (X03) are in ``tests/training/test_weights.py``, names that a
browser might run (X08) in ``tests/browser/test_hostile_names.py``.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import theodolite as td
from faults.state import caller_state, changes
from theodolite.cli import main
from theodolite.errors import InvalidArgument, RunMismatch, StorageError
from theodolite.surveys.folder import run_path
from theodolite.training import Recipe, load_state, load_weights, train
from theodolite.training.checkpoints import restore

TARGET = """
import torch
import theodolite as td

def build():
    torch.manual_seed(0)
    data = (torch.randn(8, 3), torch.randn(8, 2))
    return td.Target(td.Objective(torch.nn.Linear(3, 2), torch.nn.MSELoss(), data))
"""


class Malice:
    """Makes a file called `canary` where a pickle of it is run."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.canary}",)


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def objective(model: nn.Module | None = None, loss: Any = None) -> td.Objective:
    generator = torch.Generator().manual_seed(0)
    data = (torch.randn(8, 3, generator=generator), torch.randn(8, 2, generator=generator))
    return td.Objective(model or linear(), loss or nn.MSELoss(), data)


def command(place: Path, *argv: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    (place / "mine.py").write_text(TARGET)
    code = main(["line", "mine.py", "--lines", "1", "--steps", "3", *argv])
    sys.modules.pop("mine", None)
    return code, capsys.readouterr().err


def malicious(path: Path, canary: Path) -> None:
    torch.save({**linear().state_dict(), "x": Malice(canary)}, path)


def inside_a_tar(path: Path, canary: Path) -> None:
    torch.save(
        {**linear().state_dict(), "x": Malice(canary)}, path, _use_new_zipfile_serialization=False
    )


def whole_module(path: Path, canary: Path) -> None:
    torch.save(linear(), path)


def bomb(path: Path, canary: Path) -> None:
    torch.save(linear().state_dict(), path.with_suffix(".plain"))
    with zipfile.ZipFile(path.with_suffix(".plain")) as source, zipfile.ZipFile(path, "w") as out:
        for entry in source.infolist():
            out.writestr(entry.filename, source.read(entry), zipfile.ZIP_DEFLATED)


def huge_header(path: Path, canary: Path) -> None:
    path.with_suffix(".safetensors").write_bytes((4 << 30).to_bytes(8, "little") + b"{}")


def cut(path: Path, canary: Path) -> None:
    torch.save(linear().state_dict(), path)
    path.write_bytes(path.read_bytes()[:300])


ATTACKS: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "X01 pickle": (malicious, "E-T61"),
    "X01 bare pickle": (lambda p, c: p.write_bytes(pickle.dumps(Malice(c))), "E-T61"),
    "X01 legacy pickle": (inside_a_tar, "E-T61"),
    "X02 whole module": (whole_module, "E-T61"),
    "X03 compressed": (bomb, "E-T63"),
    "X03 header of 4 GB": (huge_header, "E-T62"),
    "X04 cut": (cut, "E-T62"),
    "X04 empty": (lambda p, c: p.write_bytes(b""), "E-T62"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_files_of_weights_run_nothing_and_are_refused_by_name(name, tmp_path, monkeypatch, capsys):
    # kills: weights_only=False; torch's own words; a model half overwritten; exit code 0
    monkeypatch.chdir(tmp_path)
    make, code = ATTACKS[name]
    canary, path = tmp_path / "canary", tmp_path / "model.pt"
    make(path, canary)
    path = path if path.exists() else path.with_suffix(".safetensors")
    model = linear()
    before = caller_state(model)
    for load in (load_state, lambda p: load_weights(model, p)):
        with pytest.raises(StorageError) as caught:
            load(path)
        assert caught.value.code == code
        assert caught.value.where == str(path)
        assert caught.value.why
        assert caught.value.fix
    assert changes(before, model) == []
    exit_code, said = command(tmp_path, "--checkpoint", str(path), capsys=capsys)
    assert exit_code == 1
    assert f"[{code}]" in said
    assert "Traceback" not in said
    assert not (tmp_path / "runs").exists()
    assert not canary.exists()


STATES: dict[str, Any] = {
    "a list": [1],
    "other keys": {"x": 1},
    "a path for an epoch": {"epoch": "../../x", "weights_sha256": ""},
    "a negative epoch": {"epoch": -1, "weights_sha256": ""},
    "half a state": {"epoch": 0, "weights_sha256": "", "history": []},
}


@pytest.mark.parametrize("name", STATES)
def test_x04_a_training_state_of_another_form_is_named(name, tmp_path):
    # kills: KeyError, TypeError and ValueError from a file that somebody else wrote
    torch.save(STATES[name], tmp_path / "state.pt")
    with pytest.raises(StorageError, match=r"not the state of a training.*\[E-T54\]"):
        restore(tmp_path, linear())


def test_x01_a_malicious_training_state_is_refused(tmp_path):
    torch.save({"epoch": 0, "x": Malice(tmp_path / "canary")}, tmp_path / "state.pt")
    with pytest.raises(StorageError, match=r"would run code"):
        restore(tmp_path, linear())
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("content", ["[1]", '{"recipe": [1]}', '{"recipe": "x"}', "{", ""])
def test_x04_a_record_of_another_form_is_named(content, tmp_path):
    # kills: AttributeError from JSON that is no table
    (tmp_path / "recipe.json").write_text(content)
    data = td.datasets.digits(flatten=True)
    recipe = Recipe(lambda: nn.Linear(64, 10), data, epochs=1)
    with pytest.raises((StorageError, RunMismatch), match=r"E-T5[12]"):
        train(recipe, checkpoints=tmp_path)


@pytest.mark.parametrize("path", ["x" * 5000, "y/" + "x" * 300, "a\0b", "", "/dev/null"])
def test_x06_a_path_that_is_no_file_of_weights_is_named(path):
    # kills: OSError "File name too long" from the first look at a path
    with pytest.raises(StorageError, match=r"there is no file.*\[E-T60\]") as caught:
        load_state(path)
    assert len(caught.value.what) < 300


def test_x06_a_path_too_long_is_named_by_every_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    long = "x" * 5000
    for argv in (
        ["line", f"{long}.py"],
        ["status", long],
        ["report", long],
        ["init", f"{long}.py"],
    ):
        assert main(argv) == 2
        assert "[E-I13]" in capsys.readouterr().err
    assert main(["line", "mine.py", "-o", long]) == 2
    assert "[E-S30]" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


HOSTILE = ["a\0b", "CON", "aux.txt", "x.", "x ", "x" * 300, "\x1b[2J", ".", "/", ""]


@pytest.mark.parametrize("name", HOSTILE)
def test_x06_names_no_folder_can_have_are_refused_by_python_too(name):
    # kills: a check that only the command line makes
    with pytest.raises(InvalidArgument, match=r"cannot be a run folder.*E-S30"):
        td.survey(objective(), measures=["lines"], out=name)


def test_x06_a_link_leads_no_run_out_of_its_place(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidArgument, match="symbolic link"):
        td.survey(objective(), measures=["lines"], out=tmp_path / "run")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert run_path("../x") == Path("../x")  # what a caller names, a caller may


NASTY = (
    "</script><script>hit()</script><img src=x onerror=hit()><svg onload=hit()>\u2028javascript:"
)


class Page(HTMLParser):
    """The elements of a page that could run or fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts, self.handlers, self.loads = 0, [], []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.handlers += [(tag, k) for k, _ in attrs if k.startswith("on")]
        names = {"src", "srcset", "data", "action", "poster", "background"}
        names |= {"href", "xlink:href"} if tag in ("link", "image", "use") else set()
        self.loads += [v for k, v in attrs if k in names and v and not v.startswith(("data:", "#"))]


def read(path: Path) -> tuple[str, Page]:
    text, page = path.read_text(), Page()
    page.feed(text)
    return text, page


def test_x08_names_of_models_losses_and_runs_stay_text_in_the_page(tmp_path):
    # kills: a template that does not escape, JSON that ends its script element
    kind = type(NASTY, (nn.Module,), {"forward": lambda self, x: self.last(x)})
    model = kind()
    model.last = linear()
    model.register_parameter("<b onclick=hit()>", nn.Parameter(torch.zeros(2)))

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (outputs - targets).square().mean(1)

    loss.__name__ = loss.__qualname__ = NASTY
    target = td.Target(objective(model, loss), name=NASTY)
    tree = td.survey(target, measures=["lines", "planes"], settings={"planes": {"steps": [5, 5]}})
    plain = td.survey(objective(), measures=["lines"])
    page = read(td.report({NASTY: tree}, tmp_path / "a.html", title=NASTY))[1]
    assert page.scripts == read(td.report(plain, tmp_path / "b.html"))[1].scripts
    assert page.handlers == []


WITHOUT_NETWORK = """
import socket, sys

def refuse(*args, **kw):
    raise AssertionError(f"the network was used: {args}")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
socket.create_connection = refuse
try:
    socket.socket().connect(("127.0.0.1", 9))
except AssertionError:
    pass
else:
    sys.exit("a connection would not be seen")
from theodolite.cli import main
sys.exit(main(["survey", "mine.py", "--measures", "lines,trace", "-o", "run"]))
"""


def test_x13_nothing_is_fetched_by_a_run_or_by_its_page(tmp_path):
    # kills: fonts, scripts or telemetry from elsewhere; a policy that would allow them
    (tmp_path / "mine.py").write_text(TARGET)
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_NETWORK],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    text, page = read(tmp_path / "run/report.html")
    policy = re.search(r'http-equiv="Content-Security-Policy"\s+content="([^"]*)"', text)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1] or "default-src 'none'" in policy[1]
    assert "http" not in policy[1]
    assert page.loads == []
    assert not re.findall(r"@import|url\(\s*['\"]?(?:https?:)?//", text)
    assert json.loads((tmp_path / "run/summary.json").read_text())["headline"]
