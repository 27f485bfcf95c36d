"""What a report shows of a study: figures with their captions, tables, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence

from theodolite.reporting.batch_size_study import batch_size_panel
from theodolite.reporting.contents import Contents
from theodolite.reporting.optimizer_study import optimizer_panel
from theodolite.reporting.study_panels import StudyPanel


def study_panels(surveys: Sequence[Contents]) -> tuple[StudyPanel, ...]:
    """One panel a study, in the order of the models."""
    found = []
    for number, contents in enumerate(surveys):
        for quantity, build in PANELS.items():
            if quantity in contents.studies:
                found.append(build(contents.studies[quantity], contents.label, number))
    return tuple(found)


PANELS = {"batch_size_study": batch_size_panel, "optimizer_study": optimizer_panel}
