"""The summary as Markdown, for a README, an issue or a terminal."""

from __future__ import annotations

from pathlib import Path

from theodolite.reporting.contents import Reportable, read_trees
from theodolite.reporting.files import write_text
from theodolite.reporting.numbers import text
from theodolite.reporting.sentences import plain_text
from theodolite.reporting.summary import ModelSummary, Summary, summarize


def write_markdown(
    trees: Reportable | list[Reportable] | dict[str, Reportable], path: str | Path
) -> Path:
    """Write the summary of one or several surveys as Markdown; return its path."""
    return write_text(Path(path), markdown(summarize(read_trees(trees))))


def markdown(summary: Summary) -> str:
    """The summary as GitHub-flavored Markdown, every outside text escaped."""
    lines = [f"# {escaped(summary.title)}", ""]
    if summary.created:
        lines += [f"Surveyed {escaped(summary.created)} by Theodolite.", ""]
    lines += [f"- {escaped(plain_text(s))}" for s in summary.words]
    lines += ["", " · ".join(escaped(f.text) for f in summary.facts), ""]
    lines += ["## Headline numbers", "", *_table(summary.models), ""]
    for model in summary.models:
        lines += _certificate(model)
    return "\n".join(lines).rstrip() + "\n"


def escaped(text: str) -> str:
    """`text` as literal Markdown: one line, nothing in it is markup.

    >>> escaped("a|b <i> *c*")
    'a\\\\|b &lt;i&gt; \\\\*c\\\\*'
    """
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "\\`*_[]|#!~" else c for c in flat)


def _table(models: tuple[ModelSummary, ...]) -> list[str]:
    rows: dict[str, str] = {}
    for model in models:
        rows.update({h.name: h.label for h in model.headline})
    head = ["quantity", *(escaped(m.label) for m in models)]
    out = [_row(head), _row(["---"] + ["---:"] * len(models))]
    for name, label in rows.items():
        found = [{h.name: h.number for h in m.headline}.get(name) for m in models]
        out.append(_row([escaped(label), *("" if n is None else escaped(text(n)) for n in found)]))
    return out


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _certificate(model: ModelSummary) -> list[str]:
    if model.certificate is None:
        return []
    found = model.certificate
    head = f"## Certificate of {escaped(model.label)}: {escaped(found.verdict)}"
    lines = [head, ""]
    if found.reason:
        lines += [escaped(found.reason), ""]
    lines += [_row(["check", "figure", "bound", "held"]), _row(["---", "---:", "---:", "---"])]
    lines += [
        _row([escaped(c.name), f"{c.figure:.2g}", f"{c.bound:.2g}", "yes" if c.passed else "NO"])
        for c in found.checks
    ]
    return [*lines, ""]
