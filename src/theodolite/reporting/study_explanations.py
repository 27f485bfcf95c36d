"""What the panels of studies show, how they mislead, and the pitfalls both lead to."""

from __future__ import annotations

from theodolite.reporting.explanations import Explanation
from theodolite.reporting.pitfalls import Pitfall

STUDY_EXPLANATIONS = {
    "batch_size": Explanation(
        "Trainings of one recipe at every batch size and learning rate of a grid, stopped at one "
        "training loss: how sharp their ends are, and whether the ratio of the two alone decides.",
        "At equal loss trainings have made unequal numbers of updates, and a larger rate goes "
        "farther with each. A rank correlation over one grid is one of that grid: where sharpness "
        "and test error both follow the rate, neither need cause the other.",
        "matched-loss",
    ),
    "optimizers": Explanation(
        "Trainings from the same starts by several optimizers, stopped at one training loss. Noise "
        "added to full-batch descent, of the covariance of batches or spread over all directions, "
        "is the control: it shows what noise alone does.",
        "Each optimizer has the best of a few rates, and another rate ends elsewhere. Noise is "
        "Gaussian and fixed to the present weights; that of batches is neither Gaussian nor "
        "independent from one epoch's batch to the next.",
        "matched-loss",
    ),
}

STUDY_PITFALLS = (
    Pitfall(
        "matched-loss",
        "Compare curvature at one training loss",
        "With cross-entropy the Hessian vanishes as the training loss goes to zero, so the run "
        "that has trained longer looks flatter. Trainings that did not get to the loss are left "
        "out and named; where many are, what is left is a choice of easy cells.",
        "Cohen et al. 2021, arXiv:2103.00065; Shallue et al. 2019, arXiv:1811.03600",
    ),
)
