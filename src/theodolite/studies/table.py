"""The studies by name, as a survey's machinery finds them."""

from __future__ import annotations

from collections.abc import Mapping

from theodolite.studies.batch_size_study import BATCH_SIZE
from theodolite.studies.edge_measure import EDGE_OF_STABILITY
from theodolite.studies.optimizer_study import OPTIMIZERS
from theodolite.surveys.plan import Measure

STUDIES: Mapping[str, Measure] = {m.name: m for m in (BATCH_SIZE, OPTIMIZERS, EDGE_OF_STABILITY)}
