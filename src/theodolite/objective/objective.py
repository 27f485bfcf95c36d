"""A model, a loss and data as one function of a flat vector of parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from theodolite.engines.snapshot import evaluation_flags, preserved, set_mode
from theodolite.engines.substitutes import make_differentiable
from theodolite.errors import InvalidArgument
from theodolite.objective import differentiation, intake, making
from theodolite.objective import forward as forwards
from theodolite.objective.batches import Batch
from theodolite.objective.checks import check_settings, refuse_recomputed
from theodolite.objective.evaluation import Pass, gathered
from theodolite.objective.losses import example_loss
from theodolite.objective.pooling import Pooling, policy_facts, samples
from theodolite.objective.ranks import Ranks
from theodolite.objective.rules import BatchLoss, ModelLoss, Sample, Terms
from theodolite.objective.stratification import Design
from theodolite.parameters import ParameterSpace

Result = TypeVar("Result")

DATA_BUDGET = 4 << 30
"""Bytes of data kept on the device by default; larger data are read anew at every pass."""


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Objective:
    r"""The training loss of a model as a function of its flat parameter vector.

    .. math:: L(\theta) = \frac{\sum_i w_i\,\ell(f_\theta(x_i), y_i)}{\sum_i w_i}

    The mean over examples is taken here and nowhere else, in float64, so uneven batches, ignored
    tokens and any split into batches give the same number. The model is evaluated through
    ``torch.func.functional_call``, in evaluation mode whatever its flags say; its parameters,
    buffers, modes, gradients and every random generator are bit-identical after each call.

    Parameters
    ----------
    model
        Any ``nn.Module``; compiled and data-parallel wrappers are taken off.
    loss
        ``loss(outputs, targets)`` giving one loss an example, shape ``(example,)``, or a torch
        loss module of any reduction (``"sum"`` gives the sum, the others the module's mean).
    data
        ``(inputs, targets)``, a ``Dataset``, a ``DataLoader``, or any re-iterable of batches
        (tuples, lists or dicts). It is read once and kept on the device up to `data_budget`.
    batch_norm
        ``"frozen"`` keeps the statistics the model came with; ``"recompute"`` sets them, for
        every theta, to the pooled statistics of the whole data: 1 F where all batches' activations
        fit into `data_budget`, else 1 F a layer more (see ``facts()["batch_norm_way"]``).
    freeze_data
        Keep one reading of data that differ between readings (random augmentation).
    device, dtype
        Where and in what precision to evaluate; the model's own by default. Points stay in
        float32 (or float64) even for half-precision networks.
    mode
        ``"eval"``, or ``"train"`` for batch statistics over the batches in their fixed order.
    limit
        Use a fixed sample of so many examples (seeded for tensors and datasets, the first of a
        loader).
    process_group
        A group of ``torch.distributed``, or ``"world"``: every rank passes the whole data and
        keeps every N-th batch; values, gradients and products are those of all, on all ranks.

    Raises
    ------
    InvalidData, UnsupportedModel, NotDeterministic, NotFinite
        Named refusals: see ``docs/errors.md`` (codes E-O..).

    Notes
    -----
    Construction reads the data once (twice for loaders) and makes two passes; `value` costs one
    forward pass (F), `gradient` about 3 F. Not checked: that an example's loss does not depend on
    the others in its batch, except for losses given by batch.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([[2.0], [4.0]])
    >>> model = nn.Linear(1, 1, bias=False)
    >>> objective = Objective(model, nn.MSELoss(), (x, y))
    >>> float(objective.value(torch.tensor([0.0])))
    10.0
    """

    model: nn.Module
    space: ParameterSpace
    start: Tensor
    examples: int
    device: torch.device
    dtype: torch.dtype
    batch_norm: str
    mode: str
    fingerprint: str
    terms: Terms
    data: intake.Replay
    forward: forwards.Forward
    scale: float
    total_weight: float
    start_pass: Pass
    pooling: Pooling
    design: Design | None
    ranks: Ranks | None

    def __init__(
        self,
        model: Any,
        loss: Any,
        data: Any,
        *,
        batch_norm: str = "frozen",
        freeze_data: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        mode: str = "eval",
        limit: int | None = None,
        batch_size: int | None = None,
        data_budget: int = DATA_BUDGET,
        process_group: Any = None,
    ) -> None:
        inner = forwards.unwrapped(model)
        check_settings(batch_norm, mode, dtype, limit, batch_size)
        place = making.device_of(inner, device)
        rule = preserved((inner,), lambda: example_loss(loss, place, dtype))
        settings = intake.Settings(place, dtype, freeze_data, True, limit, batch_size, data_budget)
        making.fill(self, inner, ModelLoss(rule), data, settings, batch_norm, mode, process_group)

    @classmethod
    def from_batch_loss(
        cls,
        model: Any,
        batch_loss: Any,
        data: Any,
        *,
        batch_norm: str = "frozen",
        freeze_data: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        mode: str = "eval",
        limit: int | None = None,
        batch_size: int | None = None,
        data_budget: int = DATA_BUDGET,
        process_group: Any = None,
    ) -> Objective:
        """An objective whose model computes its own loss (Hugging Face's among them).

        ``batch_loss(model, batch)`` returns the mean loss of the batch, or ``(losses, weights)``
        by example. A mean is weighted by what it is a mean over: tokens whose label is not -100
        where the batch has integer ``labels`` of more than one dimension, else examples. The
        weights are proved on the first batches (the parts must combine to the whole), and a
        mean that no such weight explains is refused. Other parameters as for `Objective`.
        """
        inner = forwards.unwrapped(model)
        check_settings(batch_norm, mode, dtype, limit, batch_size)
        if not callable(batch_loss):
            raise InvalidArgument(
                "batch_loss must be callable as batch_loss(model, batch).", code="E-O33"
            )
        settings = intake.Settings(
            making.device_of(inner, device),
            dtype,
            freeze_data,
            False,
            limit,
            batch_size,
            data_budget,
        )
        made = object.__new__(cls)
        terms = BatchLoss(batch_loss)
        making.fill(made, inner, terms, data, settings, batch_norm, mode, process_group)
        return made

    def __repr__(self) -> str:
        return (
            f"Objective({type(self.model).__name__}, {self.space.size:,} parameters, "
            f"{self.examples:,} examples, {self.dtype}, {self.mode} mode, "
            f"batch_norm={self.batch_norm!r})"
        )

    def value(self, theta: Shaped[Tensor, " params"] | None = None) -> Float[Tensor, ""]:
        """The loss at `theta` (default: the model's own parameters), as a float64 scalar; 1 F."""
        return torch.tensor(self.sample(theta).loss(), dtype=torch.float64)

    def losses(self, theta: Shaped[Tensor, " params"] | None = None) -> Float[Tensor, " example"]:
        """The losses of the examples (of the batches, where a model gives only means); 1 F."""
        return self.sample(theta).losses

    def metrics(self, theta: Shaped[Tensor, " params"] | None = None) -> dict[str, float]:
        """``loss``, ``loss_error`` and, with class labels, ``accuracy``, ``accuracy_error``; 1 F.

        Errors are standard errors over the sampling of examples.
        """
        made = self.sample(theta)
        found = {"loss": made.loss(), "loss_error": made.loss_error()}
        if made.hits is not None:
            found |= {"accuracy": made.accuracy(), "accuracy_error": made.accuracy_error()}
        return found

    def sample(self, theta: Shaped[Tensor, " params"] | None = None) -> Pass:
        """One pass over the data at `theta`, example by example."""
        point = self.point(theta)
        return self.guarded(lambda: self.forward.run(point, self.sweep))

    def gradient(self, theta: Shaped[Tensor, " params"] | None = None) -> Float[Tensor, " params"]:
        """The gradient at `theta`, shape ``(params,)``, in the dtype of points; about 3 F."""
        refuse_recomputed(self.batch_norm, "gradient")
        point = self.point(theta)
        return self.guarded(lambda: differentiation.gradient(self, point), grad=True)

    def term(self, theta: Tensor, batch: Batch) -> Tensor:
        """The share of one batch in the loss, differentiable; inside `guarded`. They add up."""
        return self.forward.run(theta, lambda: self.share(batch))

    def share(self, batch: Batch) -> Tensor:
        """As `term`, while the model already holds its tensors: inside `forward.run`."""
        losses, weights = self.terms.losses(self.model, batch)
        if not bool(weights.any()):
            return losses.new_zeros(())  # a batch without a label that counts: NaN times zero
        return self.weighted(losses, weights)

    def weighted(self, losses: Tensor, weights: Tensor) -> Tensor:
        """What losses of single examples with these weights contribute to the loss."""
        wide = losses if losses.dtype == torch.float64 else losses.float()
        return (wide * weights.to(wide.dtype)).sum() * (self.scale / self.total_weight)

    def guarded(
        self, body: Callable[[], Result], *, grad: bool = False, second: bool = False
    ) -> Result:
        """Run `body` with this objective's mode and flags, and the caller's state put back."""

        def inside() -> Result:
            evaluation_flags(grad=grad, derivatives=second)
            set_mode(self.model, self.mode)
            if grad:
                make_differentiable(self.model, second=second)
            return body()

        return preserved((self.model,), inside, self.forward.known)

    def sweep(self, sample: Callable[[Batch], Sample] | None = None) -> Pass:
        """One pass while the model already holds its tensors: inside `forward.run`."""
        run = sample or partial(self.terms.sample, self.model)
        return gathered(samples(self, run), self.scale, self.design)

    def alike(self, tensor: Tensor, name: str) -> None:
        """Raise unless all ranks that share this objective hold the same tensor."""
        if self.ranks is not None:
            self.ranks.alike(tensor, name)

    def refuse_recompute(self, what: str) -> None:
        """Raise where a derivative would have to see through recomputed statistics."""
        refuse_recomputed(self.batch_norm, what)

    def with_batch_norm(self, batch_norm: str) -> Objective:
        """The same under another BatchNorm policy, sharing model, data and tensors; 2 to 4 F."""
        return cast("Objective", making.with_batch_norm(self, batch_norm))

    def restricted(
        self, *parameters: str, theta: Shaped[Tensor, " params"] | None = None
    ) -> Objective:
        """The loss as a function of some parameters, the others held at `theta`; at most 1 F.

        `parameters` name tensors, modules (``"fc1"``: all of that layer) or patterns
        (``"*.weight"``); their order stays. The Hessian of the result is a diagonal block.
        """
        return cast("Objective", making.restricted(self, parameters, theta))

    def converted(self, dtype: torch.dtype) -> Objective:
        """The same objective in another precision, for checks; data in memory are converted."""
        return cast("Objective", making.converted(self, dtype))

    def facts(self) -> dict[str, Any]:
        """What every result computed from this objective records."""
        found = {
            "model": type(self.model).__name__,
            "params": self.space.size,
            "examples": self.examples,
            "mode": self.mode,
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": str(self.device),
            "loss_function": self.terms.label,
            "fingerprint": self.fingerprint,
        }
        return found | policy_facts(self)

    def point(self, theta: Shaped[Tensor, " params"] | None = None) -> Float[Tensor, " params"]:
        """`theta` checked and on this device, or `start`."""
        if theta is None:
            return self.start
        self.space.check(theta)
        self.alike(theta, "theta")
        return theta.detach().to(device=self.device)
