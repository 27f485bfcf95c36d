"""BatchNorm statistics of the whole data and the losses they give, in one pass over the data."""

from __future__ import annotations

import _thread
import contextvars
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

import torch
from torch import nn

from theodolite.objective.batches import Batch
from theodolite.objective.statistics import Moments, with_hooks

Result = TypeVar("Result")

FEW = 256
"""At most so many batches go together: each has a thread, though one runs at a time."""


class _Abandoned(BaseException):
    """Ends the forward pass of a batch that nobody waits for; no model's own handlers stop it."""


@dataclass(eq=False)
class _Walker:
    """One batch on its way: where it stands, what it saw there, and what it came to.

    Its thread waits on ``go``, its owner on ``back`` and, in the end, on ``over``. All three are
    queues written in C: an interrupt inside a lock written in Python can leave it locked for good.
    """

    work: Callable[[], Any]
    go: SimpleQueue[None] = field(default_factory=SimpleQueue)
    back: SimpleQueue[None] = field(default_factory=SimpleQueue)
    over: SimpleQueue[None] = field(default_factory=SimpleQueue)
    begun: bool = False
    released: bool = False
    ended: bool = False
    layer: nn.Module | None = None
    seen: Moments = field(default_factory=Moments)
    result: Any = None
    error: BaseException | None = None
    abandoned: bool = False

    def advance(self) -> None:
        """Let the batch go on, up to the next layer not yet set or its end; raise its error."""
        if not self.begun:
            self.begun = True
            context = contextvars.copy_context()
            _thread.start_new_thread(context.run, (self._walk, _surroundings()))
        self.layer, self.seen = None, Moments()
        self.released = True  # from here on the thread runs, or will
        self.go.put(None)
        self.back.get()
        if self.error is not None:
            raise self.error

    def stop_at(self, layer: nn.Module, x: Any) -> None:
        """Called in the batch's own thread: hand over what the layer is given, and wait."""
        if not self.abandoned:
            self.seen.add(x)
            self.layer = layer
            self.back.put(None)
            self.go.get()
        if self.abandoned:
            raise _Abandoned

    def abandon(self) -> None:
        """End the batch's thread wherever it is, and wait for that through any interrupt.

        A thread that was never let go ends before it touches anything: nobody waits for it.
        """
        self.abandoned = True
        self.go.put(None)
        while self.released and not self.ended:
            try:
                self.over.get()
            except KeyboardInterrupt:
                continue  # the first one is already on its way up

    def _walk(self, enter: Callable[[], None]) -> None:
        self.go.get()
        try:
            if not self.abandoned:
                enter()
                self.result = self.work()
        except _Abandoned:
            pass
        except BaseException as error:  # raised again where the batch was let go
            self.error = error
        finally:
            self.ended = True
            self.back.put(None)
            self.over.put(None)


def together(
    layers: Sequence[nn.Module],
    batches: Sequence[Batch],
    run: Callable[[Batch], Result],
) -> list[Result]:
    """What `run` gives for every batch, with statistics pooled over all of them; one pass.

    .. math:: \\mu = \\frac{1}{N} \\sum_b n_b \\mu_b, \\qquad
        \\sigma^2 = \\frac{1}{N} \\sum_b \\left( n_b \\sigma_b^2 + n_b (\\mu_b - \\mu)^2 \\right)

    All batches go forward side by side. At each layer they wait for one another, the moments of
    its input over all of them are written as its statistics, in float64 and weighted by count,
    and they go on: the numbers are those of `statistics.recompute` followed by a pass. Call
    inside a substituted model in evaluation mode; nothing random is drawn.

    Each batch has a thread so that its forward pass can wait halfway, but one runs at a time,
    in the order of the batches: the result does not depend on scheduling. An error in one ends
    all and is raised as it is, as is an interrupt. Costs 1 F and holds what every batch needs
    from the layer where it waits (`waiting_bytes`). Not checked: that batches do not meet
    through attributes of the model; see `chosen_way`.

    Raises whatever `run` raises.
    """
    if len(batches) == 1:
        return [with_hooks(layers, _alone(layers), partial(run, batches[0]))]
    walkers = [_Walker(partial(run, batch)) for batch in batches]
    unset = {id(m) for m in layers}
    turn: list[_Walker] = []

    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if id(module) in unset:
            turn[0].stop_at(module, inputs[0])

    def onward(some: Sequence[_Walker]) -> None:
        for walker in some:
            turn[:] = [walker]
            walker.advance()

    def through() -> None:
        onward(walkers)
        while any(w.layer is not None for w in walkers):
            layer = next(m for m in layers if any(w.layer is m for w in walkers))
            here = [w for w in walkers if w.layer is layer]
            pooled = Moments()
            for walker in here:
                pooled.merge(walker.seen)
            pooled.write(layer)  # type: ignore[arg-type]
            unset.discard(id(layer))
            onward(here)

    try:
        with_hooks(layers, hook, through)
    finally:
        for walker in walkers:
            walker.abandon()
    return [w.result for w in walkers]


def _alone(layers: Sequence[nn.Module]) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    """One batch needs no waiting: a layer is set as it is reached."""
    unset = {id(m) for m in layers}

    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if id(module) in unset:
            unset.discard(id(module))
            moments = Moments()
            moments.add(inputs[0])
            moments.write(module)  # type: ignore[arg-type]

    return hook


def _surroundings() -> Callable[[], None]:
    """What torch keeps by thread, as it is here, to be set in another thread."""
    grad, device, threads = (
        torch.is_grad_enabled(),
        torch.get_default_device(),
        torch.get_num_threads(),
    )
    autocast = [
        (d, torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in ("cpu", "cuda")
    ]
    cache = torch.is_autocast_cache_enabled()
    cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
    stream = torch.cuda.current_stream() if cuda else None

    def enter() -> None:
        torch.set_grad_enabled(grad)
        torch.set_num_threads(threads)
        if torch.get_default_device() != device:
            torch.set_default_device(device)
        for kind, enabled, dtype in autocast:
            torch.set_autocast_enabled(kind, enabled)
            torch.set_autocast_dtype(kind, dtype)
        torch.set_autocast_cache_enabled(cache)
        if stream is not None:
            torch.cuda.set_stream(stream)  # sets the device too

    return enter
