"""The traps of the whole field that a report names, by the ids its panels lead to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pitfall:
    """A trap of the whole field, with its source."""

    id: str
    title: str
    text: str
    source: str = ""


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
        "slice-curvature",
        "A slice's curvature is a mean of the full one",
        "In a basis of eigenvectors the curvature along a unit direction is the sum of all "
        "eigenvalues, each weighted by the direction's squared component. Among millions of small "
        "positive ones a random direction barely meets the few negative ones. Find them with the "
        "smallest eigenvalue, not with more random planes.",
        "Li et al. 2018, arXiv:1712.09913, section 6",
    ),
    Pitfall(
        "principal-axes",
        "A random walk looks like a path with a plan",
        "The two principal axes of a random walk in many dimensions hold 76 % of its variance "
        "about the mean and 90 % of its squared distances from the last point, and drawn on them "
        "it is a smooth curve. A high share alone shows no structure, and a smooth curve no "
        "valley.",
        "Antognini and Sohl-Dickstein 2018, arXiv:1806.08805; Li et al. 2018, arXiv:1712.09913",
    ),
    Pitfall(
        "trained-loss",
        "The loss measured is not the loss trained on",
        "A threshold of stability belongs to the loss whose gradient moves the weights. Dropout, "
        "augmentation and BatchNorm's batch statistics are part of that loss and not of the "
        "evaluation mode: there, a bias before a BatchNorm has curvature though training never "
        "feels it, and Adam's units blow it up. Measure such networks with mode='train' and "
        "batches of the training's size before reading the ratio.",
        "Cohen et al. 2021, arXiv:2103.00065; Andreyev and Beneventano 2024, arXiv:2412.20553",
    ),
    Pitfall(
        "slice-topology",
        "The minima of a slice are not minima of the loss",
        "Along a plane the loss can rise both ways at a point where it falls in a thousand other "
        "directions, and two valleys parted by a ridge in the plane may be one valley outside it. "
        "Counts, persistence and saddle-minimum distances describe the slice and its grid; they "
        "can be compared between models on the same directions, spans and steps, over several "
        "planes, and not with numbers from another grid.",
        "Chen et al. 2026, arXiv:2602.07135",
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
        "noise",
        "A noise scale is an order of magnitude",
        "It compares the noise of one point with the gradient of that point: near a minimum the "
        "gradient vanishes and the scale grows without end, which speaks for no batch size. With "
        "a sample for the population the squared gradient is too large by the noise over the "
        "number of examples. A stable index below 2 is no sign of heavy tails where the law "
        "itself is refused.",
        "McCandlish et al. 2018, arXiv:1812.06162; Xie, Sato and Sugiyama 2021, arXiv:2002.03495",
    ),
    Pitfall(
        "barriers",
        "A barrier on the straight line is not a wall",
        "Permuting the neurons of one network leaves it as it is and moves it to the other side "
        "of a barrier; between separate trainings much of a barrier is of that kind. Curves pass "
        "where lines do not. Averaged BatchNorm statistics belong to no network and add a barrier "
        "of their own. And there are three definitions: above the chord, above the mean of the "
        "ends, above the higher end. They agree only where both ends are equally high. A verdict "
        "rests on a threshold, and on the matchings and curves that were tried.",
        "Entezari et al. 2022, arXiv:2110.06296; Jordan et al. 2023, arXiv:2211.08403; "
        "Garipov et al. 2018, arXiv:1802.10026",
    ),
    Pitfall(
        "averages",
        "An average of weights is a network only within a basin",
        "Between basins the mean of two good networks is a bad one, and nothing warns of it but "
        "the barrier. BatchNorm statistics belong to the weights they were collected with and "
        "must be computed anew. What an average gains is mostly less than what other trainings "
        "would have changed: count seeds before gains. And a soup chosen on some data has no "
        "honest number on them.",
        "Izmailov et al. 2018, arXiv:1803.05407; Wortsman et al. 2022, arXiv:2203.05482",
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
