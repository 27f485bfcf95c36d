"""Names from outside stay text everywhere. Oracle: a counter that any execution raises."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.browser.conftest import tiny
from tests.reporting import spectra

from theodolite.reporting import report

COUNT = "window.executions = 0; window.hit = () => { window.executions += 1; };"
NASTY = (
    "<script>hit()</script>",
    "</script><script>hit()</script>",
    "<!--<script>hit()//-->",
    "\u2028hit()\u2029",
    '<svg onload="hit()"></svg>',
    '"><img src=x onerror="hit()">',
    "javascript:hit()",
    "${hit()}",
    "{{ hit() }}",
    "]]><b onclick=hit()>",
)


def test_no_name_is_ever_executed(visit: Callable, tmp_path: Path) -> None:
    # X08. Kills: innerHTML, an unescaped template field, JSON that closes its script element.
    name = " ".join(NASTY)
    rows = [
        {"name": name, "label": name, "value": 1.0, "error": 0.1, "unit": name, "explain": name}
    ]
    advice = [{"measured": name, "action": name, "confidence": name, "command": name}]
    trees = {}
    for k in range(2):
        tree = tiny(
            name,
            target=name,
            created=name,
            headline=json.dumps(rows),
            advice=json.dumps(advice),
            provenance=json.dumps({"command": [name], name: name, "versions": {name: name}}),
        )
        tree["spectrum"] = spectra.spectrum("bowl").assign_attrs(operator=name)
        certificate = spectra.certificate("uncertified").assign_attrs(verdict=name, reason=name)
        tree["certificate"] = certificate.assign_coords(check=[f"{name} {j}" for j in range(5)])
        trees[f"{name} {k}"] = tree
    path = report(trees, tmp_path / "hostile.html", title=name)
    seen = visit(path, before=COUNT)
    page = seen.page
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    height = page.evaluate("document.documentElement.scrollHeight")
    for y in range(0, height, 500):
        page.evaluate(f"window.scrollTo({{top: {y}, behavior: 'instant'}})")
        page.wait_for_timeout(30)
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    page.locator(".map").first.scroll_into_view_if_needed()
    page.locator(".map").first.hover()
    page.wait_for_timeout(600)
    assert page.evaluate("window.executions") == 0
    assert seen.problems == []
    shown = " ".join(page.locator("h1").inner_text().split())
    assert shown == " ".join(name.split())
    reading = page.locator("[data-seen] .reading").first.inner_text()
    assert "<script>hit()</script>" in reading
    assert page.locator("script").count() == 3
    assert page.locator("b[onclick], img, svg[onload]").count() == 0


def test_a_formula_in_a_name_stays_text_in_saved_data(visit: Callable, tmp_path: Path) -> None:
    # Kills: a cell that a spreadsheet runs.
    path = report(tiny("=HYPERLINK(1)"), tmp_path / "formula.html")
    page = visit(path).page
    with page.expect_download() as waiting:
        page.locator("[data-do=save-data]").click()
    lines = Path(waiting.value.path()).read_text().splitlines()
    assert all(line.startswith("'=HYPERLINK(1),") for line in lines[1:])
