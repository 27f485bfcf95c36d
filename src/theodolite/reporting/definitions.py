"""What each measure of sharpness is called, its formula, and who proposed it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Definition:
    """A measure's name in tables, its formula as text, and its source."""

    name: str
    formula: str
    source: str


FORET = "Foret et al. 2021, arXiv:2010.01412"
KWON = "Kwon et al. 2021, arXiv:2102.11600"
ANDRIUSHCHENKO = "Andriushchenko et al. 2023, arXiv:2302.07011"
JIANG = "Neyshabur et al. 2017, arXiv:1706.08947; Jiang et al. 2020, arXiv:1912.02178"

DEFINITIONS = {
    "largest_curvature": Definition(
        "largest eigenvalue of the Hessian",
        "largest eigenvalue of H",
        "Cohen et al. 2021, arXiv:2103.00065",
    ),
    "largest_curvature, preconditioned": Definition(
        "largest eigenvalue in Adam's units",
        "largest eigenvalue of D^(-1/2) H D^(-1/2), D = √(mean of squared batch gradients) + 1e-8",
        "Cohen et al. 2022, arXiv:2207.14484",
    ),
    "directional_curvature, gradient": Definition(
        "curvature along the gradient",
        "g·Hg / |g|²",
        "Cohen et al. 2021, arXiv:2103.00065",
    ),
    "directional_curvature, random": Definition(
        "curvature along random directions",
        "mean of d·Hd / |d|², whose expectation is the trace of H over the number of parameters",
        "Li et al. 2018, arXiv:1712.09913",
    ),
    "worst_case_sharpness": Definition(
        "worst case in a ball (SAM)", "max of L(θ + e) - L(θ) over |e| ≤ rho", FORET
    ),
    "worst_case_sharpness, batchwise": Definition(
        "worst case in a ball, by batches (m-sharpness)",
        "mean over batches of the largest rise of the batch's own loss over |e| ≤ rho",
        FORET,
    ),
    "adaptive_sharpness": Definition(
        "worst case, adaptive (ASAM)",
        "max of L(θ + e) - L(θ) over |e / T| ≤ rho, T the size of each weight",
        KWON,
    ),
    "adaptive_sharpness, batchwise": Definition(
        "worst case, adaptive, by batches",
        "mean over batches of the largest rise of the batch's own loss over |e / T| ≤ rho",
        f"{KWON}; {FORET}",
    ),
    "average_sharpness": Definition(
        "average over Gaussian noise",
        "mean of L(θ + u) - L(θ), u normal with deviation sigma",
        ANDRIUSHCHENKO,
    ),
    "average_sharpness, second order": Definition(
        "average over Gaussian noise, to second order",
        "sigma²/2 tr H, from the same draws",
        "Taylor",
    ),
    "average_sharpness, adaptive": Definition(
        "average over noise in proportion to weights",
        "mean of L(θ + u) - L(θ), u normal with deviations sigma |θ|",
        ANDRIUSHCHENKO,
    ),
    "keskar_sharpness": Definition(
        "worst case in a box (Keskar), percent",
        "100 max (L(θ + z) - L(θ)) / (1 + L(θ)) over |z| ≤ epsilon (|θ| + 1) in every coordinate",
        "Keskar et al. 2017, arXiv:1609.04836",
    ),
    "pac_bayes_sigma": Definition(
        "PAC-Bayes sigma (smaller is sharper)",
        "largest deviation of normal noise that raises the error (or loss) no more than asked",
        JIANG,
    ),
    "pac_bayes_sigma, magnitude-aware": Definition(
        "PAC-Bayes sigma in proportion to weights",
        "the same with deviations √(sigma²θ² + epsilon²)",
        JIANG,
    ),
    "pac_bayes_bound": Definition(
        "PAC-Bayes distance term (larger is sharper)",
        "|θ - θ₀|² / (4 sigma²) + ln(examples / sigma) + 10, θ₀ the weights of the origin",
        JIANG,
    ),
    "relative_flatness": Definition(
        "relative flatness (larger is sharper)",
        "sum over pairs of a layer's neurons of ⟨w, w'⟩ times the trace of their block of H",
        "Petzka et al. 2021, arXiv:2001.00939",
    ),
    "fisher_rao_norm": Definition(
        "Fisher-Rao norm", "√(θ·Fθ)", "Liang et al. 2019, arXiv:1711.01530"
    ),
}
"""By the row of the table."""


def definition_of(measure: str) -> Definition:
    """The definition of a row; rows of single layers share that of the measure."""
    known = DEFINITIONS.get(measure) or DEFINITIONS.get(measure.partition(",")[0])
    return known or Definition(measure, "", "")


def name_of(measure: str) -> str:
    """What tables call a row."""
    return definition_of(measure).name
