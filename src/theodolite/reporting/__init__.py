"""From results to what people read: one summary, written as HTML, Markdown and JSON."""

from __future__ import annotations

from theodolite.reporting.figures import save_figures
from theodolite.reporting.html import report
from theodolite.reporting.json import write_summary
from theodolite.reporting.markdown import write_markdown
from theodolite.reporting.multiples import save_multiples

__all__ = ["report", "save_figures", "save_multiples", "write_markdown", "write_summary"]
