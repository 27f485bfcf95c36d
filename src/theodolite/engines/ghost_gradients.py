"""Norms and products of the gradients of single examples from one forward and backward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from theodolite.engines.example_fallbacks import Found, counted, mean_weights
from theodolite.engines.example_parts import products, squared_norms
from theodolite.engines.ghost_rules import Makers, makers_of, rule_of
from theodolite.engines.problem import Problem

Calls = list[tuple[int, GradientEdge, Makers]]
"""The calls of layers with a rule: which module, where its output's gradient is, its uses."""


def by_ghosts(
    problem: Problem, leaf: Tensor, batch: Any, entries: Sequence[Any], directions: Tensor
) -> tuple[set[str], Found]:
    """Norms and products for those of `entries` that a rule was seen to use, and their names.

    The gradient of the sum of all losses in a layer's output has, in an example's row, the
    gradient of that example's loss, as long as no example sees another. 2 F and the products.
    """

    def passes() -> tuple[Calls, list[Tensor | None]]:
        with _listening(problem.model, batch.examples) as calls:
            total = _summed(problem, batch)
        if not calls or not total.requires_grad:
            return [], []
        edges = [edge for _, edge, _ in calls]
        return calls, list(torch.autograd.grad(total, edges, allow_unused=True))

    # a backward pass may run the model again (checkpointing), so it is inside as well
    calls, slopes = problem.forward.run_named(problem.forward.fresh(leaf), passes)
    squares = leaf.new_zeros(batch.examples, len(entries), dtype=torch.float64)
    along = squares.new_zeros(batch.examples, len(entries), len(directions))
    places, done = _places(problem, entries), set()
    with torch.no_grad():
        for k, entry in enumerate(entries):
            uses = [
                makers[attribute](slope)
                for (module, _, makers), slope in zip(calls, slopes, strict=True)
                for attribute in makers
                if places.get((module, attribute)) == entry.name and slope is not None
            ]
            if not uses:
                continue
            done.add(entry.name)
            rows = directions[:, entry.offset : entry.stop].unflatten(1, entry.shape)
            squares[:, k] = squared_norms(uses, batch.examples, torch.Size(entry.shape))
            along[:, k] = products(uses, batch.examples, rows)
    weights = mean_weights(problem, batch)
    if weights is not None:
        share = torch.where(weights > 0, 1 / weights, 0.0).to(squares)
        squares, along = squares * share[:, None].square(), along * share[:, None, None]
    return done, (squares, along)


def _summed(problem: Problem, batch: Any) -> Tensor:
    """The sum of the losses of the examples, each times its weight where a mean is all there is."""
    weights = mean_weights(problem, batch)
    losses, counts = problem.terms.losses(problem.model, batch)
    if weights is not None:
        total: Tensor = losses.sum() * float(weights.sum())
        return total
    return counted(losses, counts).sum()


@contextmanager
def _listening(model: nn.Module, examples: int) -> Iterator[Calls]:
    """Inside, every call of a layer with a rule is written down.

    Hooks come first, so that outputs are those of the layer itself, and keep places in the graph
    rather than tensors: what is written over later keeps its place.
    """
    calls: Calls = []

    def hook(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        makers = makers_of(module, given[0] if len(given) == 1 else None, output, examples)
        if makers and output.requires_grad:
            calls.append((id(module), get_gradient_edge(output), makers))

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
