"""Norms and products of the gradients of single examples from one forward and backward pass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from theodolite.engines.example_fallbacks import Found, counted, mean_weights
from theodolite.engines.example_parts import Use, Work, measured, work_of
from theodolite.engines.ghost_rules import Makers, given_use, is_table, makers_of, rule_of
from theodolite.engines.problem import Problem

Calls = list[tuple[int, GradientEdge, Makers]]
"""The calls of layers with a rule: which module, where its output's gradient is, its uses."""

Tables = dict[str, Tensor]
"""Tensors that no layer of ours holds, with a row an example."""

Slopes = list[Tensor | None]
"""Gradients where calls gave their outputs, then those of tables."""


def by_ghosts(
    problem: Problem,
    leaf: Tensor,
    batch: Any,
    entries: Sequence[Any],
    directions: Tensor,
    *,
    tables: bool = True,
) -> tuple[dict[str, Work], Found]:
    """Norms and products for those of `entries` that a rule was seen to use, and what they cost.

    The gradient of the sum of all losses in a layer's output has, in an example's row, the
    gradient of that example's loss, as long as no example sees another. 2 F and the products.
    With `tables` also for what is added to all examples alike, such as positions: it is given a
    row an example first. Raises what the model raises where it cannot take that.
    """
    heard = _heard(problem, leaf, batch, entries, lambda: [_summed(problem, batch)], tables)
    squares = leaf.new_zeros(batch.examples, len(entries), dtype=torch.float64)
    along = squares.new_zeros(batch.examples, len(entries), len(directions))
    done: dict[str, Work] = {}
    with torch.no_grad():
        for k, entry in enumerate(entries):
            uses = heard.uses(entry, heard.slopes[0]) if heard.slopes else []
            if not uses:
                continue
            done[entry.name] = work_of(uses, entry.size, len(directions))
            rows = directions[:, entry.offset : entry.stop].unflatten(1, entry.shape)
            squares[:, k], along[:, k] = measured(uses, batch.examples, rows)
    weights = mean_weights(problem, batch)
    if weights is not None:
        share = torch.where(weights > 0, 1 / weights, 0.0).to(squares)
        squares, along = squares * share[:, None].square(), along * share[:, None, None]
    return done, (squares, along)


def squares_by_ghosts(
    problem: Problem, leaf: Tensor, batch: Any, sums: Callable[[], Sequence[Tensor]]
) -> Float64[Tensor, "row example"]:
    """Squared norms of the gradients of single examples, for several `sums` over examples at once.

    For problems all of whose tensors are known to go by ghosts. `sums()` runs the model once and
    gives a scalar a row. 1 F, and 1 F and the products for each row.
    """
    entries = problem.space.entries
    heard = _heard(problem, leaf, batch, entries, sums, tables=True)
    squares = leaf.new_zeros(len(heard.slopes), batch.examples, dtype=torch.float64)
    with torch.no_grad():
        for row, slopes in zip(squares, heard.slopes, strict=True):
            for entry in entries:
                uses = heard.uses(entry, slopes)
                none = leaf.new_zeros(0, *entry.shape)
                row += measured(uses, batch.examples, none)[0] if uses else 0
    return squares


@dataclass(frozen=True, eq=False)
class _Heard:
    """The calls of layers in one forward pass, and gradients there for each of several sums."""

    places: dict[tuple[int, str], str]
    calls: Calls
    own: Tables
    slopes: list[Slopes]

    def uses(self, entry: Any, slopes: Slopes) -> list[Use]:
        """The uses of a tensor, with the gradients of one sum."""
        spread = dict(zip(self.own, slopes[len(self.calls) :], strict=True)).get(entry.name)
        if spread is not None:
            return [given_use(spread.reshape(-1, *entry.shape))]
        return [
            makers[attribute](slope)
            for (module, _, makers), slope in zip(self.calls, slopes, strict=False)
            for attribute in makers
            if self.places.get((module, attribute)) == entry.name and slope is not None
        ]


def _heard(
    problem: Problem,
    leaf: Tensor,
    batch: Any,
    entries: Sequence[Any],
    sums: Callable[[], Sequence[Tensor]],
    tables: bool,
) -> _Heard:
    """Run the model and `sums` once, and a backward pass for each sum; none without a use."""
    places = _places(problem, entries)
    state = problem.forward.fresh(leaf)
    own = _spread(problem, state, entries, batch.examples) if tables else {}
    layers = {module for module, _ in places}

    def passes() -> tuple[Calls, list[Slopes]]:
        with _listening(problem.model, batch.examples, layers if tables else set()) as calls:
            totals = [t for t in sums() if t.requires_grad]
        edges: Any = [*(edge for _, edge, _ in calls), *own.values()]
        if not edges:
            return [], []
        last = len(totals) - 1
        return calls, [
            list(torch.autograd.grad(t, edges, allow_unused=True, retain_graph=k < last))
            for k, t in enumerate(totals)
        ]

    # a backward pass may run the model again (checkpointing), so it is inside as well
    calls, slopes = problem.forward.run_named(state, passes)
    return _Heard(places, calls, own, slopes)


def _spread(
    problem: Problem, state: dict[str, Tensor], entries: Sequence[Any], examples: int
) -> Tables:
    """Put a tensor with a row an example into `state` for each that no layer with a rule holds.

    A first dimension of one becomes that of examples; otherwise it comes first.
    """
    modules = dict(problem.model.named_modules(remove_duplicate=False))
    made: Tables = {}
    for e in entries:
        layer = e.name.rpartition(".")[0]
        if e.aliases or rule_of(modules[layer]) is not None or not e.shape:
            continue
        held = state[f"model.{e.name}"]
        row = held if e.shape[0] == 1 else held.unsqueeze(0)
        made[e.name] = state[f"model.{e.name}"] = row.expand(examples, *row.shape[1:])
    return made


def _summed(problem: Problem, batch: Any) -> Tensor:
    """The sum of the losses of the examples, each times its weight where a mean is all there is."""
    weights = mean_weights(problem, batch)
    losses, counts = problem.terms.losses(problem.model, batch)
    if weights is not None:
        total: Tensor = losses.sum() * float(weights.sum())
        return total
    return counted(losses, counts).sum()


@contextmanager
def _listening(model: nn.Module, examples: int, tables: Collection[int]) -> Iterator[Calls]:
    """Inside, every call of a layer with a rule is written down.

    An embedding among `tables` whose indices all examples share gives each a row of its own.
    Hooks come first, so that outputs are those of the layer itself, and keep places in the graph
    rather than tensors: what is written over later keeps its place.
    """
    calls: Calls = []

    def hook(module: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
        x: Any = given[0] if len(given) == 1 else None
        embeds = isinstance(module, nn.Embedding) and id(module) in tables
        if embeds and is_table(x, output, examples):
            x = x.expand(examples, x.shape[-1])
            output = output.expand(examples, *output.shape[-2:])
        makers = makers_of(module, x, output, examples)
        if makers and output.requires_grad:
            calls.append((id(module), get_gradient_edge(output), makers))
        return output

    handles = [
        m.register_forward_hook(hook, prepend=True)
        for m in model.modules()
        if rule_of(m) is not None and any(p.requires_grad for p in m.parameters(recurse=False))
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _places(problem: Problem, entries: Sequence[Any]) -> dict[tuple[int, str], str]:
    """Which tensor a module's attribute is, by the module's identity."""
    modules = dict(problem.model.named_modules(remove_duplicate=False))
    return {
        (id(modules[layer]), attribute): e.name
        for e in entries
        for layer, _, attribute in (n.rpartition(".") for n in (e.name, *e.aliases))
    }
