"""Habits that no linter checks: size, names, words, and pages that say what is there.

Oracle: the files themselves.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("src", "tests", "scripts", "docs", "benchmarks", "changelog.d", ".ci")
SOURCES = {".py", ".sh", ".js", ".css", ".html", ".jinja"}
PROSE = {".md", ".rst", ".toml", ".cff", ".txt"}
GENERATED = {"_build", "gallery_out", "findings", "__pycache__", "node_modules"}
LONG = re.compile(r"longer than 300 lines: \w+")


def files(suffixes: set[str]) -> Iterator[Path]:
    """Hand-written files of the project with one of the `suffixes`."""
    for path in ROOT.iterdir():
        if path.is_file() and path.suffix in suffixes:
            yield path
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            inside = path.relative_to(ROOT)
            generated = inside.parts[0] == "docs" and GENERATED & set(inside.parts)
            if path.is_file() and path.suffix in suffixes and not generated:
                yield path


def test_files_are_at_most_300_lines_or_say_why_not() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {len(text.splitlines())}"
        for path in files(SOURCES)
        for text in [path.read_text("utf-8")]
        if len(text.splitlines()) > 300 and not LONG.search(text[:600])
    ]
    assert not long


def test_every_name_says_what_it_holds() -> None:
    forbidden = {"utils", "util", "helpers", "helper", "common", "core", "misc", "manager"}
    bad = [
        path.relative_to(ROOT)
        for path in files(SOURCES)
        if forbidden & {part.partition(".")[0] for part in path.relative_to(ROOT).parts}
    ]
    assert not bad


def test_no_file_names_a_place_on_one_machine() -> None:
    places = "|".join(["work", "root", "home", "opt", "Users"])
    path_on_a_machine = re.compile(rf"(?<![\w.:/}}])/(?:{places})/\w")
    bad = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in files(SOURCES | PROSE)
        if path != Path(__file__)
        for found in path_on_a_machine.finditer(path.read_text("utf-8"))
    ]
    assert not bad


def parsed(folder: str) -> Iterator[tuple[Path, ast.Module]]:
    """The syntax trees of the Python files in a folder."""
    for path in files({".py"}):
        if path.is_relative_to(ROOT / folder):
            yield path.relative_to(ROOT), ast.parse(path.read_text("utf-8"))


def test_nothing_is_put_off() -> None:
    put_off = re.compile(r"#.*\b(?:TODO|FIXME|XXX)\b|raise NotImplementedError$", re.MULTILINE)
    bad = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in files({".py", ".sh", ".js"})
        if path != Path(__file__)
        for found in put_off.finditer(path.read_text("utf-8"))
    ]
    assert not bad


def swallows(handler: ast.ExceptHandler) -> bool:
    """Whether a handler catches everything and does not pass it on."""
    caught = {node.id for node in ast.walk(handler.type or handler) if isinstance(node, ast.Name)}
    everything = handler.type is None or "BaseException" in caught
    last = handler.body[-1]
    passed_on = isinstance(last, ast.Raise) and last.exc is None
    names = {node.id for node in ast.walk(last) if isinstance(node, ast.Name)}
    if handler.name in names and not isinstance(last, ast.Raise):
        return False  # kept for another thread, which raises it
    return "Exception" in caught or (everything and not passed_on)


@pytest.mark.parametrize("folder", ["src", "tests", "scripts"])
def test_no_error_is_swallowed(folder: str) -> None:
    # ``except BaseException`` is for cleaning up: it must end in a bare ``raise``.
    bad = [
        f"{path}:{node.lineno}"
        for path, tree in parsed(folder)
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and swallows(node)
    ]
    assert not bad


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    names = {"skip", "skipif", "xfail", "importorskip"}
    bad = [
        f"{path}:{node.lineno}"
        for path, tree in parsed("tests")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in names and rooted(node) == "pytest"
    ]
    assert not bad


def rooted(node: ast.expr) -> str:
    """The name a chain of attributes begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize(
    "target",
    [
        "setup",
        "demo",
        "test",
        "check",
        "bench",
        "bench-surfaces",
        "findings",
        "docs",
        "gallery",
        "clean",
    ],
)
def test_make_knows(target: str) -> None:
    # Kills: a renamed target, a rule that does not parse.
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", target],
        cwd=ROOT,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_set_up_is_redone_when_what_decides_it_changes() -> None:
    rule = re.search(r"^\$\(STAMP\): (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert rule
    assert set(rule[1].split()) == {"pyproject.toml", "constraints.txt", "scripts/setup.sh"}


@pytest.mark.parametrize("script", ["scripts/setup.sh", "scripts/chromium.sh", ".ci/run"])
def test_shell_scripts_parse(script: str) -> None:
    subprocess.run(["bash", "-n", script], cwd=ROOT, check=True)
    assert (ROOT / script).stat().st_mode & 0o111


def test_every_error_code_is_on_its_page_and_no_other() -> None:
    # Kills: a code added, removed or reworded in the sources without `make errors`.
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "list_error_codes.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_codes_of_warnings_are_on_their_page_with_their_words() -> None:
    # Kills: the code of a warning, which stands inside its text, listed with nothing beside it.
    rows = (ROOT / "docs" / "errors.md").read_text("utf-8").splitlines()
    warned = [row for row in rows if "`TheodoliteWarning`" in row and "E-A" in row]
    assert {row.split("`")[1] for row in warned} >= {"E-A03", "E-A18", "E-A21"}
    assert all(len(row.split("|")[3].strip()) > 20 and "[E-" not in row for row in warned)


def test_error_codes_agree_with_the_sources_by_plain_search() -> None:
    # The independent oracle of the script above: a regular expression over the text.
    code = re.compile(r"\bE-[A-Z]\d{2}\b")
    in_sources = {
        found
        for path in files({".py"})
        if path.is_relative_to(ROOT / "src")
        for found in code.findall(path.read_text("utf-8"))
    }
    on_page = set(code.findall((ROOT / "docs" / "errors.md").read_text("utf-8")))
    assert in_sources == on_page
    assert in_sources
