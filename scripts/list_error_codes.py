"""Write docs/errors.md from the sources: every code, what raises it, what it says, what to do.

python scripts/list_error_codes.py            write the table
python scripts/list_error_codes.py --check    fail if the table is not what the sources say
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "src" / "theodolite"
PAGE = ROOT / "docs" / "errors.md"
BEGIN, END = "<!-- codes: begin (make errors) -->", "<!-- codes: end -->"
CODE = re.compile(r"\bE-[A-Z]\d{2}\b")
BRACKET = re.compile(r"\s*\[E-[A-Z]\d{2}\]")
WARNINGS = ("TheodoliteWarning",)
"""Classes whose code stands in brackets at the end of their text."""


@dataclass(frozen=True)
class Raised:
    """One place that raises a code."""

    code: str
    kind: str
    what: str
    fix: str
    module: str


def text_of(node: ast.expr | None) -> str:
    """A message as a reader sees it: what is filled in at run time becomes a name in braces."""
    if node is None:
        return ""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return text_of(node.value) if isinstance(node.value, ast.Constant) else hole(node.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text_of(node.left) + text_of(node.right)
    return hole(node)


def hole(node: ast.expr) -> str:
    """The name of something filled in at run time; ``...`` where it has none."""
    if isinstance(node, ast.Name):
        return "{" + node.id + "}"
    if isinstance(node, ast.Attribute):
        return "{type}" if node.attr == "__name__" else "{" + node.attr + "}"
    return "{...}"


def name_of(function: ast.expr) -> str:
    """The called name: ``errors.InvalidData`` and ``InvalidData`` are the same."""
    return function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)


def raised(path: Path) -> Iterator[Raised]:
    """Every code in one file; those not written at a call are listed without a message."""
    source = path.read_text(encoding="utf-8")
    module = ".".join(path.relative_to(SOURCES.parent).with_suffix("").parts)
    module = module.removesuffix(".__init__")
    seen = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        named = {k.arg: k.value for k in node.keywords if k.arg}
        first = text_of(node.args[0]) if node.args else ""
        codes = CODE.findall(text_of(named.get("code")))
        if name_of(node.func) in WARNINGS:
            codes = CODE.findall(first)
        for code in codes:
            seen.add(code)
            what = BRACKET.sub("", first or text_of(named.get("what")))
            yield Raised(code, name_of(node.func), what, text_of(named.get("fix")), module)
    for code in sorted(set(CODE.findall(source)) - seen):
        yield Raised(code, "", "", "", module)


def all_raised() -> dict[str, list[Raised]]:
    """Code to the places that raise it, in the order of the codes."""
    found: dict[str, list[Raised]] = defaultdict(list)
    for path in sorted(SOURCES.rglob("*.py")):
        for item in raised(path):
            found[item.code].append(item)
    return dict(sorted(found.items()))


def cell(text: str) -> str:
    """`text` fit for a table cell of Markdown."""
    return " ".join(text.split()).replace("|", r"\|").replace("<", "&lt;")


def table(found: dict[str, list[Raised]]) -> str:
    """The generated part of the page."""
    lines = ["| code | error | what it says | what to do | raised in |", "|---|---|---|---|---|"]
    for code, places in found.items():
        told = sorted(places, key=lambda place: not place.what)  # those that only name it last
        for number, place in enumerate(dict.fromkeys(told)):
            anchor = f'<a id="{code.lower()}"></a>`{code}`' if number == 0 else ""
            kind = f"`{place.kind}`" if place.kind[:1].isupper() else ""
            cells = (anchor, kind, cell(place.what), cell(place.fix), f"`{place.module}`")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def kinds() -> str:
    """The classes of errors.py with their first sentence."""
    rows = ["| error | when |", "|---|---|"]
    for node in ast.parse((SOURCES / "errors.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            sentence = (ast.get_docstring(node) or "").split("\n\n")[0]
            rows.append(f"| `{node.name}` | {cell(sentence)} |")
    return "\n".join(rows)


def page(old: str) -> str:
    """The page with its generated part replaced."""
    head, rest = old.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    generated = f"{kinds()}\n\n{table(all_raised())}"
    return f"{head}{BEGIN}\n{generated}\n{END}{tail}"


def main() -> int:
    """Write the page, or say whether it is up to date."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--check", action="store_true", help="change nothing; fail if out of date")
    check = options.parse_args().check
    old = PAGE.read_text(encoding="utf-8")
    new = page(old)
    if check and new != old:
        print("docs/errors.md is not what the sources say; run `make errors`.", file=sys.stderr)
        return 1
    if not check:
        PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
