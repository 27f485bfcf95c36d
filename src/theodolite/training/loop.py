"""The training loop: seeded, restartable at every epoch, and silent."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import xarray as xr
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from theodolite.datasets.splits import Split
from theodolite.errors import InvalidType, NotFinite, TheodoliteWarning, UnsupportedModel
from theodolite.seeds import child_seed, torch_generator
from theodolite.training import checkpoints as storage
from theodolite.training.averaging import WeightAverage
from theodolite.training.callbacks import Callback, load_states, states
from theodolite.training.evaluation import BATCH, all_scores
from theodolite.training.history import AVERAGED, history_dataset
from theodolite.training.isolation import isolated, seed_streams
from theodolite.training.losses import example_loss
from theodolite.training.recipe import Recipe, average_of, learning_rate_share, optimizer_of
from theodolite.training.steps import Step
from theodolite.training.updates import LossNotFinite, Update


@dataclass(frozen=True, eq=False)
class Run:
    """A finished training: the network in eval mode and how it got there.

    ``history`` is a "training" result over ``epoch`` (0 is the start). ``diverged`` is the step
    whose loss was not finite, at which training stopped; None if there was none.
    ``checkpoints`` are the files of weights, one an epoch, if a folder was given. Where the
    recipe names an averaging, ``model`` is the averaged network, its BatchNorm statistics those
    of the whole training set, and ``last`` the one with the last weights; without one, or after
    a divergence, both are the same. ``callbacks`` are those built for the call.
    """

    recipe: Recipe
    model: nn.Module
    history: xr.Dataset
    diverged: Step | None
    checkpoints: tuple[Path, ...] = ()
    last: nn.Module | None = None
    callbacks: tuple[Callback, ...] = ()


@dataclass(frozen=True, eq=False)
class Bench:
    """The moving parts of one training."""

    recipe: Recipe
    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: LambdaLR
    average: WeightAverage | None
    callbacks: tuple[Callback, ...]

    @property
    def observers(self) -> tuple[Callback, ...]:
        """All that is called after an update."""
        return self.callbacks if self.average is None else (self.average, *self.callbacks)


def train(
    recipe: Recipe,
    *,
    progress: Callable[[int, int], None] | None = None,
    checkpoints: str | Path | None = None,
    callbacks: Sequence[Callable[[nn.Module], Callback]] = (),
) -> Run:
    """Train a network by `recipe` and score it exactly before and after every epoch.

    The same recipe gives bit-identical weights on one machine with one version of torch and
    one number of threads; on CUDA, as far as torch's deterministic algorithms go. Loss and
    accuracy of every part of the data are means over all its examples in eval mode, without
    label smoothing (at epoch 0, with BatchNorm's averages still as built). The caller's
    generators, flags and module are as before, also after an error. ``progress`` is called
    with the optimizer steps done and in all.

    Each of ``callbacks`` builds from the network what is called with the number of updates done
    after every one: ``partial(SWAG, rank=10)``, ``partial(Recorder, folder)``, or a function of
    your own, which must leave the weights alone. What was built is in ``Run.callbacks``; where it
    has ``state_dict`` and ``load_state_dict``, these are kept in the checkpoints.

    With a folder for ``checkpoints``, the weights after every epoch are kept there and a
    training that was killed continues from the last whole epoch, to the same bits as one made
    in one go; a finished one is read back. The optimizer is kept, buffers outside the state
    dict are not. A loss that is not finite ends the training with a warning: the epoch is
    marked as diverged in the history, later ones as not computed.

    Costs ``epochs`` forward and backward passes over the training set, twice that for "sam" and
    "asam" (``gradient_evaluations`` and ``example_gradients`` in the history count them), and
    ``epochs + 1`` forward passes over everything; averaged networks cost as many again and a pass
    a BatchNorm layer. Raises `NotFinite` where already the start is not finite,
    `UnsupportedModel` without a trainable parameter, `RunMismatch` for a folder of another
    recipe or other callbacks, `StorageError` where it cannot be read or written.

    >>> from functools import partial
    >>> from theodolite import datasets, models
    >>> data = datasets.digits(limit=200, flatten=True)
    >>> run = train(Recipe(partial(models.mlp, (64, 16, 10)), data, epochs=3, batch_size=32))
    >>> bool(run.history.loss[3] < run.history.loss[0]), run.model.training
    (True, False)
    """
    folder = None if checkpoints is None else Path(checkpoints)
    x = recipe.data.train[0]
    dtype = x.dtype if x.is_floating_point() else torch.float32
    run = isolated(dtype, lambda: _trained(recipe, progress, folder, tuple(callbacks)))
    if run.diverged is not None:
        warnings.warn(
            f"Training diverged at {run.diverged}: the loss is not finite. "
            "Lower the learning rate or add warmup.",
            TheodoliteWarning,
            stacklevel=2,
        )
    return run


def _trained(
    recipe: Recipe,
    progress: Callable[[int, int], None] | None,
    folder: Path | None,
    callbacks: tuple[Callable[[nn.Module], Callback], ...],
) -> Run:
    bench = bench_of(recipe, callbacks)
    data = recipe.data.changed(lambda x, y: (x.to(recipe.device), y.to(recipe.device)))
    done = _start(bench, folder, lambda: _row(bench, data, None))
    while done.diverged is None and len(done.history) <= recipe.epochs:
        epoch = len(done.history) - 1
        diverged = _epoch(bench, data.train, epoch, progress)
        row = _row(bench, data, diverged)
        if diverged is None and not math.isfinite(row["loss"]):
            diverged = (epoch + 1) * recipe.steps_per_epoch
        done = _progress(bench, [*done.history, row], diverged)
        if folder is not None:
            storage.save(folder, bench.model, done)
    bench.model.zero_grad(set_to_none=True)
    at = None if done.diverged is None else Step(done.diverged, recipe.steps_per_epoch)
    kept = () if folder is None else storage.saved_weights(folder)
    history = history_dataset(recipe, bench.model, done.history, diverged=at is not None)
    last = bench.model.eval()
    model = (_averaged(bench, data) if at is None else None) or last
    return Run(recipe, model, history, at, kept, last, bench.callbacks)


def bench_of(recipe: Recipe, callbacks: tuple[Callable[[nn.Module], Callback], ...] = ()) -> Bench:
    """The network at its start and what trains it; only ever called in `isolated`."""
    seed_streams(child_seed(recipe.seed, "initialization"), recipe.device)
    given = recipe.model
    model = copy.deepcopy(given) if isinstance(given, nn.Module) else given()
    if not isinstance(model, nn.Module):
        raise InvalidType(
            f"Recipe.model must build an nn.Module; got {type(model).__name__}.", code="E-T54"
        )
    model = model.to(recipe.device)
    if not any(p.requires_grad for p in model.parameters()):
        raise UnsupportedModel(
            "the model has no trainable parameter.",
            where="train",
            fix="call requires_grad_(True) on what should be trained",
            code="E-T55",
        )
    optimizer = optimizer_of(recipe, model)
    scheduler = LambdaLR(optimizer, lambda step: learning_rate_share(recipe, step))
    built = tuple(build(model) for build in callbacks)
    return Bench(recipe, model, optimizer, scheduler, average_of(recipe, model), built)


def _start(
    bench: Bench, folder: Path | None, first_row: Callable[[], dict[str, float]]
) -> storage.Progress:
    """Where training begins: what the folder holds, or the initial scores."""
    if folder is not None:
        storage.claim(folder, bench.recipe, bench.model)
        saved = storage.restore(folder, bench.model)
        if saved is not None:
            bench.optimizer.load_state_dict(saved.optimizer)
            bench.scheduler.load_state_dict(saved.scheduler)
            load_states(bench.observers, saved.callbacks, folder)
            return saved
    row = first_row()
    if not math.isfinite(row["loss"]):
        raise NotFinite(
            f"the loss before training is {row['loss']}.",
            where="train, epoch 0",
            fix="look for NaN in the inputs and in the initialization",
            code="E-T56",
        )
    start = _progress(bench, [row], None)
    if folder is not None:
        storage.save(folder, bench.model, start)
    return start


def _progress(
    bench: Bench, history: list[dict[str, float]], diverged: int | None
) -> storage.Progress:
    return storage.Progress(
        history,
        diverged,
        bench.optimizer.state_dict(),
        bench.scheduler.state_dict(),
        states(bench.observers),
    )


def _row(bench: Bench, data: Split, diverged: int | None) -> dict[str, float]:
    loss = example_loss(bench.recipe.loss)
    row = all_scores(bench.model, loss, data)
    averaged = None
    if diverged is None and math.isfinite(row["loss"]):
        averaged = _averaged(bench, data)
    if averaged is not None:
        found = all_scores(averaged, loss, data)
        row |= {AVERAGED + name: value for name, value in found.items()}
    return {**row, "learning_rate": float(bench.optimizer.param_groups[0]["lr"])}


def _averaged(bench: Bench, data: Split) -> nn.Module | None:
    """The averaged network as it stands, None where nothing was averaged yet."""
    if bench.average is None or not bench.average.count:
        return None
    return bench.average.network(torch.split(data.train[0], BATCH))


def epoch_batches(recipe: Recipe, epoch: int) -> tuple[Tensor, ...]:
    """The examples of every batch of an epoch, by number."""
    generator = torch_generator(recipe.noise_seed, "order", epoch)
    order = torch.randperm(len(recipe.data.train[1]), generator=generator)
    return order.to(recipe.device).tensor_split(recipe.steps_per_epoch)


def _epoch(
    bench: Bench,
    pair: tuple[Tensor, Tensor],
    epoch: int,
    progress: Callable[[int, int], None] | None,
) -> int | None:
    """Train for one epoch; returns the step whose loss was not finite, if there was one."""
    recipe, model = bench.recipe, bench.model
    loss = example_loss(recipe.loss, smoothing=recipe.label_smoothing)
    update = Update(recipe, model, bench.optimizer, loss, recipe.noise_seed)
    (x, y), count = pair, recipe.steps_per_epoch
    model.train()
    for i, batch in enumerate(epoch_batches(recipe, epoch)):
        step = epoch * count + i
        try:
            update(x[batch], y[batch], step)
        except LossNotFinite:
            return step
        bench.scheduler.step()
        for callback in bench.observers:
            callback(step + 1)
            model.train()
        if progress is not None:
            progress(step + 1, count * recipe.epochs)
    return None
