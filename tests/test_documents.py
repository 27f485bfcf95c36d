"""Documentation that runs: the README's lines, the gallery, links and anchors.

Oracles: the code blocks themselves, executed as they are printed, and the files linked to.
"""

from __future__ import annotations

import os
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCKS = PYTHON.findall(README)
SCRIPTS = sorted((ROOT / "docs" / "gallery").glob("*.py"))


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to run in, and no window for figures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    yield tmp_path
    import matplotlib.pyplot

    matplotlib.pyplot.close("all")


def test_the_ten_lines_are_ten_lines() -> None:
    assert len(BLOCKS) == 1
    assert sum(bool(line.strip()) for line in BLOCKS[0].splitlines()) <= 12


def test_the_lines_of_the_readme_work_as_written(empty_folder: Path) -> None:
    # Kills: any change of a public name or argument that the README uses.
    exec(compile(BLOCKS[0], "README.md", "exec"), {"__name__": "readme"})
    page = (empty_folder / "report.html").read_text("utf-8")
    assert page.lstrip().lower().startswith("<!doctype html")


@pytest.mark.parametrize(
    ("page", "count"),
    [
        ("optimizers", 8),
        ("curvature", 5),
        ("sharpness", 3),
        ("saddles", 4),
        ("symmetry", 11),
        ("averaging", 7),
    ],
)
def test_the_lines_of_a_page_work_as_written(page: str, count: int, empty_folder: Path) -> None:
    # Kills: any change of a public name or argument that the page uses.
    names: dict[str, object] = {"__name__": page}
    blocks = PYTHON.findall((ROOT / "docs" / f"{page}.md").read_text("utf-8"))
    for block in blocks:
        exec(compile(block, f"{page}.md", "exec"), names)
    assert len(blocks) == count


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_gallery_runs(script: Path, empty_folder: Path) -> None:
    # Kills: any change of a public name or argument that a tutorial uses.
    runpy.run_path(str(script), run_name="__main__")
    assert os.listdir(empty_folder)


def test_there_is_a_gallery() -> None:
    assert len(SCRIPTS) >= 3


def pages() -> list[Path]:
    """Every page of Markdown that people read."""
    return [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    # Kills: a renamed file or anchor.
    for link in LINK.findall(page.read_text("utf-8")):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            assert f'<a id="{anchor}"></a>' in target.read_text("utf-8"), link


def test_every_pitfall_named_in_the_report_has_its_section() -> None:
    # Kills: a pitfall added to the report, or a section renamed, on one side only.
    from theodolite.reporting.pitfalls import PITFALLS
    from theodolite.reporting.study_explanations import STUDY_PITFALLS

    anchors = set(re.findall(r'<a id="([\w-]+)"></a>', (ROOT / "docs/pitfalls.md").read_text()))
    assert {pitfall.id for pitfall in PITFALLS + STUDY_PITFALLS} <= anchors


def test_every_figure_of_the_pitfalls_has_been_measured() -> None:
    page = (ROOT / "docs" / "pitfalls.md").read_text("utf-8")
    blocks = re.findall(r"<!-- figure: ([\w-]+) -->\n(.*?)<!-- end -->", page, re.DOTALL)
    assert len(blocks) > 10
    assert [name for name, text in blocks if not text.strip()] == []
