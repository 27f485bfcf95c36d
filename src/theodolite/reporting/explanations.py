"""What each panel shows, how it can mislead, and which pitfall both lead to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """One sentence on what a panel shows, a few on how it misleads, and a pitfall's id."""

    shows: str
    misleads: str
    pitfall: str


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
        "The computed ends of the spectrum; within each bar lies a true eigenvalue. The table adds "
        "how near it lies, and how far the vector is turned, if the gap to the others is right.",
        "The bar bounds the distance to some eigenvalue. It cannot show that one was missed "
        "between two others, and it says nothing about other data than the examples used.",
        "subset",
    ),
    "layers": Explanation(
        "The spectrum of every layer's own block of the Hessian: how much curvature it has when "
        "the other layers hold still, and its share of the whole trace.",
        "What lies between layers is not here: the largest curvature of the whole can be several "
        "times that of any block. Shares change when layers are rescaled, which leaves the "
        "network as it is; compare shapes of one network, not sizes between networks.",
        "normalization",
    ),
    "convexity": Explanation(
        "The smallest eigenvalue of the full Hessian over the largest, at points of the first "
        "plane: blue where none was negative, orange where the loss bends down in some direction.",
        "Almost every network has slightly negative directions, so read how negative they are. A "
        "blue point is one where no negative direction was found; an orange one surely has one.",
        "slice-curvature",
    ),
    "overlay": Explanation(
        "Signs of curvature and slopes of the loss, from a spline through the points of the plane; "
        "where they are smaller than the spline's own error, no sign and no arrow is drawn.",
        "These are curvatures of two directions. Each is a weighted mean of the curvatures of the "
        "full space, so crosses do not show that it has no negative direction.",
        "slice-curvature",
    ),
    "trajectory": Explanation(
        "The checkpoints of the training, dropped onto the plane of their two principal axes: the "
        "loss of the plane as color, the path over it, and beside it the loss each checkpoint "
        "really has.",
        "Two axes explain most of a random walk in any number of dimensions too; compare the share "
        "with the random walk's, not with zero. The path lies beside the plane, so its loss is not "
        "the height under it, and a plane through BatchNorm networks has the last checkpoint's "
        "statistics everywhere.",
        "principal-axes",
    ),
    "monitor": Explanation(
        "What the landscape was like while the network trained: the sharpness against the largest "
        "one that the update rule is stable at, and how loss, gradient and weights moved.",
        "The threshold is that of a quadratic loss and of all examples at once. Small batches keep "
        "the sharpness below it. A network with BatchNorm or dropout trains on another loss than "
        "its evaluation mode shows, and then the sharpness here has nothing to do with the rule.",
        "trained-loss",
    ),
    "shape": Explanation(
        "How wide, how rough and how large the surface is below chosen losses, taken from the "
        "planes above: the mean over planes, with what the examples and the grid leave open.",
        "Everything here is a number of the planes, in the unit of their axes: directions of "
        "another length give other areas and widths. A width that the plane's border cuts off is "
        "only a lower bound, and a rough line may be a coarse grid.",
        "slice-topology",
    ),
    "saddles": Explanation(
        "The share of eigenvalues of the Hessian below minus a threshold, over the threshold, and "
        "the lowest eigenvalues with their errors. An eigenvalue is called negative only where "
        "its error leaves no doubt.",
        "A network has very many eigenvalues near zero, so the index at one threshold says "
        "little: read the curve. A point with a gradient is no saddle whatever its index. Most "
        "points where a search ends are not critical but flat: the gradient lies where the "
        "Hessian has none.",
        "slice-topology",
    ),
    "sharpness": Explanation(
        "How much the loss rises around the weights, by every definition measured, each with its "
        "error, and how much each changes when one layer is multiplied by a number and the next "
        "divided by it, which leaves the network as it is.",
        "Measures that the rescaling changes compare two networks only if something else pins "
        "the scale of their weights. Worst cases are searched for, so they are lower bounds; all "
        "depend on the radius chosen. None of them is a forecast of test accuracy.",
        "normalization",
    ),
    "noise": Explanation(
        "How noisy the gradients of batches are, what that says of batch sizes at these weights, "
        "which layers have signal and which noise, and how heavy the tails are.",
        "The noise scale belongs to one point and mostly grows in training. The simple scale "
        "takes the curvature for the same in every direction and can be off several times over. "
        "The trade between steps and examples is that of SGD on a quadratic loss and knows no "
        "clock: a batch that does not fill the machine costs the same time as one that does.",
        "noise",
    ),
    "connectivity": Explanation(
        "How two sets of weights are related: how far the loss rises above the chord on the "
        "straight line between them (the barrier), how far with the units of one matched to those "
        "of the other, whether a curve leads around, and how their answers differ.",
        "A barrier on the straight line does not part two minima, and a matching or a curve that "
        "was not found may exist: distinct means that nothing tried joins the two. Two networks "
        "in one basin can give different answers. With BatchNorm, read the line with recomputed "
        "statistics: averaged ones belong to no network. The threshold is a convention. The "
        "intervals cover the choice of examples, not that of the trainings.",
        "barriers",
    ),
    "averages": Explanation(
        "One network whose weights are the mean of several, beside these and beside their "
        "ensemble, which averages answers instead of weights: losses and shares of wrong answers, "
        "and how they change against the members, with intervals that pair examples.",
        "Weights are averaged only where no barrier parts them; with more than two members the "
        "mean of all can still be worse than that of any pair. Intervals cover the choice of "
        "examples, not that of the trainings. The best member and a greedy soup look better than "
        "they are on the data that chose them.",
        "averages",
    ),
    "valleys": Explanation(
        "Training and test loss along the same lines, with the lowest point of each: if the two "
        "valleys are shifted against each other, the shift costs less where they are wide.",
        "The bands cover the choice of examples, and both data sets move with theirs: a shift "
        "within its error is none. A wide valley with a large gap is one whose gap does not come "
        "from a shift along these lines.",
        "one-plane",
    ),
    "escape": Explanation(
        "How far four kinds of descent have come from the saddle along its lowest direction: "
        "medians over runs with quartiles, dotted what the quadratic model says.",
        "The model ends where the loss bends away from it: take a smaller radius if curves leave "
        "their dotted lines. Noise without a part along the direction does not help, whatever "
        "its size; a displacement of zero can hold plain descent forever.",
        "slice-topology",
    ),
    "topology": Explanation(
        "Every minimum of the first surface from its own height to the saddle where it joins a "
        "lower one (barcode), and in what order they join (merge tree).",
        "A minimum of a slice is in general no minimum of the loss, and one on the border may go "
        "on falling outside. Short bars come with noise and with the grid: read those within two "
        "standard errors as none, and the average distance (SMAD) with the number of minima.",
        "slice-topology",
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
