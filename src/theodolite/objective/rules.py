"""The two ways a batch gets its losses: from outputs and targets, or from the model itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from theodolite.errors import InvalidArgument, InvalidType, TheodoliteWarning
from theodolite.objective.batches import Batch
from theodolite.objective.intake import Replay
from theodolite.objective.losses import ExampleLoss, logits_of, tell_choice
from theodolite.objective.weights import Weighing, parts_add_up, proved_weighing

Sample = tuple[Tensor, Tensor, Tensor | None, Tensor | None]


@runtime_checkable
class Terms(Protocol):
    """What an objective needs of its loss; runs while the model holds substituted tensors."""

    @property
    def label(self) -> str: ...
    @property
    def summed(self) -> bool: ...
    def losses(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]: ...
    def run(self, model: nn.Module, batch: Batch) -> Any: ...
    def sample(self, model: nn.Module, batch: Batch) -> Sample: ...
    def validate(self, model: nn.Module, batch: Batch) -> None: ...
    def fitted(self, data: Replay, through: Callable[[Callable[[], Any]], Any]) -> Terms: ...
    def converted(self, dtype: torch.dtype) -> Terms: ...


@dataclass(frozen=True, eq=False)
class ModelLoss:
    """``loss(model(inputs), targets)`` by example."""

    loss: ExampleLoss

    @property
    def label(self) -> str:
        """The loss's name."""
        return self.loss.label

    @property
    def summed(self) -> bool:
        """Whether the loss is a sum rather than a mean."""
        return self.loss.summed

    def run(self, model: nn.Module, batch: Batch) -> Any:
        """What the loss compares, half-precision tensors widened to float32."""
        outputs = batch.call(model)
        if not self.loss.free:
            outputs = logits_of(outputs)
        if isinstance(outputs, Tensor):
            return _widened(outputs)
        return pytree.tree_map(_widened, outputs)

    def losses(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Losses and weights by example."""
        return self.loss(self.run(model, batch), batch.targets)

    def sample(self, model: nn.Module, batch: Batch) -> Sample:
        """Losses, weights and right answers by example, in float64."""
        outputs = self.run(model, batch)
        losses, weights = self.loss(outputs, batch.targets)
        hits = right_answers(outputs, batch.targets, self.loss.ignore_index)
        return (losses.double(), weights.double(), *(hits or (None, None)))

    def validate(self, model: nn.Module, batch: Batch) -> None:
        """Raise unless the targets fit the outputs."""
        outputs = batch.call(model)
        if not self.loss.free:
            tell_choice(outputs)
            outputs = logits_of(outputs)
        self.loss.validate(pytree.tree_map(_widened, outputs), batch.targets)

    def fitted(self, data: Replay, through: Callable[[Callable[[], Any]], Any]) -> ModelLoss:
        """Itself: losses by example need no weighing."""
        return self

    def converted(self, dtype: torch.dtype) -> ModelLoss:
        """The same loss in another precision."""
        return replace(self, loss=self.loss.converted(dtype))


@dataclass(frozen=True, eq=False)
class BatchLoss:
    """``batch_loss(model, batch)``: a mean with a weight, or losses and weights by example."""

    function: Callable[[nn.Module, Any], Any]
    weighing: Weighing | None = None
    summed: bool = False

    @property
    def label(self) -> str:
        """The function's name."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def run(self, model: nn.Module, batch: Batch) -> Any:
        """Whatever the function returns."""
        return self.function(model, batch.given())

    def losses(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Losses and weights: one an example, or one for the batch."""
        value = self.run(model, batch)
        if isinstance(value, tuple) and len(value) == 2:
            return _paired(*map(torch.as_tensor, value))
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise InvalidType(
                "batch_loss must return a real tensor or (losses, weights); got "
                f"{value.dtype if isinstance(value, Tensor) else type(value).__name__}.",
                why="a model output or a Python number is not a loss with a gradient.",
                fix="return outputs.loss (for Hugging Face models), or a pair of tensors.",
                code="E-O33",
            )
        if value.numel() == 1:
            weight = self.weighing(batch) if self.weighing else float(batch.examples)
            return value.reshape(1), value.new_full((1,), weight)
        flat = value.reshape(len(value), -1).mean(1)
        return flat, torch.ones_like(flat)

    def sample(self, model: nn.Module, batch: Batch) -> Sample:
        """As `losses`, in float64; a model that keeps its outputs to itself has no accuracy."""
        losses, weights = self.losses(model, batch)
        return losses.double(), weights.double(), None, None

    def validate(self, model: nn.Module, batch: Batch) -> None:
        """Nothing to check before running: the model reads its own labels."""

    def fitted(self, data: Replay, through: Callable[[Callable[[], Any]], Any]) -> BatchLoss:
        """With the weight under which the parts of a batch combine to the whole."""
        first = next(iter(data))
        value = through(lambda: self.run(data.model, first))
        weighing = None
        if isinstance(value, Tensor) and value.numel() == 1:
            weighing, proved = proved_weighing(self.function, data, through)
        else:
            proved = parts_add_up(self.losses, data, through)
        if not proved and data.whole > 1:
            warnings.warn(
                "batch_loss is no mean over examples or tokens: the parts of a batch do not "
                "combine to the whole. Batches are weighted by their number of examples; return "
                "(losses, weights) to say otherwise. [E-O34]",
                TheodoliteWarning,
                stacklevel=2,
            )
        return replace(self, weighing=weighing)

    def converted(self, dtype: torch.dtype) -> BatchLoss:
        """Itself: the model's tensors decide the precision."""
        return self


def _paired(losses: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    if losses.numel() != weights.numel() or not losses.is_floating_point():
        raise InvalidArgument(
            f"batch_loss must return as many weights as real losses; got {losses.dtype} losses of "
            f"shape {tuple(losses.shape)} and weights of shape {tuple(weights.shape)}.",
            fix="return (losses, weights) of the same shape.",
            code="E-O35",
        )
    return losses.reshape(-1), weights.reshape(-1).to(losses.device)


def right_answers(outputs: Any, targets: Any, ignore: int | None) -> tuple[Tensor, Tensor] | None:
    """Share of right answers and number of answers by example, where targets are class labels."""
    if not isinstance(targets, Tensor) or targets.is_floating_point() or targets.is_complex():
        return None
    if isinstance(outputs, Mapping | tuple | list) and not len(outputs):
        return None
    try:
        scores = logits_of(outputs)
    except InvalidType:
        return None
    if scores.dim() < 2 or scores.shape[1] < 2:
        return None
    if tuple(targets.shape) != (scores.shape[0], *scores.shape[2:]):
        return None
    counted = torch.ones_like(targets, dtype=torch.bool) if ignore is None else targets != ignore
    right = scores.argmax(1) == targets
    if ignore is not None and ignore >= 0:  # a negative label is no answer anyway
        right &= counted
    if targets.dim() == 1:
        return right.double(), counted.double()
    count = counted.reshape(len(targets), -1).sum(1).double()
    return right.reshape(len(targets), -1).sum(1) / count.clamp(min=1), count


def _widened(leaf: Any) -> Any:
    half = isinstance(leaf, Tensor) and leaf.dtype in (torch.bfloat16, torch.float16)
    return leaf.float() if half else leaf
