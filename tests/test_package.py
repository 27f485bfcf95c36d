"""The package as a user installs it: names, weight of the import, files in the wheel.

Oracles: the interpreter's own module table, the syntax tree, and the folder on disk.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import theodolite as td

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "theodolite"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

PART_ONE = {
    "Objective",
    "Operator",
    "ParameterSpace",
    "Target",
    "certify",
    "eigenpairs",
    "findings",
    "ggn",
    "hessian",
    "line",
    "plane",
    "random_directions",
    "report",
    "spectral_density",
    "survey",
    "trace",
}


def modules_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after `statement`."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_importing_the_package_is_light() -> None:
    # Kills: an eager import in theodolite/__init__.py.
    heavy = {"torch", "numpy", "scipy", "xarray", "zarr", "matplotlib", "plotly", "sklearn"}
    assert not modules_after("import theodolite") & heavy


@pytest.mark.parametrize("folder", ["plots", "reporting"])
def test_pages_are_made_without_torch(folder: str) -> None:
    # Kills: an import of torch anywhere below plots or reporting, however indirect.
    assert "torch" not in modules_after(f"import theodolite.{folder}")


def test_a_result_is_made_without_torch() -> None:
    # Kills: an import of torch at the top of seeds.py or results.py.
    assert "torch" not in modules_after("from theodolite import results, seeds, errors")


def test_the_public_names_are_there() -> None:
    assert set(td.__all__) >= PART_ONE
    assert dir(td) == sorted(td.__all__)


@pytest.mark.parametrize("name", sorted(td.__all__))
def test_every_public_name_resolves_and_is_documented(name: str) -> None:
    # Kills: a name in __all__ whose home does not have it.
    value = getattr(td, name)
    assert isinstance(value, str) or (value.__doc__ or "").strip()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        td.no_such_name  # noqa: B018


def test_what_type_checkers_see_is_what_is_exported() -> None:
    # Kills: a name added to one of the three lists of __init__.py and not to the others.
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    guard = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: (node.module or "").removeprefix("theodolite").lstrip(".")
        for node in guard.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    homes = {**td._HOMES, **dict.fromkeys(td._MODULES, "")}
    assert seen == homes
    assert set(td.__all__) == {*homes, "__version__"}


def test_no_public_name_is_also_a_module() -> None:
    # A module of the same name would replace the function once it is imported.
    folders = {path.stem for path in PACKAGE.iterdir()}
    assert not set(td._HOMES) & folders


def test_the_version_is_the_same_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert PROJECT["project"]["version"] == td.__version__
    assert re.search(rf"^version: {re.escape(td.__version__)}$", citation, re.MULTILINE)


def test_every_folder_of_the_package_says_what_it_holds() -> None:
    # Kills: a folder without __init__.py, which wheels and the import contract would miss.
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    for folder in folders:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))), folder


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    # Kills: data files or templates lost to .gitignore or to a build setting.
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("theodolite/")}
    on_disk = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == on_disk
    assert "theodolite/py.typed" in packed


def test_torch_is_pinned_once_and_kept_out_of_the_build() -> None:
    # Kills: a second version of the pin; torch fetched again for every isolated build.
    pins = re.findall(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M)
    setup = (ROOT / "scripts" / "setup.sh").read_text("utf-8")
    assert re.findall(r'default_torch="torch==([^"]+)"', setup) == pins
    assert not any("torch" in name for name in PROJECT["build-system"]["requires"])


def test_the_layers_name_every_folder_once() -> None:
    # lint-imports checks imports; this one keeps the page in step with the contract.
    (contract,) = (c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    assert contract["exhaustive"] is True
    names = re.findall(r"\w+", " ".join(contract["layers"]))
    assert len(names) == len(set(names))
    page = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    block = re.search(r"```text\n(cli.*?)```", page, re.DOTALL)
    assert block
    assert set(re.findall(r"\w+", block[1])) == set(names)


def test_the_package_runs_as_a_module() -> None:
    # Kills: a package without __main__, or one that runs nothing.
    run = subprocess.run(
        [sys.executable, "-m", "theodolite", "--version"], capture_output=True, text=True
    )
    assert run.returncode == 0
    assert run.stdout.split()[-1] == td.__version__
