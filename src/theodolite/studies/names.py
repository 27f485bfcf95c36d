"""What the numbers of a study are called; without torch, for those who only read them."""

from __future__ import annotations

RHO = 0.5
"""The relative distance of the adaptive measure."""

SHARPNESS = {
    "largest_eigenvalue": "largest eigenvalue of the Hessian",
    "trace": "trace of the Hessian",
    "adaptive_sharpness": f"rise of the loss at worst, weights moved by {RHO:g} of their size",
}
"""The measures that are compared."""

SHORT = {
    "largest_eigenvalue": "largest eigenvalue",
    "trace": "trace",
    "adaptive_sharpness": "adaptive sharpness",
}

WORDS = {
    "updates": "updates made",
    "train_loss": "training loss at the end",
    "test_loss": "test loss at the end",
    "test_error": "share of wrong answers on test data",
    "test_error_error": "standard error of the share of wrong answers over examples",
    "gradient_norm": "norm of the gradient at the end",
    **SHARPNESS,
    "largest_eigenvalue_residual": "residual of the largest eigenvalue",
    "trace_error": "standard error of the trace",
}

COMPARED_WORDS = "1 where the end is compared: at the loss asked for, or at the end of the budget"
