"""``theodolite study``: trainings under control, each study a command of its own."""

from __future__ import annotations

from cyclopts import App, Group, Parameter

STUDIES = {
    "batch-size": (
        "study_batch_size:study_batch_size",
        "Batch sizes against learning rates, and how sharp each end is.",
    ),
    "optimizers": (
        "study_optimizers:study_optimizers",
        "SGD, full batch without and with noise, SAM, Adam at one loss.",
    ),
    "edge-of-stability": (
        "study_edge_of_stability:edge_of_stability",
        "Gradient descent at several rates, and its sharpness along the way.",
    ),
}
"""The studies by name: where each lives, and what it does."""

study = App(
    name="study",
    help="Train a target under control, resumably, and measure along the way.",
    help_format="plaintext",
    default_parameter=Parameter(negative=(), show_default=False),
    result_action="return_value",
    version_flags=[],
    group_commands=Group("Studies"),
)
for _order, (_name, (_home, _summary)) in enumerate(STUDIES.items()):
    study.command(f"theodolite.cli.{_home}", name=_name, help=_summary, sort_key=_order)
