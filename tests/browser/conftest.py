"""Chromium, the pages it opens, and what is said when there is no Chromium.

Most tests run without WebGL, which is faster and proves that the page does not need it; those
of the 3-D views ask for ``webgl_page``. The policy of the page forbids ``eval``, so tests wait
for selectors and attributes, never for an expression.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import xarray as xr
from tests.reporting import fixtures, shapes

from theodolite.reporting import report, write_summary

NAMES = ("chromium", "chromium-browser", "google-chrome")
FOLDER = Path(__file__).parent
LEFT_OUT = pytest.StashKey[list[str]]()
QUIET = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
)
FLAT = ("--disable-gpu", "--disable-3d-apis")
# A machine busy with other tests draws slowly: nothing ends the drawing process for that, and
# nothing forbids WebGL to pages after a loss.
SOFTWARE = (
    "--enable-unsafe-swiftshader",
    "--disable-gpu-watchdog",
    "--disable-domain-blocking-for-3d-apis",
)


def chromium() -> str | None:
    """Where the browser is: ``THEODOLITE_CHROMIUM``, the usual place, or the path."""
    named = os.environ.get("THEODOLITE_CHROMIUM")
    if named is not None:
        return named if os.access(named, os.X_OK) else None
    usual = "/usr/bin/chromium"
    return (
        usual if os.access(usual, os.X_OK) else next(filter(None, map(shutil.which, NAMES)), None)
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out, by name, where there is no browser to run them in."""
    mine = [item for item in items if FOLDER in item.path.parents]
    if chromium() is None and mine:
        config.hook.pytest_deselected(items=mine)
        config.stash[LEFT_OUT] = [item.nodeid for item in mine]
        items[:] = [item for item in items if item not in mine]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """A run that tested less must not look like one that tested all."""
    names = config.stash.get(LEFT_OUT, [])
    if names:
        terminalreporter.section("left out: no Chromium (set THEODOLITE_CHROMIUM or install it)")
        for name in names:
            terminalreporter.write_line(name)


@dataclass
class Watched:
    """A page and everything it said or asked for."""

    page: object
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def launch() -> Iterator[Callable[..., object]]:
    """Starts one browser for each set of arguments, and ends them all."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        running: dict[tuple[str, ...], object] = {}

        def start(*extra: str) -> object:
            if extra not in running:
                running[extra] = play.chromium.launch(
                    executable_path=chromium(), args=[*QUIET, *extra]
                )
            return running[extra]

        yield start
        for browser in running.values():
            browser.close()  # type: ignore[attr-defined]


@pytest.fixture
def visit(launch: Callable[..., object]) -> Iterator[Callable[..., Watched]]:
    """Opens a file in a context of its own and watches console, errors and requests."""
    contexts = []

    def go(path: Path, *, flags: tuple[str, ...] = FLAT, before: str = "", **settings: object):  # type: ignore[no-untyped-def]
        settings.setdefault("viewport", {"width": 1280, "height": 900})
        context = launch(*flags).new_context(**settings)  # type: ignore[attr-defined]
        contexts.append(context)
        page = context.new_page()
        seen = Watched(page)
        page.on("pageerror", lambda error: seen.problems.append(str(error)))
        page.on(
            "console",
            lambda m: seen.problems.append(m.text) if m.type == "error" else None,
        )
        page.on("request", lambda request: seen.requests.append(request.url))
        page.route(lambda url: not url.startswith(("file:", "data:", "blob:")), lambda r: r.abort())
        if before:
            page.add_init_script(before)
        page.goto(path.as_uri())
        return seen

    yield go
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def surveys() -> list[xr.DataTree]:
    return [fixtures.survey("bowl"), fixtures.survey("chaos")]


@pytest.fixture(scope="session")
def folder(surveys: list[xr.DataTree], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``two.html`` compares two surveys, ``one.html`` shows one, each with its summary."""
    place = tmp_path_factory.mktemp("pages")
    report(surveys, place / "two.html")
    write_summary(surveys, place / "two.json")
    report(surveys[1], place / "one.html")
    write_summary(surveys[1], place / "one.json")
    return place


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small surveys side by side."""
    trees = {f"model {k}": tiny(f"model {k}") for k in range(3)}
    return report(trees, tmp_path_factory.mktemp("three") / "three.html")


def tiny(label: str, **attrs: object) -> xr.DataTree:
    """A survey of two small planes and one line, for pages that are made often."""
    headline = [{"name": "loss", "label": "Loss", "value": 1.5, "error": 0.1}]
    root = xr.Dataset(attrs={"model": label, "headline": json.dumps(headline), **attrs})
    parts = {f"plane_{k}": shapes.plane("chaos", index=k, steps=(9, 7)) for k in range(2)}
    return xr.DataTree.from_dict({"/": root, **parts, "line_0": shapes.line("bowl", 0, steps=9)})
