"""Language models of others where they are installed; the run's summary says what was left out."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [] if find_spec("transformers") else ["test_pretrained_designs.py"]
