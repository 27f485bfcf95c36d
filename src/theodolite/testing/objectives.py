"""Small objectives, in float64, that every measurement and every product is tried on.

`CASES` has the parts, for oracles that start from the model and the loss module themselves;
`OBJECTIVES` makes each case an objective. Data are split into uneven batches: a mean of means
is wrong on all but the first split.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from theodolite import seeds
from theodolite.errors import NotFinite, TheodoliteError, UnsupportedModel
from theodolite.objective import Objective
from theodolite.testing import networks

EXAMPLES, FEATURES, CLASSES = 12, 5, 3

SPLITS: dict[str, tuple[int, ...]] = {
    "one batch": (12,),
    "halves": (6, 6),
    "11 + 1": (11, 1),
    "5 + 4 + 3": (5, 4, 3),
}
"""How the twelve examples become batches."""


@dataclass(frozen=True, eq=False)
class Case:
    """One small problem: what it is made of, and the batches its data come in."""

    model: Callable[[], nn.Module]
    loss: Callable[[], nn.Module]
    inputs: Callable[[], Tensor]
    targets: Callable[[], Tensor]
    split: tuple[int, ...] = SPLITS["5 + 4 + 3"]
    seed: int = 0

    def network(self) -> nn.Module:
        """The model with its seeded weights, in float64 and in evaluation mode."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds.child_seed(self.seed, "network"))
            return self.model().double().eval()

    def data(self) -> list[tuple[Tensor, Tensor]]:
        """The batches."""
        x, y = self.inputs(), self.targets()
        return list(zip(x.split(list(self.split)), y.split(list(self.split)), strict=True))

    def objective(self) -> Objective:
        """The objective of all of it."""
        return Objective(self.network(), self.loss(), self.data())


def features(*shape: int) -> Tensor:
    """Gaussian inputs, one row an example."""
    generator = seeds.torch_generator(0, "inputs", *shape)
    return torch.randn(EXAMPLES, *shape, generator=generator, dtype=torch.float64)


def tokens(length: int = 4, vocabulary: int = 6) -> Tensor:
    """Integer inputs."""
    generator = seeds.torch_generator(0, "tokens", length)
    return torch.randint(vocabulary, (EXAMPLES, length), generator=generator)


def labels(*shape: int, classes: int = CLASSES, ignored: int = 0) -> Tensor:
    """Class labels, the first `ignored` of them -100."""
    generator = seeds.torch_generator(0, "labels", *shape)
    made = torch.randint(classes, (EXAMPLES, *shape), generator=generator)
    made.view(-1)[:ignored] = -100
    return made


def values(outputs: int = CLASSES) -> Tensor:
    """Real targets."""
    generator = seeds.torch_generator(0, "values", outputs)
    return torch.randn(EXAMPLES, outputs, generator=generator, dtype=torch.float64)


def shares(outputs: int = CLASSES) -> Tensor:
    """Targets in [0, 1] that add up to one for each example."""
    return values(outputs).softmax(1)


def _weighted(smoothing: float = 0.0) -> Callable[[], nn.Module]:
    weight = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)
    return lambda: nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing)


_PERCEPTRON = Case(networks.perceptron, nn.CrossEntropyLoss, lambda: features(FEATURES), labels)

LOSSES: dict[str, Case] = {
    "squared error": replace(_PERCEPTRON, loss=nn.MSELoss, targets=values),
    "sum of squares": replace(
        _PERCEPTRON, loss=lambda: nn.MSELoss(reduction="sum"), targets=values
    ),
    "Huber": replace(_PERCEPTRON, loss=lambda: nn.HuberLoss(delta=0.7), targets=values),
    "cross entropy": _PERCEPTRON,
    "sum of cross entropies": replace(
        _PERCEPTRON, loss=lambda: nn.CrossEntropyLoss(reduction="sum")
    ),
    "class weights": replace(_PERCEPTRON, loss=_weighted()),
    "label smoothing and class weights": replace(_PERCEPTRON, loss=_weighted(smoothing=0.1)),
    "ignored labels": replace(_PERCEPTRON, targets=lambda: labels(ignored=6)),
    "soft labels": replace(_PERCEPTRON, targets=shares),
    "binary cross entropy": replace(_PERCEPTRON, loss=nn.BCEWithLogitsLoss, targets=shares),
    "Poisson": replace(
        _PERCEPTRON, loss=nn.PoissonNLLLoss, targets=lambda: values().square().round()
    ),
    "divergence by batch": replace(
        _PERCEPTRON,
        model=networks.log_perceptron,
        loss=lambda: nn.KLDivLoss(reduction="batchmean"),
        targets=shares,
    ),
    "negative log likelihood": replace(_PERCEPTRON, model=networks.log_perceptron, loss=nn.NLLLoss),
}
"""One network under many losses and reductions."""

