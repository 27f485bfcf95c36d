"""The objective: model, loss and data as one function of a flat vector of parameters."""

from theodolite.objective.objective import DATA_BUDGET, Objective

__all__ = ["DATA_BUDGET", "Objective"]
