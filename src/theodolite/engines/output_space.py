r"""The trace of a Gauss-Newton matrix seen from the outputs, batch by batch.

With :math:`G = J^\top H J` and independent signs :math:`z` of the outputs,

.. math:: \operatorname{tr} G = \mathbb E \, \langle J^\top z, \, J^\top H z \rangle
          = \mathbb E \, \| J^\top B z \|^2, \qquad B B^\top = H .

The second form has far less spread where `H` is small for most examples. `B` is known for
losses that are sums over elements, where `H` is diagonal, and for softmax, where it is
:math:`\operatorname{diag}(\sqrt p) - p \sqrt p^\top`. Which one applies is not read off the name
of a loss: the candidate is compared with a product of `H`.

Where no example sees another, the form is taken example by example and summed: products of
different examples then add nothing to the spread. Without a root an example's form is
:math:`\tfrac14 (\| J^\top (z + Hz) \|^2 - \| J^\top (z - Hz) \|^2)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from theodolite import seeds
from theodolite.engines.gauss_newton_parts import graph
from theodolite.engines.jacobian_parts import Graph, Tangents
from theodolite.engines.output_norms import ROWS, OutputNorms
from theodolite.engines.problem import Problem, section

Root = Callable[[Tensor], Tensor]
"""`B` times rows of signs, shape ``(k, *outputs)``."""

SECTION = 256
"""Examples that share a forward pass at most, where they are apart."""

TOGETHER = 8
"""Examples that share a graph where single ones are apart but their gradients go by a loop: the
fewer meet, the less chance products of different examples add to the spread."""


@dataclass(frozen=True, eq=False)
class Pulled:
    """One batch's quadratic forms; ``rooted`` says by which of the two."""

    graph: Graph
    root: Root | None

    def forms(self, signs: Tangents, *, batched: bool) -> Tensor:
        """The form of each row of signs, float64."""
        if self.root is not None:
            back = self.graph.back([self.root(signs[0])], batched)
            return back.double().square().sum(1)
        images = self.graph.middle(signs, batched)
        left, right = (self.graph.back(rows, batched) for rows in (signs, images))
        return (left.double() * right.double()).sum(1)

    def apart(
        self, norms: OutputNorms, part: Any, signs: Tangents
    ) -> Float64[Tensor, "row example"] | None:
        """The same by example, for `part`, the batch itself; None where `norms` has none."""
        if not all(o.dim() and len(o) == part.examples for o in self.graph.outputs):
            return None
        places = self.graph.places
        if self.root is not None:
            return norms.squares(part, places, [self.root(signs[0])])
        both = (signs, self.graph.middle(signs, False))
        sizes = [float(torch.stack([t.double().square().sum() for t in r]).sum()) for r in both]
        even = (sizes[1] / sizes[0]) ** 0.25 if min(sizes) > 0 else 1.0
        pairs = list(zip(*both, strict=True))
        up, down = (
            norms.squares(part, places, [even * z + way * i / even for z, i in pairs])
            for way in (1, -1)
        )
        return None if up is None or down is None else (up - down) / 4


def pulled_back(problem: Problem, leaf: Tensor, batch: Any) -> Pulled | None:
    """A batch with its graph and, where there is one, its root; None where it counts for nothing.

    Call inside the problem's guard, with gradients.
    """
    made = graph(problem, leaf, batch)
    if made is None or made.zero:
        return None
    return Pulled(made, root_of(made))


def root_of(made: Graph) -> Root | None:
    """A root of the loss's curvature in the outputs, proved on one product; None if none is known.

    A loss that curves downward somewhere has no root.
    """
    if len(made.outputs) != 1:
        return None
    outputs = made.outputs[0].detach()
    generator = seeds.torch_generator(0, "root")
    probe = torch.randn(outputs.shape, generator=generator, dtype=torch.float64).to(outputs)
    image = made.middle([probe[None]], False)[0][0]
    diagonal = made.middle([torch.ones_like(outputs)[None]], False)[0][0]
    if _alike(diagonal * probe, image) and bool((diagonal >= 0).all()):
        scale = diagonal.sqrt()
        return lambda z: scale * z
    return _softmax_root(outputs, probe, image)


def _softmax_root(outputs: Tensor, probe: Tensor, image: Tensor) -> Root | None:
    """The root of shares times (diag p - p p') along the dimension of the classes."""
    if outputs.dim() < 2:
        return None
    p = outputs.softmax(1)
    curved = p * probe - p * (p * probe).sum(1, keepdim=True)
    spread = (probe * curved).sum(1, keepdim=True)
    shares = (probe * image).sum(1, keepdim=True) / torch.where(spread == 0, 1, spread)
    if not _alike(shares * curved, image) or bool((shares < 0).any()):
        return None
    half, weight = p.sqrt(), shares.sqrt()

    def root(z: Tensor) -> Tensor:
        return weight * (half * z - p * (half * z).sum(2, keepdim=True))

    return root


