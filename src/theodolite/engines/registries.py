"""What modules hold besides the values of their tensors: attributes, hooks, children, by reference.

Compared by identity, which takes microseconds a module, and put back where something changed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

SMALL = 1 << 20
"""Bytes up to which the values of a buffer are recorded as well."""


def attributes_kept(model: nn.Module) -> Callable[[], None]:
    """A function that puts the plain attributes and registries of all modules back to what they
    are now: for many evaluations under one guard, each of which must start like the first.
    """
    return Registries(model.modules()).restore


class Registries:
    """Plain attributes and registries of modules, by reference.

    Most bodies change nothing, so what is there is first compared by identity, in one go.
    ``tensors`` are the distinct parameters and buffers, ``buffers`` those whose values are small.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        modules = tuple(modules)
        held_by = [(*m._parameters.values(), *m._buffers.values()) for m in modules]
        self.tensors = list({id(t): t for own in held_by for t in own if t is not None}.values())
        self.buffers = [
            t
            for m in modules
            for t in m._buffers.values()
            if t is not None and not t.is_inference() and t.numel() * t.element_size() <= SMALL
        ]
        self.record = [(m, _attributes(m), _mappings(m)) for m in modules]
        held = [(m.__dict__[k], v) for m, _, mappings in self.record for k, v in mappings.items()]
        self.marks = [_Mark(m.__dict__, attributes) for m, attributes, _ in self.record]
        self.marks += [_Mark(own, content) for own, content in held if content]
        self.empty = [own for own, content in held if not content]  # hooks, mostly: the great part

    def holds(self) -> bool:
        """Whether every module still holds the same objects, and no others."""
        return not any(self.empty) and all(mark.holds() for mark in self.marks)

    def restore(self) -> None:
        if not self.holds():
            for module, attributes, mappings in self.record:
                _restore_module(module, attributes, mappings)


class Known:
    """What was last seen of the modules of one model; copies and pickles begin anew."""

    def __init__(self) -> None:
        self._roots: tuple[nn.Module, ...] = ()
        self._seen: Registries | None = None

    def of(self, roots: tuple[nn.Module, ...]) -> Registries:
        """The registries of all modules in `roots`: those seen last, if they still hold."""
        seen = self._seen
        same = len(roots) == len(self._roots) and all(map(operator.is_, roots, self._roots))
        if seen is None or not same or not seen.holds():
            seen = Registries({id(m): m for root in roots for m in root.modules()}.values())
            self._roots, self._seen = roots, seen
        return seen

    def __reduce__(self) -> tuple[type[Known], tuple[()]]:
        return Known, ()


class _Mark:
    """A dictionary and the identities of what it held; the copy keeps those objects alive."""

    __slots__ = ("content", "ids", "own")

    def __init__(self, own: dict[Any, Any], content: dict[Any, Any]) -> None:
        self.own, self.content = own, content
        self.ids = list(map(id, (*content, *content.values())))

    def holds(self) -> bool:
        """Whether the dictionary holds the same objects under the same keys, in the same order."""
        own = self.own
        return len(own) == len(self.content) and list(map(id, (*own, *own.values()))) == self.ids


def _attributes(module: nn.Module) -> dict[str, Any]:
    """The plain attributes of one module (counters, flags, cached tensors), by reference."""
    return dict(module.__dict__)


def _mappings(module: nn.Module) -> dict[str, dict[Any, Any]]:
    """The contents of a module's own registries: parameters, buffers, children, hooks."""
    return {k: dict(v) for k, v in module.__dict__.items() if k[0] == "_" and isinstance(v, dict)}


def _restore_module(
    module: nn.Module, attributes: dict[str, Any], mappings: dict[str, dict[Any, Any]]
) -> None:
    own = module.__dict__
    for key in [k for k in own if k not in attributes]:
        del own[key]
    for key, value in attributes.items():
        if key not in own or own[key] is not value:
            own[key] = value
    for key, content in mappings.items():
        registry = own[key]
        same = len(registry) == len(content) and all(
            registry.get(k, registry) is v for k, v in content.items()
        )
        if not same:
            registry.clear()
            registry.update(content)
