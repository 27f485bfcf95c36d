"""Norms and products of the gradients of single examples from one forward and backward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from theodolite.engines.example_fallbacks import Found, counted, mean_weights
from theodolite.engines.example_parts import Work, measured, work_of
from theodolite.engines.ghost_rules import Makers, given_use, is_table, makers_of, rule_of
from theodolite.engines.problem import Problem

Calls = list[tuple[int, GradientEdge, Makers]]
"""The calls of layers with a rule: which module, where its output's gradient is, its uses."""

Tables = dict[str, Tensor]
"""Tensors that no layer of ours holds, with a row an example."""


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
    places = _places(problem, entries)
    state = problem.forward.fresh(leaf)
    own = _spread(problem, state, entries, batch.examples) if tables else {}

    def passes() -> tuple[Calls, list[Tensor | None]]:
        with _listening(problem.model, batch.examples, tables) as calls:
            total = _summed(problem, batch)
        if not (calls or own) or not total.requires_grad:
            return [], [None] * len(own)
        edges: Any = [*(edge for _, edge, _ in calls), *own.values()]
        return calls, list(torch.autograd.grad(total, edges, allow_unused=True))

    # a backward pass may run the model again (checkpointing), so it is inside as well
    calls, slopes = problem.forward.run_named(state, passes)
    rows_of = dict(zip(own, slopes[len(calls) :], strict=True))
    squares = leaf.new_zeros(batch.examples, len(entries), dtype=torch.float64)
    along = squares.new_zeros(batch.examples, len(entries), len(directions))
    done: dict[str, Work] = {}
    with torch.no_grad():
        for k, entry in enumerate(entries):
            uses = [
                makers[attribute](slope)
                for (module, _, makers), slope in zip(calls, slopes, strict=False)
                for attribute in makers
                if places.get((module, attribute)) == entry.name and slope is not None
            ]
            spread = rows_of.get(entry.name)
            if spread is not None:
                uses = [given_use(spread.reshape(-1, *entry.shape))]
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
def _listening(model: nn.Module, examples: int, tables: bool) -> Iterator[Calls]:
    """Inside, every call of a layer with a rule is written down.

    Hooks come first, so that outputs are those of the layer itself, and keep places in the graph
    rather than tensors: what is written over later keeps its place.
    """
    calls: Calls = []

    def hook(module: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
        x: Any = given[0] if len(given) == 1 else None
        if tables and isinstance(module, nn.Embedding) and is_table(x, output, examples):
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
