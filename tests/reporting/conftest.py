"""Two surveys and the page that compares them, made once: everything here only reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr
from tests.reporting import fixtures

from theodolite.reporting import report
from theodolite.reporting.contents import Contents, read_trees


@pytest.fixture(scope="session")
def bowl() -> xr.DataTree:
    return fixtures.survey("bowl")


@pytest.fixture(scope="session")
def chaos() -> xr.DataTree:
    return fixtures.survey("chaos")


@pytest.fixture(scope="session")
def both(bowl: xr.DataTree, chaos: xr.DataTree) -> tuple[Contents, ...]:
    return read_trees([bowl, chaos])


@pytest.fixture(scope="session")
def compared(
    bowl: xr.DataTree, chaos: xr.DataTree, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The page of two surveys."""
    return report([bowl, chaos], tmp_path_factory.mktemp("page") / "report.html")
