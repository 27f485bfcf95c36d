"""Any loss as weighted losses of single examples, so that one mean serves every batching.

A loss becomes ``rule(outputs, targets) -> (losses, weights)``, both of shape (example,), with
``L = scale * sum(weights * losses) / sum(weights)``. For a torch loss module this equals the
module's own value on one big batch: class weights, ignored targets and label smoothing weigh
as the module weighs them, element-wise losses weigh by their number of elements, and
``reduction="sum"`` makes ``scale`` the total weight.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from theodolite.errors import InvalidArgument, InvalidData, InvalidType, TheodoliteWarning
from theodolite.objective.coupling import check_apart

Rule = Callable[[Any, Any], tuple[Tensor, Tensor]]

_ELEMENTWISE = (
    nn.MSELoss,
    nn.L1Loss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
    nn.BCELoss,
    nn.BCEWithLogitsLoss,
    nn.SoftMarginLoss,
    nn.PoissonNLLLoss,
    nn.KLDivLoss,
)
_FUNCTIONS: dict[Callable[..., Tensor], Callable[[], nn.Module]] = {
    F.cross_entropy: nn.CrossEntropyLoss,
    F.nll_loss: nn.NLLLoss,
    F.mse_loss: nn.MSELoss,
    F.l1_loss: nn.L1Loss,
    F.smooth_l1_loss: nn.SmoothL1Loss,
    F.huber_loss: nn.HuberLoss,
    F.binary_cross_entropy: nn.BCELoss,
    F.binary_cross_entropy_with_logits: nn.BCEWithLogitsLoss,
    F.multi_margin_loss: nn.MultiMarginLoss,
    F.soft_margin_loss: nn.SoftMarginLoss,
}


@dataclass(frozen=True, eq=False)
class ExampleLoss:
    """A loss by example; ``summed`` is true for ``reduction="sum"``."""

    rule: Rule
    summed: bool
    ignore_index: int | None
    label: str
    own_value: Callable[[Any, Any], Tensor] | None
    module: nn.Module | None = None
    free: bool = False

    def validate(self, outputs: Any, targets: Any) -> None:
        """Raise unless targets fit the outputs; done once, not at every evaluation.

        A ``free`` loss, whose rule is the user's own, must give an example the same loss alone.
        """
        if self.free:
            check_apart(self.rule, outputs, targets, self.label)
        if isinstance(self.module, nn.BCEWithLogitsLoss):
            check_probabilities(targets)
        if isinstance(self.module, nn.CrossEntropyLoss | nn.NLLLoss):
            scores = logits_of(outputs)
            probabilities = targets.is_floating_point() and targets.shape == scores.shape
            if not probabilities:
                check_labels(scores, targets, int(self.module.ignore_index))

    def converted(self, dtype: torch.dtype) -> ExampleLoss:
        """The same loss with its own tensors (class weights) in another precision."""
        if self.module is None:
            return self
        place = next((t.device for t in self.module.buffers()), torch.device("cpu"))
        return _from_module(self.module, place, dtype)

    def __call__(self, outputs: Any, targets: Any) -> tuple[Tensor, Tensor]:
        """Losses and weights of the examples of one batch."""
        return self.rule(outputs, targets)


def example_loss(loss: Any, device: torch.device, dtype: torch.dtype | None) -> ExampleLoss:
    """Read what the user passed as ``loss``."""
    if callable(loss) and not isinstance(loss, nn.Module) and loss in _FUNCTIONS:
        loss = _FUNCTIONS[loss]()
    if isinstance(loss, type) and issubclass(loss, nn.Module):
        raise InvalidType(
            f"loss must be a function or a loss module; got the class {loss.__name__}.",
            fix=f"pass an instance: {loss.__name__}().",
            code="E-O30",
        )
    if isinstance(loss, nn.Module):
        return _from_module(loss, device, dtype)
    if callable(loss):
        return ExampleLoss(_from_callable(loss), False, None, _name(loss), None, free=True)
    raise InvalidType(
        f"loss must be callable as loss(outputs, targets); got {type(loss).__name__}.",
        fix="pass a torch loss module such as torch.nn.CrossEntropyLoss().",
        code="E-O30",
    )


def _name(loss: Any) -> str:
    return getattr(loss, "__name__", type(loss).__name__)


def _from_module(module: nn.Module, device: torch.device, dtype: torch.dtype | None) -> ExampleLoss:
    reduction = getattr(module, "reduction", None)
    kept = copy.deepcopy(module).to(device)
    if dtype is not None:
        # half precision networks are compared with their targets in float32
        kept = kept.to(dtype if dtype == torch.float64 else torch.float32)
    kept.eval()
    own = kept if reduction in ("mean", "sum", "batchmean") else None
    single = copy.deepcopy(kept)
    if reduction is not None:
        single.reduction = "none"  # type: ignore[assignment]
    free = False
    if isinstance(module, nn.CrossEntropyLoss | nn.NLLLoss):
        rule: Rule = _class_rule(single)
    elif isinstance(module, _ELEMENTWISE):
        rule = _element_rule(single, by_example=reduction == "batchmean")
    else:
        rule, free = _from_callable(single), True
    ignore = getattr(module, "ignore_index", None)
    return ExampleLoss(rule, reduction == "sum", ignore, type(module).__name__, own, kept, free)


def _from_callable(loss: Callable[[Any, Any], Tensor]) -> Rule:
    label = _name(loss)

    def rule(outputs: Any, targets: Any) -> tuple[Tensor, Tensor]:
        value = loss(outputs, targets)
        if not isinstance(value, Tensor) or not value.is_floating_point():
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise InvalidType(
                f"loss must return a real tensor of shape (example,); {label} returned {kind}.",
                why="a Python number (from .item() or float()), a count or a comparison carries no "
                "gradient.",
                fix="return the losses of the examples as a floating-point tensor.",
                code="E-O31",
            )
        examples = len(targets) if isinstance(targets, Tensor) and targets.dim() else None
        if value.dim() == 0 or (examples is not None and len(value) != examples):
            raise InvalidArgument(
                f"loss must return one value an example, shape ({examples or 'examples'},); "
                f"{label} returned shape {tuple(value.shape)}.",
                why="a mean taken inside the loss would weigh uneven batches wrongly.",
                fix="return unreduced losses (reduction='none'), pass the torch loss module, "
                "or use Objective.from_batch_loss for a model that computes its own loss.",
                code="E-O13",
            )
        flat = value.reshape(len(value), -1)
        return flat.mean(1), torch.ones(len(flat), dtype=flat.dtype, device=flat.device)

    return rule


def logits_of(outputs: Any) -> Tensor:
    """The tensor a torch loss module compares: the output itself, its ``logits``, or its first."""
    if isinstance(outputs, Tensor):
        return outputs
    if isinstance(getattr(outputs, "logits", None), Tensor):
        return outputs.logits  # type: ignore[no-any-return]
    if isinstance(outputs, dict) and isinstance(outputs.get("logits"), Tensor):
        return outputs["logits"]  # type: ignore[no-any-return]
    if isinstance(outputs, dict | tuple | list):
        values = outputs.values() if isinstance(outputs, dict) else outputs
        first = next((v for v in values if not isinstance(v, Tensor) or v.dim() > 0), None)
        if isinstance(first, Tensor):  # a loss that comes before the logits has no dimension
            return first
    raise InvalidType(
        f"the model returned {type(outputs).__name__}, and a torch loss module needs a tensor.",
        fix="return a tensor, or pass loss=lambda outputs, targets: ... with one value an example.",
        code="E-O32",
    )


def tell_choice(outputs: Any) -> None:
    """Warn where `logits_of` takes the first of several entries that could be meant."""
    if not isinstance(outputs, dict) or isinstance(outputs.get("logits"), Tensor):
        return
    names = [k for k, v in outputs.items() if isinstance(v, Tensor) and v.dim() > 0]
    if len(names) > 1 and names[0] not in ("out", "output", "scores"):
        warnings.warn(
            f"the model returns {names}, none of them called 'logits'; the loss compares the "
            f"first, {names[0]!r}. Pass loss=lambda outputs, targets: ... with one value an "
            "example to take another. [E-O37]",
            TheodoliteWarning,
            stacklevel=2,
        )


def _class_rule(single: nn.Module) -> Rule:
    """Cross entropy and negative log likelihood: an element weighs its class's weight."""
    ignore = int(single.ignore_index)  # type: ignore[arg-type]
    weight = single.weight

    def rule(outputs: Any, targets: Any) -> tuple[Tensor, Tensor]:
        scores = logits_of(outputs)
        if targets.is_floating_point() and targets.shape == scores.shape:
            each = single(scores, targets)
            return _by_example(each, torch.ones_like(each))
        each = single(scores, targets)
        if isinstance(weight, Tensor):
            valid = targets != ignore
            weights = weight[torch.where(valid, targets, 0)] * valid
        else:
            weights = (targets != ignore).to(each.dtype)
            if each.dim() == 1:
                return each, weights  # one label an example: its loss is zero where it is ignored
        return _by_example(each, weights.to(each.dtype))

    return rule


