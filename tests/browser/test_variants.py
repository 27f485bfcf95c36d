"""The BatchNorm switch: both variants of a plane in every view, on one scale."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests.browser.test_switches import PIXELS, choose
from tests.reporting import fixtures

from theodolite.reporting import report


def with_variants(kind: str, **more: object) -> xr.DataTree:
    """A survey whose planes were measured again, with a loss that rises less."""
    tree = fixtures.survey(kind, **more)  # type: ignore[arg-type]
    for k in range(2):
        plane = tree[f"plane_{k}"].to_dataset()
        again = plane.copy(deep=True).assign_attrs(batch_norm="recompute")
        floor = float(plane["loss"].min())
        for name in ("loss", "test_loss"):
            again[name] = floor + (plane[name] - floor) / 4
        tree[f"plane_{k}_recomputed"] = xr.DataTree(again)
    return tree


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plain = fixtures.survey("chaos", steps=(21, 21))
    for k in range(2):
        plain[f"plane_{k}"].attrs["batch_norm"] = "none"
    trees = [with_variants("bowl", steps=(21, 21)), plain]
    return report(trees, tmp_path_factory.mktemp("variants") / "two.html")


@pytest.fixture
def page(visit: Callable, path: Path) -> object:
    watched = visit(path)
    page = watched.page
    page.locator('.map[data-model="0"]').scroll_into_view_if_needed()
    for m in (0, 1):
        page.wait_for_selector(f'.map[data-model="{m}"] .edge', state="attached")
    assert not watched.problems
    return page


def test_the_switch_changes_map_cuts_and_readout_and_back(page: object) -> None:
    # Kills: a switch that reaches the map alone; a model without BatchNorm that vanishes.
    curve = "document.querySelector('[data-cut=\"1\"] .curve').getAttribute('d')"
    page.locator('[data-cut="1"]').scroll_into_view_if_needed()  # type: ignore[attr-defined]
    page.wait_for_selector('[data-cut="1"] .curve', state="attached")  # type: ignore[attr-defined]
    page.locator('.map[data-model="0"]').focus()  # type: ignore[attr-defined]
    for _ in range(6):
        page.keyboard.press("ArrowLeft")  # type: ignore[attr-defined]

    def seen() -> tuple[str, str, str]:
        page.wait_for_timeout(150)  # type: ignore[attr-defined]
        value = page.locator('.reading[data-model="0"]').get_attribute("data-value")  # type: ignore[attr-defined]
        return page.evaluate(PIXELS, 0), page.evaluate(curve), value  # type: ignore[attr-defined]

    first, other = seen(), page.evaluate(PIXELS, 1)  # type: ignore[attr-defined]
    choose(page, "norm", "recomputed")
    assert page.locator("#surface").get_attribute("data-norm") == "recomputed"  # type: ignore[attr-defined]
    assert all(a != b for a, b in zip(first, seen(), strict=True))
    assert page.evaluate(PIXELS, 1) == other  # type: ignore[attr-defined]
    choose(page, "norm", "frozen")
    assert seen() == first


def test_both_variants_share_one_scale_and_say_so(page: object) -> None:
    # Kills: a scale of the variant shown, which would hide that the other rises more.
    section = page.locator("#surface")  # type: ignore[attr-defined]
    ends = [section.get_attribute(f"data-{k}") for k in ("low", "high")]
    choose(page, "norm", "recomputed")
    assert [section.get_attribute(f"data-{k}") for k in ("low", "high")] == ends
    note = page.locator("[data-scale-note]").inner_text()  # type: ignore[attr-defined]
    assert "BatchNorm recomputed; both share this scale" in note


def test_saved_data_are_those_of_the_variant_shown(page: object) -> None:
    choose(page, "norm", "recomputed")
    with page.expect_download() as waiting:  # type: ignore[attr-defined]
        page.locator("[data-do=save-data]").click()  # type: ignore[attr-defined]
    assert waiting.value.suggested_filename.endswith("plane-1-recomputed.csv")
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))
    own = with_variants("bowl", steps=(21, 21))["plane_0_recomputed"].to_dataset()
    got = [float(r["loss"]) for r in rows if r["model"] == "ResNet-20"]
    np.testing.assert_allclose(got, own["loss"].values.ravel(), rtol=1e-6)


def test_without_variants_there_is_no_switch(visit: Callable, folder: Path) -> None:
    page = visit(folder / "one.html").page
    assert page.locator("input[data-set=norm]").count() == 0
    assert "BatchNorm" not in page.locator("[data-scale-note]").inner_text()
