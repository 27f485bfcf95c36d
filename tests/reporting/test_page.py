"""The page as text. Oracles: its own policy, the summary's numbers, and an HTML parser."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests.reporting import fixtures, shapes

from theodolite.errors import StorageError
from theodolite.reporting import report
from theodolite.reporting.assets import joined, plotly_source
from theodolite.reporting.contents import Contents
from theodolite.reporting.explanations import EXPLANATIONS
from theodolite.reporting.json import summary_json
from theodolite.reporting.pitfalls import PITFALLS
from theodolite.reporting.summary import summarize


class Page(HTMLParser):
    """Ids, links, scripts and marked numbers of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.numbers: list[dict[str, str | None]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.policy = ""
        self.inside: dict[str, str | None] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [v for k, v in attrs if k == "id" and v]
        self.links += [v for k, v in attrs if k in ("href", "src", "xlink:href") and v]
        if tag == "data" and "data-name" in found:
            self.numbers.append(found)
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found.get("content") or ""
        self.inside = found if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self.inside is not None:
            self.scripts.append((self.inside, data))
            self.inside = None


@pytest.fixture(scope="module")
def parsed(compared: Path) -> Page:
    return Page(compared.read_text("utf-8"))


def test_the_numbers_on_the_page_are_those_of_the_summary(
    parsed: Page, both: tuple[Contents, ...]
) -> None:
    # Kills: numbers formatted and parsed again on their way to the page.
    wanted = [
        (str(m), row["name"], row["value"], row["error"])
        for m, model in enumerate(summary_json(summarize(both))["models"])
        for row in model["headline"]
    ]
    shown = [
        (
            n["data-model"],
            n["data-name"],
            float(n["value"] or "nan"),
            float(n["data-error"]) if n["data-error"] else None,
        )
        for n in parsed.numbers
    ]
    assert sorted(shown, key=str) == sorted(wanted, key=str)


def test_the_policy_allows_exactly_the_two_scripts(parsed: Page) -> None:
    # Kills: unsafe-inline, unsafe-eval, a hash that is not the script's.
    allowed = re.search(r"script-src ([^;]*)", parsed.policy)
    assert allowed is not None
    own = next(text for attrs, text in parsed.scripts if "type" not in attrs)
    hashes = {
        "'sha256-" + base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() + "'"
        for s in (own, plotly_source())
    }
    assert set(allowed[1].split()) == hashes
    assert "default-src 'none'" in parsed.policy
    assert "connect-src 'none'" in parsed.policy
    assert "unsafe-eval" not in parsed.policy


def test_the_packed_library_is_the_one_that_plotly_ships(parsed: Page) -> None:
    packed = next(text for attrs, text in parsed.scripts if attrs.get("id") == "plotly-code")
    assert gzip.decompress(base64.b64decode(packed)).decode() == plotly_source()


def test_nothing_on_the_page_points_outside(compared: Path, parsed: Page) -> None:
    # Kills: a link, picture, font or style sheet from elsewhere.
    assert all(link.startswith(("#", "data:image/")) for link in parsed.links)
    visible = re.sub(
        r'<script type="text/plain".*?</script>', "", compared.read_text("utf-8"), flags=re.DOTALL
    )
    outside = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[\w./#-]*", visible))
    assert outside == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in visible
    assert "javascript:" not in visible


def test_every_inner_link_has_a_target_and_ids_are_unique(parsed: Page) -> None:
    # Kills: clip paths of one picture used by another, links to sections that are not there.
    assert len(parsed.ids) == len(set(parsed.ids))
    missing = {link[1:] for link in parsed.links if link.startswith("#")} - set(parsed.ids)
    assert not missing


def test_every_panel_says_what_it_shows_and_how_it_misleads(compared: Path) -> None:
    text = compared.read_text("utf-8").replace("&#39;", "'")
    elsewhere = (
        "trajectory",
        "monitor",
        "saddles",
        "escape",
        "sharpness",
        "noise",
        "connectivity",
        "averages",
        "valleys",
        "layers",
    )  # each has a test file of its own
    there = {k: e for k, e in EXPLANATIONS.items() if k not in elsewhere}
    for explanation in there.values():
        assert explanation.shows in text
        assert explanation.misleads in text
        assert f'href="#pitfall-{explanation.pitfall}"' in text
    assert {e.pitfall for e in EXPLANATIONS.values()} <= {p.id for p in PITFALLS}


def test_the_page_data_are_the_arrays(parsed: Page, chaos: xr.DataTree) -> None:
    # Kills: transposed planes, NaN replaced, float64 cut to text.
    data = json.loads(next(t for a, t in parsed.scripts if a.get("id") == "page-data"))
    packed = data["planes"][1][0]["fields"]["loss"]
    values = np.frombuffer(base64.b64decode(packed["f32"]), "<f4").reshape(packed["shape"])
    np.testing.assert_array_equal(values, chaos["plane_0"]["loss"].values.astype("<f4"))
    assert np.isnan(values).any()


def test_the_same_surveys_give_the_same_bytes(tmp_path: Path) -> None:
    # Kills: dates, random ids or dictionary order in the page.
    tree = fixtures.survey("chaos", steps=(5, 5), planes=1, lines=1)
    first = report(tree, tmp_path / "a.html").read_bytes()
    assert report(tree, tmp_path / "b.html").read_bytes() == first


def test_the_page_is_small(compared: Path) -> None:
    assert compared.stat().st_size < 4_000_000


def small(label: str = "m", **attrs: object) -> xr.DataTree:
    """A survey of two tiny planes and nothing else, so that a page of it is made quickly."""
    parts = {f"plane_{k}": shapes.plane("bowl", index=k, steps=(3, 3)) for k in range(2)}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"model": label, **attrs}), **parts})


