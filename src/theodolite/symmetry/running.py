"""A float64 copy of a model, its example inputs, and its outputs at other values of its state."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from theodolite.errors import InvalidArgument, InvalidType, UnsupportedModel
from theodolite.seeds import torch_generator
from theodolite.symmetry.tracing import Inputs, tensors_in

NARROW = (torch.float16, torch.bfloat16, torch.float32)
STATISTICS = ("running_mean", "running_var")
SPECTRAL = ("_u", "_v", "weight_u", "weight_v")
SPREAD = 0.1


class _Wide(TorchDispatchMode):
    """Keeps float64 where a model asks for a narrower type, as norms of language models do."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if kwargs.get("dtype") in NARROW:
            kwargs = {**kwargs, "dtype": torch.float64}
        return func(*args, **kwargs)


@dataclass(frozen=True, eq=False)
class Copy:
    """The model in float64 and eval mode, with inputs on its device."""

    model: nn.Module
    inputs: Inputs

    def tensors(self) -> dict[str, Tensor]:
        """Every parameter and buffer by each of its names."""
        named = dict(self.model.named_parameters(remove_duplicate=False))
        return {**named, **dict(self.model.named_buffers(remove_duplicate=False))}

    def outputs(self, state: Mapping[str, Tensor], *, grad: bool = False) -> list[Tensor]:
        """What the model returns with `state` in place of its own, with `grad` for derivatives."""
        with torch.set_grad_enabled(grad), _Wide():  # type: ignore[no-untyped-call]
            args, kwargs = self.inputs.args, self.inputs.kwargs
            first = {id(tensor): name for name, tensor in reversed([*self.tensors().items()])}
            whole = {name: state[name].clone() for name in first.values()}
            try:
                out = torch.func.functional_call(self.model, whole, args, kwargs, tie_weights=True)
            except InvalidArgument:
                raise  # of what picks the outputs
            except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
                raise UnsupportedModel(
                    f"{type(self.model).__name__} does not run on the example inputs in float64: "
                    f"{' '.join(str(error).split())[:200]}",
                    where="symmetries",
                    why="permutations are proved in float64, and a kernel of the model may know "
                    "narrower types only.",
                    fix="call model.double() on these inputs by hand; choose another "
                    "implementation of the layer that fails (of experts, of attention).",
                    code="E-A53",
                ) from error
        return [t if grad else t.detach() for t in tensors_in(out)]


def wide_copy(model: nn.Module, example_inputs: Any, outputs: Any = None) -> Copy:
    """A copy to work on, which returns what `outputs` picks of what the model returns.

    Raises where the model, the inputs or `outputs` cannot be used.
    """
    try:
        copied = copy.deepcopy(model, _computed(model))
    except (RuntimeError, TypeError, ValueError) as error:
        raise UnsupportedModel(
            f"{type(model).__name__} cannot be copied: {error}",
            where="symmetries",
            why="permutations are proved on a float64 copy, so that the model stays as it is.",
            fix="remove what cannot be copied from the model (open files, old-style weight norm).",
            code="E-A41",
        ) from error
    for parameter in copied.parameters():
        parameter.requires_grad_(False)
    if outputs is not None:
        copied.register_forward_hook(_picking(outputs))
    return Copy(copied.double().eval(), _inputs(example_inputs))


def _picking(outputs: Any) -> Callable[[nn.Module, Any, Any], Any]:
    """A hook that hands on what `outputs` picks."""
    if not callable(outputs):
        raise InvalidType(
            f"outputs must be a function of what the model returns; got {type(outputs).__name__}.",
            where="symmetries",
            fix="pass outputs=lambda returned: returned.logits, for one.",
            code="E-A64",
        )

    def picked(_: nn.Module, __: Any, returned: Any) -> Any:
        try:
            return outputs(returned)
        except (AttributeError, KeyError, IndexError, TypeError) as error:
            raise InvalidArgument(
                f"outputs cannot be taken from what the model returned, a "
                f"{type(returned).__name__}: {error}",
                where="symmetries",
                fix="call the model on the example inputs and look at what it returns.",
                code="E-A65",
            ) from error

    return picked