def _element_rule(single: nn.Module, *, by_example: bool) -> Rule:
    """Element-wise losses: every element weighs the same (``batchmean``: every example)."""

    def rule(outputs: Any, targets: Any) -> tuple[Tensor, Tensor]:
        scores = logits_of(outputs)
        if scores.shape != targets.shape:
            raise InvalidData(
                f"outputs have shape {tuple(scores.shape)} and targets {tuple(targets.shape)}; "
                f"{type(single).__name__} would broadcast them into a different loss.",
                fix="give targets the shape of the outputs, for example targets.unsqueeze(1).",
                code="E-O09",
            )
        each = single(scores, targets)
        flat = each.reshape(len(each), -1)
        if by_example:
            return flat.sum(1), torch.ones_like(flat[:, 0])
        return _by_example(flat, torch.ones_like(flat))

    return rule


def _by_example(sums: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean and total weight of each example's elements; ``sums`` are weight times loss."""
    single = sums.dim() == 1
    total = weights if single else weights.reshape(len(weights), -1).sum(1)
    value = sums if single else sums.reshape(len(sums), -1).sum(1)
    return value / torch.where(total == 0, torch.ones_like(total), total), total


def check_labels(scores: Tensor, targets: Tensor, ignore: int) -> None:
    """Raise unless `targets` are class labels for `scores`, naming the first that is not."""
    classes = scores.shape[1] if scores.dim() > 1 else scores.shape[0]
    expected = (scores.shape[0], *scores.shape[2:])
    if targets.dtype not in (torch.int64, torch.uint8) or tuple(targets.shape) != expected:
        raise InvalidData(
            f"class labels must be 64-bit integers of shape {expected}; got {targets.dtype} of "
            f"shape {tuple(targets.shape)} for outputs of shape {tuple(scores.shape)}.",
            fix="convert with targets.long() (and squeeze extra dimensions).",
            code="E-O09",
        )
    bad = (targets != ignore) & ((targets < 0) | (targets >= classes))
    if bool(bad.any()):
        first = bad.nonzero()[0].tolist()
        raise InvalidData(
            f"labels must lie between 0 and {classes - 1} (the model has {classes} outputs); got "
            f"{int(targets[tuple(first)])} at position {first}.",
            fix="renumber the labels from 0, widen the model's output, or set ignore_index.",
            code="E-O09",
        )


def check_probabilities(targets: Tensor) -> None:
    """Raise unless every target of a binary loss lies between 0 and 1."""
    bad = (targets < 0) | (targets > 1)
    if bool(bad.any()):
        raise InvalidData(
            f"targets of BCEWithLogitsLoss must lie between 0 and 1; got {float(targets[bad][0]):g}"
            f" in {int(bad.sum())} places.",
            why="outside, the loss has no lower bound.",
            fix="renumber labels such as -1 and 1 to 0 and 1, or use CrossEntropyLoss.",
            code="E-O09",
        )