NASTY = (
    "</script><script>x()</script>",
    "<!--<script>",
    "<svg onload=x()>",
    "a\u2028b",
    '"><img src=x onerror=x()>',
    "{{ 7 * 7 }}",
)


def test_names_stay_text(tmp_path: Path) -> None:
    # Kills: a name marked safe anywhere; the browser tests count executions.
    name = " ".join(NASTY)
    row = {"name": name, "label": name, "value": 1.0, "unit": name, "explain": name}
    record = {"command": name, name: name, "versions": {name: [name, {name: name}]}}
    tree = small(
        name, target=name, headline=json.dumps([row]), provenance=json.dumps(record), created=name
    )
    text = report({name: tree, "other": small()}, tmp_path / "r.html", title=name).read_text()
    own = [t for a, t in Page(text).scripts if "type" not in a]
    assert own == [joined("js")]
    body = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    for raw in ("<script", "<svg onload", "<img", "<!--", ">49<"):
        assert raw not in body
    assert "{{ 7 * 7 }}" in body


def test_a_plane_alone_makes_a_page(tmp_path: Path) -> None:
    plane = shapes.plane("bowl", steps=(5, 5))
    text = report(plane, tmp_path / "r.html", title="Only a plane").read_text("utf-8")
    assert "<h1>Only a plane</h1>" in text
    assert 'id="curvature"' not in text
    assert 'id="training"' not in text
    assert 'id="advice"' not in text


@pytest.mark.parametrize("child", ["spectrum", "eigenvalues", "trace", "training", "line_0"])
def test_any_part_alone_makes_a_page(child: str, bowl: xr.DataTree, tmp_path: Path) -> None:
    parts = {"/": xr.Dataset(), child: bowl[child].to_dataset()}
    text = report(xr.DataTree.from_dict(parts), tmp_path / "r.html").read_text("utf-8")
    assert 'id="surface"' not in text
    assert 'id="pitfalls"' in text


def test_surveys_of_different_parts_stand_side_by_side(bowl: xr.DataTree, tmp_path: Path) -> None:
    # Kills: columns that take the wrong model's data when one has a part fewer.
    less, more = (
        xr.DataTree.from_dict({"/": xr.Dataset(), **{k: bowl[k].to_dataset() for k in names}})
        for names in (["line_0"], ["plane_0", "spectrum"])
    )
    text = report({"less": less, "more": more}, tmp_path / "r.html").read_text("utf-8")
    assert 'data-spectrum="1"' in text
    assert 'data-spectrum="0"' not in text
    assert "No plane was measured for this model." in text


def test_advice_is_shown_where_the_data_have_it(tmp_path: Path) -> None:
    rows = [{"measured": "M", "action": "Do this", "confidence": "C", "command": "theodolite x"}]
    text = report(small(advice=json.dumps(rows)), tmp_path / "r.html").read_text("utf-8")
    assert "<h3>Do this</h3>" in text


def test_many_models_keep_one_still_plane_each(tmp_path: Path) -> None:
    text = report([small(f"m{k}") for k in range(7)], tmp_path / "r.html").read_text("utf-8")
    assert text.count('id="p3-0-') > 0
    assert text.count('id="p3-1-') == 0
    assert text.count('class="map live"') == 7


def test_an_interrupted_write_leaves_the_old_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Kills: writing in place.
    tree = small()
    path = report(tree, tmp_path / "r.html")
    before = path.read_bytes()

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(StorageError, match=r"cannot write 'r.html': No space left on device"):
        report(tree, path, title="another")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        report(small(), tmp_path / "file" / "r.html")


def test_the_page_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    # Kills: the 0600 of a temporary file left on the result.
    other = tmp_path / "other"
    other.write_text("")
    path = report(shapes.plane("bowl", steps=(3, 3)), tmp_path / "r.html")
    assert path.stat().st_mode == other.stat().st_mode