def _alike(a: Tensor, b: Tensor) -> bool:
    size = float(torch.linalg.vector_norm(b.double()))
    allowed = 1e-9 if b.dtype == torch.float64 else 1e-4
    return size > 0 and float(torch.linalg.vector_norm((a - b).double())) <= allowed * size


def signs_of(
    made: Graph, seed: int, stream: str, probes: range, place: tuple[int, int]
) -> Tangents:
    """Random signs of a batch's outputs, a row a probe; each depends on its own number alone."""

    def one(probe: int) -> Tangents:
        generator = seeds.torch_generator(seed, "output_space", stream, probe, *place)
        return [_signs(o, generator) for o in made.outputs]

    return [torch.stack(column) for column in zip(*(one(p) for p in probes), strict=True)]


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    bits = torch.randint(2, like.shape, generator=generator, dtype=torch.int8)
    return (2 * bits - 1).to(like)


def sampled(
    problem: Problem, theta: Tensor, seed: int, stream: str, probes: range, *, apart: bool
) -> Tensor:
    """Unbiased samples of the trace, one a probe, float64; inside the guard.

    A forward pass over the data for `ROWS` of them, one or two backward passes for each.
    `apart` says that no example sees another.
    """
    leaf = theta.detach().clone().requires_grad_(True)
    total = torch.zeros(len(probes), dtype=torch.float64, device=theta.device)
    norms = OutputNorms(problem, leaf)

    def signed(made: Graph, place: tuple[int, int]) -> Iterator[Tangents]:
        for first in range(0, len(probes), ROWS):
            yield signs_of(made, seed, stream, probes[first : first + ROWS], place)

    def pulled(part: Any, place: tuple[int, int]) -> Tensor:
        made = pulled_back(problem, leaf, part)
        if made is None:
            return torch.zeros_like(total)
        return torch.cat([made.forms(z, batched=False) for z in signed(made.graph, place)])

    for batch in problem.data:
        for place, part in enumerate(_sections(batch, SECTION) if apart else (batch,)):
            at = (batch.index, place)
            made = pulled_back(problem, leaf, part)
            if made is None:
                continue
            forms = [made.apart(norms, part, z) for z in signed(made.graph, at)] if apart else []
            if forms and not any(f is None for f in forms):
                total += torch.cat([f.sum(1) for f in forms if f is not None])
                continue
            for k, few in enumerate(_sections(part, TOGETHER) if apart else (part,)):
                total += pulled(few, (batch.index, place * SECTION + k))
    return total


def outputs_of(problem: Problem, theta: Tensor) -> int:
    """The most outputs an example has, by the first of each batch: backward passes of `exact`."""
    leaf, most = theta.detach().clone().requires_grad_(True), 0
    for batch in problem.data:
        made = graph(problem, leaf, section(batch, 0, 1))
        most = max(most, 0 if made is None else sum(o.numel() for o in made.outputs))
    return most


def exact(problem: Problem, theta: Tensor, *, apart: bool) -> float:
    """The trace without a sample; inside the guard.

    A backward pass for every output an example has, all examples side by side, or for every
    output of every example where single ones go by a loop; where examples are not `apart` (batch
    statistics), one for every output of a batch.
    """
    leaf, total = theta.detach().clone().requires_grad_(True), 0.0
    norms = OutputNorms(problem, leaf)
    for batch in problem.data:
        for part in _sections(batch, SECTION) if apart else (batch,):
            made = pulled_back(problem, leaf, part)
            if made is None:
                continue
            found = _summed_apart(made, norms, part) if apart else None
            if found is None:
                found = 0.0
                for one in _sections(part, 1) if apart else (part,):
                    made = pulled_back(problem, leaf, one)
                    if made is not None:
                        forms = (made.forms(u, batched=False) for u in _units(made.graph.outputs))
                        found += sum(float(f) for f in forms)
            total += found
    return total


def _summed_apart(made: Pulled, norms: OutputNorms, part: Any) -> float | None:
    """The sum of all examples' forms over unit vectors of their outputs."""
    total = 0.0
    shapes = [o[:1] if len(o) else o for o in made.graph.outputs]
    units = list(_units(shapes))
    for first in range(0, len(units), ROWS):
        columns = zip(*units[first : first + ROWS], strict=True)
        rows = [torch.cat(c).expand(-1, part.examples, *c[0].shape[2:]) for c in columns]
        found = made.apart(norms, part, rows)
        if found is None:
            return None
        total += float(found.sum())
    return total


def _sections(batch: Any, size: int) -> Iterator[Any]:
    return (section(batch, k, k + size) for k in range(0, batch.examples, size))


def _units(outputs: Tangents) -> Iterator[Tangents]:
    """Unit vectors of all outputs, one row at a time."""
    for k, output in enumerate(outputs):
        for place in range(output.numel()):
            rows = [torch.zeros((1, *o.shape), dtype=o.dtype, device=o.device) for o in outputs]
            rows[k].view(-1)[place] = 1
            yield rows
