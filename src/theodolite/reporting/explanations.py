"""What each panel shows, how it can mislead, and the pitfalls both lead to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """One sentence on what a panel shows, a few on how it misleads, and a pitfall's id."""

    shows: str
    misleads: str
    pitfall: str


@dataclass(frozen=True)
class Pitfall:
    """A trap of the whole field, with its source."""

    id: str
    title: str
    text: str
    source: str = ""


EXPLANATIONS = {
    "surface": Explanation(
        "The loss at every point of a plane through the trained weights, as height and as color; "
        "both pictures, and all models, share one scale.",
        "A plane is two directions out of many: it shows the average curvature, so it can look "
        "convex where the full space is not. On a log scale a flat floor looks like a funnel; "
        "on a linear scale it looks empty. Turn both on before concluding anything.",
        "planes-average",
    ),
    "cuts": Explanation(
        "The loss along the two grid lines through the cursor, with a band of two standard "
        "errors over examples.",
        "The band covers the choice of examples only. Another random direction differs by far "
        "more than the band is wide; compare the random lines below.",
        "one-plane",
    ),
    "lines": Explanation(
        "The loss along independent random directions of the same length; their spread is the "
        "error bar that a single plane does not have.",
        "The shape of a line does not predict test accuracy, and a normalized direction moves "
        "neither biases nor normalization layers.",
        "normalization",
    ),
    "spectrum": Explanation(
        "How the curvature is distributed over all directions: the line is the mean over probes, "
        "the band their smallest and largest, the shaded part lies below zero.",
        "The curve is smoothed with the width stated under it: nothing narrower is real, and near "
        "zero it moves weight across the sign. A bump far out may be a single eigenvalue.",
        "smoothing",
    ),
    "eigenvalues": Explanation(
        "The computed ends of the spectrum; within each bar lies a true eigenvalue.",
        "The bar bounds the distance to some eigenvalue. It cannot show that one was missed "
        "between two others, and it says nothing about other data than the examples used.",
        "subset",
    ),
    "training": Explanation(
        "The history of the run that ended at the surveyed weights.",
        "One run has no error bar: a second seed can move these curves by more than the "
        "difference between two models.",
        "one-run",
    ),
    "certificate": Explanation(
        "The checks of the derivatives behind every curvature on this page: what was measured, "
        "what was allowed, whether it held.",
        "A certificate holds at the surveyed point and for the vectors tried. It says that the "
        "derivatives are right there, not that the landscape is smooth elsewhere.",
        "certificates",
    ),
    "headline": Explanation(
        "Every headline number with its error; the same values are in summary.json.",
        "Errors of different kinds stand side by side: a standard error over examples or probes "
        "is an estimate, a residual is a bound. The explanation says which.",
        "subset",
    ),
}

PITFALLS = (
    Pitfall(
        "planes-average",
        "A random plane shows the mean curvature",
        "The curvature of a random two-dimensional slice is a weighted average of all curvatures. "
        "A slice that is not convex proves that the surface is not; a convex slice proves "
        "nothing, and a saddle with few negative directions is drawn as a minimum.",
        "Li et al. 2018, arXiv:1712.09913; Böttcher and Wheeler 2022, arXiv:2208.13219",
    ),
    Pitfall(
        "normalization",
        "Distances depend on the normalization",
        "Scaling a layer up and the next one down leaves a ReLU network unchanged but changes "
        "every plain distance. Filter norms remove this. They leave biases and normalization "
        "layers where they are, so 100 % is 100 % of every filter, not of every parameter.",
        "Li et al. 2018, arXiv:1712.09913",
    ),
    Pitfall(
        "batch-norm",
        "Frozen and recomputed statistics give different surfaces",
        "Away from the trained weights the stored BatchNorm statistics no longer fit. With frozen "
        "statistics the loss rises several times faster than with statistics computed anew. "
        "Neither is wrong; they answer different questions, and the strip at the top says which.",
    ),
    Pitfall(
        "one-plane",
        "One plane is not a measurement",
        "The curvature along one random direction differs from the next by half its own size or "
        "more. Compare models over several planes and lines, and read the spread before the mean.",
    ),
    Pitfall(
        "scales",
        "Log and linear scales tell different stories",
        "A log scale turns the last factor of two near zero loss into a deep hole; a linear scale "
        "hides everything below its largest value. Colors can be compared only between panels "
        "that share a scale, as they do here.",
    ),
    Pitfall(
        "subset",
        "Error bars cover the examples, not the world",
        "A standard error over the examples used says how the number would move with other "
        "examples of the same kind. It does not cover another seed of training, another data "
        "set, or the choice of directions.",
    ),
    Pitfall(
        "smoothing",
        "A spectrum is drawn with a kernel",
        "The measurement returns points with weights; the smooth curve is drawn for the eye. "
        "Weight within a kernel's width of zero appears on both sides, so read the share below "
        "zero from its number, which is taken from the points, and not from the shaded area.",
        "Ghorbani, Krishnan and Xiao 2019, arXiv:1901.10159",
    ),
    Pitfall(
        "one-run",
        "The shape of a curve is not a forecast",
        "How the loss looks along a line or over time says little about test accuracy. Use the "
        "test numbers for that.",
        "Vlaar and Frankle 2022, arXiv:2106.16004",
    ),
    Pitfall(
        "certificates",
        "Right derivatives are a local statement",
        "The checks compare products with differences at one point. Kinks, low precision or "
        "random layers elsewhere can still break what holds here.",
    ),
)
