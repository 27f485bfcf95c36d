"""Real trainers and trackers where they are installed; the run's summary says what was left out."""

from __future__ import annotations

from importlib.util import find_spec

from tests.conftest import EXTRAS

collect_ignore = [file for file, (_, names) in EXTRAS.items() if not all(map(find_spec, names))]
