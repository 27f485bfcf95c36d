"""Language models of others where they are installed; the run's summary says what was left out."""

from __future__ import annotations

from importlib.util import find_spec

DESIGNS = ["pretrained_designs.py", "test_pretrained_designs.py"]
collect_ignore: list[str] = [] if find_spec("transformers") else DESIGNS