_IMAGES = replace(_PERCEPTRON, inputs=lambda: features(1, 5, 5))
_SEQUENCES = replace(_PERCEPTRON, inputs=lambda: features(3, 4))

MODELS: dict[str, Case] = {
    "linear": replace(_PERCEPTRON, model=lambda: nn.Linear(FEATURES, CLASSES)),
    "rectified perceptron": replace(_PERCEPTRON, model=lambda: networks.perceptron(nn.ReLU)),
    "layer norm": replace(_PERCEPTRON, model=networks.layer_norm),
    "dropout": replace(_PERCEPTRON, model=networks.with_dropout),
    "frozen layer": replace(_PERCEPTRON, model=networks.with_frozen_layer),
    "unused head": replace(_PERCEPTRON, model=networks.UnusedHead),
    "checkpointed": replace(_PERCEPTRON, model=networks.Checkpointed),
    "residual": replace(_PERCEPTRON, model=networks.Residual),
    "spectral norm": replace(_PERCEPTRON, model=networks.spectral_norm),
    "several outputs": replace(_PERCEPTRON, model=networks.SeveralOutputs),
    "convolution with batch norm": replace(_IMAGES, model=networks.convolution_with_batch_norm),
    "convolution with group norm": replace(_IMAGES, model=networks.convolution_with_group_norm),
    "attention": replace(_SEQUENCES, model=networks.Attention),
    "multi-head attention": replace(_SEQUENCES, model=networks.MultiHead),
    "LSTM": replace(_SEQUENCES, model=lambda: networks.Recurrent(nn.LSTM)),
    "GRU": replace(_SEQUENCES, model=lambda: networks.Recurrent(nn.GRU)),
    "embedding": replace(_PERCEPTRON, model=networks.embedding, inputs=tokens),
    "sparse embedding": replace(
        _PERCEPTRON, model=lambda: networks.embedding(sparse=True), inputs=tokens
    ),
    "tied language model": replace(
        _PERCEPTRON,
        model=networks.TiedLanguageModel,
        inputs=tokens,
        targets=lambda: labels(4, classes=6, ignored=7),
    ),
}
"""Many networks under cross entropy."""

CASES: dict[str, Case] = (
    LOSSES
    | MODELS
    | {
        f"{loss}, {name}": replace(LOSSES[loss], split=split)
        for loss in ("squared error", "class weights", "ignored labels", "sum of squares")
        for name, split in SPLITS.items()
        if split != _PERCEPTRON.split
    }
)
"""Models, losses, reductions and splits, by name."""

OBJECTIVES: dict[str, Callable[[], Objective]] = {
    name: case.objective for name, case in CASES.items()
}
"""The same as objectives: ``OBJECTIVES["attention"]()``."""


@dataclass(frozen=True, eq=False)
class Refusal:
    """An objective without a Hessian: the error its first product must raise, and words in it."""

    objective: Callable[[], Objective]
    error: type[TheodoliteError]
    message: str


def _through(function: Callable[[Tensor], Tensor]) -> Callable[[], Objective]:
    return replace(_PERCEPTRON, model=lambda: networks.Through(function)).objective


def _reentrant(hidden: Tensor) -> Tensor:
    with warnings.catch_warnings():
        # without a gradient, in a plain evaluation, torch warns that there will be none
        warnings.filterwarnings("ignore", "None of the inputs have requires_grad", UserWarning)
        made: Tensor = checkpoint(torch.tanh, hidden, use_reentrant=True)
    return made


def _detached(hidden: Tensor) -> Tensor:
    return torch.tanh(hidden.detach())


def _overwritten(hidden: Tensor) -> Tensor:
    return torch.sigmoid(hidden).mul_(2).exp_()


def _with_recomputed_statistics() -> Objective:
    case = MODELS["convolution with batch norm"]
    return Objective(case.network(), case.loss(), case.data(), batch_norm="recompute")


REFUSED: dict[str, Refusal] = {
    "detached loss": Refusal(
        replace(_PERCEPTRON, loss=networks.DetachedLoss).objective,
        UnsupportedModel,
        "no grad_fn",
    ),
    "detached part": Refusal(
        _through(lambda h: torch.tanh(h) * h.detach()), UnsupportedModel, "not the derivative"
    ),
    "detached path": Refusal(_through(_detached), UnsupportedModel, "smallest step"),
    "overwritten activation": Refusal(_through(_overwritten), UnsupportedModel, "inplace"),
    "reentrant checkpoint": Refusal(_through(_reentrant), UnsupportedModel, "use_reentrant"),
    "norm at zero": Refusal(
        _through(lambda h: h + (0 * h).norm(dim=1, keepdim=True)), NotFinite, "first.weight"
    ),
    "recomputed statistics": Refusal(_with_recomputed_statistics, UnsupportedModel, "recompute"),
}
"""What a Hessian must refuse by name."""
