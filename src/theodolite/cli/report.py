"""``theodolite report``: one page from one or several runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from theodolite.errors import InvalidArgument


def report(
    *runs: Annotated[str, Parameter(help="One or several run folders, shown side by side.")],
    output: Annotated[
        Path | None, Parameter(name=["-o", "--output"], help="The page to write.")
    ] = None,
    title: Annotated[str | None, Parameter(help="What the page is called.")] = None,
    markdown: Annotated[bool, Parameter(help="Write Markdown beside the page as well.")] = False,
    figures: Annotated[
        bool, Parameter(help="Write every picture of each run as PNG as well.")
    ] = False,
    as_json: Annotated[
        bool, Parameter(name="--json", help="Print JSON instead of a path.")
    ] = False,
) -> int:
    """Write one self-contained interactive HTML page from one or several runs."""
    from theodolite import reporting
    from theodolite.cli import terminal
    from theodolite.surveys.reading import load_run

    if not runs:
        raise InvalidArgument(
            "no run was given.", fix="pass one or several run folders.", code="E-I07"
        )
    trees: list[Any] = [load_run(run) for run in runs]
    page = output or (Path(runs[0]) / "report.html" if len(runs) == 1 else Path("report.html"))
    content: Any = trees[0] if len(trees) == 1 else trees
    written = [reporting.report(content, page, title=title)]
    if len(runs) == 1 and output is None:
        written.append(reporting.write_summary(content, page.with_name("summary.json")))
    if markdown:
        written.append(reporting.write_markdown(content, page.with_suffix(".md")))
    if figures:
        for run, tree in zip(runs, trees, strict=True):
            written += reporting.save_figures(tree, Path(run) / "figures")
        if len(runs) > 1:
            written += reporting.save_multiples(trees, page.parent)
    if as_json:
        terminal.result(json.dumps({"report": str(page), "files": [str(w) for w in written]}))
    else:
        terminal.result(str(page))
    return 0
