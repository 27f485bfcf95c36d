r"""The Fisher matrix of one batch's share: the second moment of scores under the model's labels.

Where the outputs are the natural parameters of the distribution whose negative log likelihood
the loss is, it equals the Gauss-Newton matrix. For log-probabilities it is J' diag(p) J. For any
other, labels are drawn, and the gradients of their losses taken as in the empirical Fisher matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from theodolite import seeds
from theodolite.engines import empirical_fisher_parts, gauss_newton_parts
from theodolite.engines.jacobian_parts import Graph, Tangents, at_places, jacobian_kind
from theodolite.engines.parts import Kind
from theodolite.engines.problem import Problem
from theodolite.errors import InvalidData, UnsupportedModel

Draw = Callable[[Any, torch.Generator], Any]
"""``draw(outputs, generator) -> targets``: labels of one batch from the model's distribution."""

LABEL, WHAT = "Fisher", "Fisher product"

EXACT = jacobian_kind(LABEL, WHAT, gauss_newton_parts.graph)
"""For losses whose outputs are natural parameters."""


def log_probabilities(problem: Problem, leaf: Tensor, batch: Any) -> Graph | None:
    """J' diag(p) J for outputs that are log-probabilities along dimension 1 (or the only one)."""
    state = problem.forward.fresh(leaf)

    def run(body: Callable[[], Any]) -> Any:
        return problem.forward.run_named(state, body)

    def outputs() -> Tensor:
        made: Tensor = problem.terms.run(problem.model, batch)
        return made

    logs = run(outputs)
    if not logs.requires_grad:
        return None
    free = logs.detach().clone().requires_grad_(True)
    losses, weights = run(lambda: problem.terms.loss(free, batch.targets))
    if not bool(weights.any()):
        return None
    # the loss is -log p of the label: its slope there is minus what the element counts
    counts = -torch.autograd.grad(problem.weighted(losses, weights), free)[0].sum(1, keepdim=True)
    curvature = counts * logs.detach().exp()

    def middle(tangents: Tangents, batched: bool) -> Tangents:
        return [curvature * tangents[0]]

    return Graph(
        leaf,
        run,
        [logs],
        at_places(problem, lambda: (outputs(),)),
        middle,
        lambda tangents, step: middle(tangents, False),
    )


LOGARITHMIC = jacobian_kind(LABEL, WHAT, log_probabilities)
"""For losses that take log-probabilities."""


def drawn(draw: Draw, draws: int, seed: int) -> Kind:
    """Labels drawn anew for every batch, the same ones at every product."""

    def graph(problem: Problem, leaf: Tensor, batch: Any) -> Graph | None:
        made = [_one(problem, leaf, batch, draw, seed, k) for k in range(draws)]
        kept = [g for g in made if g is not None]
        return None if not kept else _mean(kept, draws)

    return jacobian_kind(LABEL, WHAT, graph)


def _one(problem: Problem, leaf: Tensor, batch: Any, draw: Draw, seed: int, k: int) -> Graph | None:
    generator = seeds.torch_generator(seed, "fisher", batch.index, k)
    state = problem.forward.fresh(leaf.detach())
    with torch.no_grad():
        outputs = problem.forward.run_named(state, lambda: problem.terms.run(problem.model, batch))
        targets = draw(outputs, generator)
    _require_alike(targets, batch.targets)
    return empirical_fisher_parts.graph(problem, leaf, replace(batch, targets=targets))


def _mean(graphs: list[Graph], draws: int) -> Graph:
    """The draws as one graph: their outputs side by side."""

    def middle(tangents: Tangents, batched: bool) -> Tangents:
        return [g.middle([t], batched)[0] / draws for g, t in zip(graphs, tangents, strict=True)]

    def run(body: Callable[[], Any]) -> Any:
        return graphs[0].run(body)

    return Graph(
        graphs[0].leaf,
        run,
        [g.outputs[0] for g in graphs],
        lambda point: tuple(g.at(point)[0] for g in graphs),
        middle,
        lambda tangents, step: middle(tangents, False),
    )


def _require_alike(drawn: Any, given: Any) -> None:
    same = isinstance(drawn, Tensor) and isinstance(given, Tensor)
    if not same or (drawn.shape, drawn.dtype) != (given.shape, given.dtype):
        raise InvalidData(
            f"draw must return labels like the data's, {_described(given)}; "
            f"got {_described(drawn)}.",
            fix="draw(outputs, generator) gives one label for each the batch has.",
            code="E-D34",
        )


def _described(given: Any) -> str:
    if isinstance(given, Tensor):
        return f"{given.dtype} of shape {tuple(given.shape)}"
    return type(given).__name__


def kind_of(terms: Any) -> Kind:
    """The exact way for a loss; raises where the labels must be drawn."""
    loss = getattr(terms, "loss", None)
    module = getattr(loss, "module", None)
    name, why = terms.label, "its distribution of labels is not known"
    if isinstance(module, nn.CrossEntropyLoss | nn.NLLLoss | nn.BCEWithLogitsLoss):
        by_label = module.weight if not isinstance(module, nn.BCEWithLogitsLoss) else None
        by_label = getattr(module, "pos_weight", None) if by_label is None else by_label
        if by_label is None:
            return LOGARITHMIC if isinstance(module, nn.NLLLoss) else EXACT
        why = "weights that depend on the label make it no negative log likelihood"
    if isinstance(module, nn.MSELoss):
        return EXACT
    if isinstance(module, nn.PoissonNLLLoss) and module.log_input:
        return EXACT
    raise UnsupportedModel(
        f"the Fisher matrix of {name} is not known in closed form: {why}.",
        fix="pass draw(outputs, generator), which draws labels from the model's distribution, or "
        "use empirical_fisher (labels of the data) or ggn.",
        code="E-D35",
    )
