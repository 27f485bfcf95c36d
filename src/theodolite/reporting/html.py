"""One self-contained page: drawn first for the eye, every number with its error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from theodolite.plots import plain, status_counts
from theodolite.reporting import assets, pictures, provenance, sparks, spectra, tables
from theodolite.reporting.averages import average_panels
from theodolite.reporting.connectivity import connection_panels
from theodolite.reporting.contents import Contents, Reportable, read_trees
from theodolite.reporting.convexity import convexity_caption
from theodolite.reporting.edge_words import EXPLANATION as EDGE
from theodolite.reporting.edges import edge_panels
from theodolite.reporting.explanations import EXPLANATIONS
from theodolite.reporting.files import write_text
from theodolite.reporting.layers import layer_panels
from theodolite.reporting.monitored import monitored_panels
from theodolite.reporting.monitored_words import watched
from theodolite.reporting.multiples import multiples_picture
from theodolite.reporting.noise import noise_panels
from theodolite.reporting.numbers import parts
from theodolite.reporting.numbers import text as number_text
from theodolite.reporting.overlays import overlay_choices
from theodolite.reporting.pack import METRICS, SPLITS, json_for_script, page_data, variable_of
from theodolite.reporting.pitfalls import PITFALLS
from theodolite.reporting.saddles import saddle_panels
from theodolite.reporting.sentences import cited_text, plain_text
from theodolite.reporting.shapes import complete, shape_panels
from theodolite.reporting.sharpness import sharpness_panels
from theodolite.reporting.studies import study_panels
from theodolite.reporting.study_explanations import STUDY_EXPLANATIONS, STUDY_PITFALLS
from theodolite.reporting.summary import Summary, summarize
from theodolite.reporting.trajectory import trajectory_paths
from theodolite.results import package_version


def report(
    trees: Reportable | Sequence[Reportable] | Mapping[str, Reportable],
    path: str | Path,
    *,
    title: str | None = None,
) -> Path:
    """Write one or several surveys as a single interactive HTML file; return its path.

    `trees` is what ``survey`` returned, a single result, a sequence of surveys to compare, or a
    mapping from labels to surveys. The file needs no network, no server and no other file; it is
    about 2 MB plus data, appears whole or not at all, and the same surveys give the same bytes.
    Raises ``InvalidType``, ``InvalidArgument`` or ``InvalidData`` for what is not a survey and
    ``StorageError`` when `path` cannot be written. Not checked: that surveys shown side by side
    used the same data.
    """
    surveys = read_trees(trees)
    return write_text(Path(path), page(surveys, summarize(surveys, title=title)))


def page(surveys: Sequence[Contents], summary: Summary) -> str:
    """The whole page as text."""
    script = assets.joined("js")
    plotly, plotly_hash = assets.packed_plotly()
    policy = assets.content_policy(assets.csp_hash(script), plotly_hash)
    content = page_data(surveys, summary.title)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            summary=summary,
            surveys=surveys,
            policy=Markup(policy),
            style=Markup(assets.joined("css")),
            script=Markup(script),
            plotly=Markup(plotly),
            data=Markup(json_for_script(content)),
            stills=_stills(surveys) | {"multiples": multiples_picture(surveys, summary)},
            art=sparks.contour_art(surveys[0].planes[0] if surveys[0].planes else None),
            controls=_controls(surveys),
            rows=tables.headline_rows(summary.models),
            wide_spectrum=content["wide_within"] is not None,
            sections=_sections(surveys, summary),
            layers=layer_panels(surveys),
            spectra=spectra,
            shapes=shape_panels(surveys),
            sharpness=sharpness_panels(surveys),
            noise=noise_panels(surveys),
            connections=connection_panels(surveys),
            averages=average_panels(surveys),
            saddles=saddle_panels(surveys),
            byline=_byline(summary),
            paths=trajectory_paths(surveys),
            monitored=monitored_panels(surveys),
            edges=edge_panels(surveys),
            studies=study_panels(surveys),
            explanations={**EXPLANATIONS, **STUDY_EXPLANATIONS, "edge": EDGE},
            pitfalls=PITFALLS + STUDY_PITFALLS,
            version=package_version(),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("theodolite.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(parts=parts, plain=plain, text=number_text, cited=cited_text)
    environment.globals.update(
        sparks=sparks.sparks,
        spark_size=(sparks.WIDTH, sparks.ROW, sparks.EDGE),
        counts=status_counts,
        tables=tables,
        provenance=provenance,
        convexity_caption=convexity_caption,
        sentence=plain_text,
        series_dash=series_dash,
    )
    return environment


def series_dash(index: int) -> str:
    """The dash pattern of the model at `index`, as the page's script draws it."""
    return ("", "7 3", "2 2.5", "7 3 2 3")[(index + index // 4) % 4]


def _stills(surveys: Sequence[Contents]) -> dict[str, Any]:
    """The still pictures: SVG made by matplotlib, which escapes every text in it."""
    own = pictures.model_pictures(surveys)
    return {
        "models": own,
        "cuts": pictures.cut_pictures(surveys),
        "lines": pictures.line_picture(surveys),
        "convexity": pictures.convexity_pictures(surveys),
        "training": pictures.training_pictures(surveys),
    }


def _controls(surveys: Sequence[Contents]) -> dict[str, Any]:
    """Which switches the page needs: only those with more than one position."""
    planes = [p for c in surveys for p in c.planes]
    having = {
        variable_of(m, s): bool(planes) and any(variable_of(m, s) in p for p in planes)
        for m in METRICS
        for s in SPLITS
    }
    return {
        "planes": max((len(c.planes) for c in surveys), default=0),
        "test": having["test_loss"],
        "accuracy": having["accuracy"],
        "variants": any(c.recomputed for c in surveys),
        "overlays": overlay_choices(planes),
    }


def _sections(surveys: Sequence[Contents], summary: Summary) -> list[tuple[str, str]]:
    """What the bar at the top leads to: the sections this page has."""
    found = [
        ("numbers", "Numbers", True),
        ("surface", "Surface", any(c.planes for c in surveys)),
        ("lines", "Lines", any(c.lines for c in surveys)),
        (
            "curvature",
            "Curvature",
            any(c.spectrum is not None or c.eigenvalues is not None for c in surveys),
        ),
        ("shape", "Shape", any(complete((*c.planes, *c.volumes)) for c in surveys)),
        ("convexity", "Convexity", any(c.convexity is not None for c in surveys)),
        (
            "saddles",
            "Saddles",
            any(c.saddles is not None or c.critical is not None or c.escapes for c in surveys),
        ),
        (
            "sharpness",
            "Sharpness",
            any(p is not None for c in surveys for p in (c.sharpness, c.rises, c.valleys)),
        ),
        ("noise", "Noise", any(c.noise or c.no_noise for c in surveys)),
        ("connections", "Connections", any(c.barriers or c.connections.found for c in surveys)),
        ("averages", "Averages", any(c.averages is not None for c in surveys)),
        ("edge", "Edge", any(c.edge is not None for c in surveys)),
        ("path", "Path", any(c.trajectory is not None for c in surveys)),
        ("studies", "Studies", any(c.studies for c in surveys)),
        ("monitor", "Monitor", any(map(watched, surveys))),
        ("training", "Training", any(c.training is not None for c in surveys)),
        ("certificate", "Certificate", any(c.certificate is not None for c in surveys)),
        ("advice", "Advice", any(m.advice for m in summary.models)),
        ("provenance", "Provenance", True),
        ("pitfalls", "Pitfalls", True),
    ]
    return [(name, text) for name, text, there in found if there]


def _byline(summary: Summary) -> list[str]:
    sizes = sorted({m.params for m in summary.models if m.params is not None})
    size = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}" if sizes else ""
    found = [f"{size} parameters"] if size else []
    if summary.created:
        found.append(_date(summary.created))
    return found


def _date(created: str) -> str:
    """An ISO time as a date in words; any other text as it is."""
    try:
        when = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{when.day} {when:%B %Y}"
