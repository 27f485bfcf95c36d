"""A model, a loss and data as one function of a flat vector of parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from theodolite.engines.failures import named_failures, refuse_detached
from theodolite.engines.snapshot import evaluation_flags, preserved, set_mode
from theodolite.errors import InvalidArgument, UnsupportedModel
from theodolite.objective import forward as forwards
from theodolite.objective import intake
from theodolite.objective.batches import Batch
from theodolite.objective.checks import check_start, check_settings
from theodolite.objective.evaluation import Pass
from theodolite.objective.losses import example_loss
from theodolite.objective.rules import BatchLoss, ModelLoss, Sample, Terms
from theodolite.objective.statistics import batch_norm_layers, recompute
from theodolite.parameters import ParameterSpace

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
        every theta, to the pooled statistics of the whole data.
    freeze_data
        Keep one reading of data that differ from reading to reading (random augmentation).
    device, dtype
        Where and in what precision to evaluate; the model's own by default. Points stay in
        float32 (or float64) even for half-precision networks.
    mode
        ``"eval"``, or ``"train"`` for batch statistics over the batches in their fixed order.
    limit
        Use a fixed sample of so many examples (seeded for tensors and datasets, the first of a
        loader).

    Raises
    ------
    InvalidData, UnsupportedModel, NotDeterministic, NotFinite
        Named refusals: see ``docs/errors.md`` (codes E-O..).

    Notes
    -----
    Construction reads the data once (twice for loaders) and makes two passes. `value` costs one
    forward pass (F), `gradient` about 3 F. Not checked: that the loss of one example does not
    depend on the others in its batch, except for losses given by batch.

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
    ) -> None:
        inner = forwards.unwrapped(model)
        check_settings(batch_norm, mode, dtype, limit, batch_size)
        place = _device(inner, device)
        rule = preserved((inner,), lambda: example_loss(loss, place, dtype))
        settings = intake.Settings(
            place, dtype, freeze_data, True, limit, batch_size, data_budget
        )
        _fill(self, inner, ModelLoss(rule), data, settings, batch_norm, mode)

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
            _device(inner, device), dtype, freeze_data, False, limit, batch_size, data_budget
        )
        made = object.__new__(cls)
        _fill(made, inner, BatchLoss(batch_loss), data, settings, batch_norm, mode)
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
        """The losses of the examples at `theta`, shape ``(example,)``, float64; 1 F.

        For an objective made by `from_batch_loss` from a mean, one value for each batch.
        """
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
        point = self._point(theta)
        return self.guarded(lambda: self.forward.run(point, self.sweep))

    def gradient(self, theta: Shaped[Tensor, " params"] | None = None) -> Float[Tensor, " params"]:
        """The gradient at `theta`, shape ``(params,)``, in the dtype of points; about 3 F."""
        self.refuse_recompute("gradient")
        point = self._point(theta)

        def body() -> Tensor:
            total, leaf = torch.zeros_like(point), point.clone().requires_grad_(True)
            attached = False
            for batch in self.data:
                with named_failures("gradient", batch.index):
                    term = self.term(leaf, batch)
                    if term.requires_grad:
                        attached = True
                        total += torch.autograd.grad(term, leaf, materialize_grads=True)[0]
            if not attached:
                refuse_detached()
            return total

        return self.guarded(body, grad=True)

    def term(self, theta: Tensor, batch: Batch) -> Tensor:
        """The share of one batch in the loss, differentiable; the shares add up to `value`.

        For engines of derivatives: call inside `guarded`.
        """
        losses, weights = self.forward.run(theta, lambda: self.terms.losses(self.model, batch))
        if not bool(weights.any()):
            return losses.new_zeros(())  # a batch without a label that counts: NaN times zero
        wide = losses if losses.dtype == torch.float64 else losses.float()
        return (wide * weights.to(wide.dtype)).sum() * (self.scale / self.total_weight)

    def guarded(
        self, body: Callable[[], Any], *, grad: bool = False, second: bool = False
    ) -> Any:
        """Run `body` with this objective's mode and flags, and the caller's state put back."""

        def inside() -> Any:
            evaluation_flags(grad=grad, derivatives=second)
            set_mode(self.model, self.mode)
            return body()

        return preserved((self.model,), inside)

    def sweep(self, sample: Callable[[Batch], Sample] | None = None) -> Pass:
        """One pass while the model already holds its tensors: inside `guarded` and `forward.run`."""
        run = sample or (lambda batch: self.terms.sample(self.model, batch))
        if self.batch_norm == "recompute":
            batches = self.data.kept or tuple(self.data)
            layers = batch_norm_layers(self.model)
            recompute(layers, batches, lambda b: self.terms.run(self.model, b))
        losses, weights, hits, counts = zip(*map(run, self.data), strict=True)
        answers = None if hits[0] is None else (torch.cat(hits), torch.cat(counts))
        return Pass(torch.cat(losses), torch.cat(weights), *(answers or (None, None)), self.scale)

    def refuse_recompute(self, what: str) -> None:
        """Raise where a derivative would have to see through recomputed statistics."""
        if self.batch_norm == "recompute":
            raise UnsupportedModel(
                f"the {what} is defined here for frozen BatchNorm statistics; this objective has "
                'batch_norm="recompute".',
                why="recomputed statistics depend on theta, and a derivative that ignores that "
                "would not be the derivative of value().",
                fix='build the objective with batch_norm="frozen" for derivatives.',
                code="E-O50",
            )

    def converted(self, dtype: torch.dtype) -> Objective:
        """The same objective in another precision, for checks; data in memory are converted."""
        made = object.__new__(Objective)
        for name in self.__dataclass_fields__:
            object.__setattr__(made, name, getattr(self, name))
        master = torch.float64 if dtype == torch.float64 else torch.float32
        space = ParameterSpace(self.space.entries, master, self.space.pruned)
        changed = {
            "space": space,
            "start": self.start.to(master),
            "dtype": dtype,
            "forward": forwards.build(self.model, space, self.device, dtype),
            "data": self.data.converted(dtype),
            "terms": self.terms.converted(dtype),
        }
        for name, value in changed.items():
            object.__setattr__(made, name, value)
        return made

    def facts(self) -> dict[str, Any]:
        """What every result computed from this objective records."""
        return {
            "model": type(self.model).__name__,
            "params": self.space.size,
            "examples": self.examples,
            "batch_norm": self.batch_norm,
            "mode": self.mode,
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": str(self.device),
            "loss_function": self.terms.label,
            "fingerprint": self.fingerprint,
        }

    def _point(self, theta: Tensor | None) -> Tensor:
        if theta is None:
            return self.start
        self.space.check(theta)
        return theta.detach().to(device=self.device)

    def batches(self) -> Iterator[Batch]:
        """The batches, in the order of this reading."""
        return iter(self.data)


def _device(model: nn.Module, device: torch.device | str | None) -> torch.device:
    if device is not None:
        return torch.device(device)
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def _fill(
    made: Objective,
    model: nn.Module,
    terms: Terms,
    data: Any,
    settings: intake.Settings,
    batch_norm: str,
    mode: str,
) -> None:
    """Everything the two constructors share, under one guard."""

    def put(name: str, value: Any) -> None:
        object.__setattr__(made, name, value)

    def body() -> None:
        evaluation_flags(grad=False)
        set_mode(model, mode)
        space = ParameterSpace.from_model(model)
        named = dict(model.named_parameters(remove_duplicate=False))
        replay = intake.read(data, settings, model)
        master = torch.float64 if settings.dtype == torch.float64 else space.dtype
        if settings.dtype in (torch.float32, torch.bfloat16, torch.float16):
            master = torch.float32
        space = ParameterSpace(space.entries, master, space.pruned)
        put("model", model)
        put("space", space)
        put("start", space.flatten(named).to(settings.device))
        put("examples", replay.examples)
        put("device", settings.device)
        put("dtype", settings.dtype or space.entries[0].dtype)
        put("batch_norm", batch_norm)
        put("mode", mode)
        put("data", replay)
        put("forward", forwards.build(model, space, settings.device, settings.dtype))
        put("terms", terms.fitted(replay, lambda f: made.forward.run(made.start, f)))
        put("scale", 1.0)
        put("total_weight", 1.0)
        first = check_start(made)
        put("total_weight", float(first.weights.sum()))
        put("scale", made.total_weight if terms.summed else 1.0)
        put("start_pass", Pass(first.losses, first.weights, first.hits, first.hit_weights, made.scale))
        put("fingerprint", _fingerprint(made))

    preserved((model,), body)


def _fingerprint(made: Objective) -> str:
    """A digest of the model's layout and weights, the data, the loss and the settings."""
    digest = hashlib.blake2b(digest_size=16)
    layout = [(e.name, e.shape, str(e.dtype)) for e in made.space.entries]
    settings = (made.batch_norm, made.mode, str(made.dtype), made.terms.label)
    digest.update(f"{type(made.model).__name__}{layout}{settings}".encode())
    digest.update(made.start.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    for name, buffer in sorted(made.forward.pristine.items()):
        raw = buffer.cpu().contiguous().reshape(-1)
        digest.update(name.encode() + (raw.view(torch.uint8).numpy().tobytes() if raw.numel() else b""))
    digest.update(made.data.fingerprint.encode())
    return digest.hexdigest()