def _computed(model: nn.Module) -> dict[int, Any]:
    """Plain tensors with a history, as pruning leaves them, for `deepcopy` to take as copied."""
    held = [v for module in model.modules() for v in vars(module).values() if isinstance(v, Tensor)]
    return {id(t): t.detach().clone() for t in held if not t.is_leaf}


def _inputs(given: Any) -> Inputs:
    if isinstance(given, Mapping):
        made = Inputs((), dict(given))
    else:
        made = Inputs(tuple(given) if isinstance(given, tuple | list) else (given,), {})
    if not tensors_in([made.args, made.kwargs]):
        raise InvalidArgument(
            f"example_inputs must hold at least one tensor; got {type(given).__name__}.",
            where="symmetries",
            fix="pass a tensor, a tuple of the model's arguments, or a dict of its keywords.",
            code="E-A42",
        )
    return Inputs(_widened(made.args), _widened(made.kwargs))


def _widened(tree: Any) -> Any:
    if isinstance(tree, Tensor):
        return tree.detach().clone().double() if tree.is_floating_point() else tree.detach().clone()
    return torch.utils._pytree.tree_map(lambda x: _widened(x) if isinstance(x, Tensor) else x, tree)


def movable(model: nn.Module) -> set[str]:
    """The buffers that belong to the units and move with them, not with the architecture.

    Running statistics of norms, vectors of spectral norms, and masks of ``torch.nn.utils.prune``.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    names = set()
    for name, _ in model.named_buffers(remove_duplicate=False):
        last = name.rpartition(".")[2]
        pruned = name.endswith("_mask") and name[:-5] + "_orig" in parameters
        if last in (*STATISTICS, *SPECTRAL) or pruned:
            names.add(name)
    return names


def generic(copy_: Copy, moving: set[str], seed: int) -> dict[str, Tensor]:
    """The state moved off special values, so that zeros and ones cannot hide an error."""
    made: dict[str, Tensor] = {}
    done: dict[int, Tensor] = {}
    for name, tensor in copy_.tensors().items():
        if id(tensor) not in done:
            done[id(tensor)] = _moved(copy_, name, tensor, moving, seed)
        made[name] = done[id(tensor)]
    return made


def _moved(copy_: Copy, name: str, tensor: Tensor, moving: set[str], seed: int) -> Tensor:
    parameter = isinstance(tensor, nn.Parameter)
    if not tensor.is_floating_point() or not (parameter or name in moving):
        return tensor.detach().clone()
    generator = torch_generator(seed, "generic", name)
    noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(tensor.device)
    if name.endswith("_mask"):
        return (noise > 0).double()
    if name.endswith("running_var"):
        return tensor.detach() * (SPREAD * noise).exp() + (tensor == 0) * SPREAD * noise.abs()
    size = tensor.detach().square().mean().sqrt() if tensor.numel() else tensor.new_tensor(0.0)
    return tensor.detach() + SPREAD * noise * (size if size > SPREAD / 10 else 1.0)


def relative_change(before: list[Tensor], after: list[Tensor]) -> float:
    """The largest change of an output relative to the largest entry of its tensor."""
    worst = 0.0
    for old, new in zip(before, after, strict=True):
        if old.shape != new.shape:
            return float("inf")
        if not (old.is_floating_point() or old.is_complex()):
            worst = max(worst, float((old != new).any()))
            continue
        finite = torch.isfinite(old) & torch.isfinite(new)
        if not torch.equal(old[~finite].nan_to_num(), new[~finite].nan_to_num()):
            return float("inf")
        if finite.any():
            size = float(old[finite].abs().max())
            gap = float((old[finite] - new[finite]).abs().max())
            worst = max(worst, gap / size if size else gap)
    return worst
