"""Sharpness-aware minimization around any optimizer of torch: SAM and ASAM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from theodolite.errors import InvalidArgument, InvalidData, InvalidType
from theodolite.training.ascent import Kept, ascent_steps, check_group

Closure = Callable[[], Any]


class SharpnessAware(Optimizer):
    """What SAM and ASAM share; not to be built by itself.

    Parameter groups (with ``rho``, ``adaptive``, ``eta``) and state are the base's own objects.
    """

    base: Optimizer

    def __init__(self, base: object, model: nn.Module | None, settings: dict[str, Any]) -> None:
        base = _checked_base(base, model)
        self._model, self._settings = model, settings
        super().__init__([dict(g) for g in base.param_groups], {**base.defaults, **settings})
        self.base = base
        self._kept: Kept | None = None
        self._adopt()
        base.register_load_state_dict_post_hook(lambda _: self._adopt())

    @property
    def perturbed(self) -> bool:
        """Whether the weights are those uphill: between `first_step` and `second_step`."""
        return self._kept is not None

    def _adopt(self) -> None:
        """See the base optimizer's groups and state as our own; fill in what a group leaves out."""
        for group in self.base.param_groups:
            for name, value in self._settings.items():
                group.setdefault(name, value)
            check_group(group, type(self).__name__)
        self.param_groups, self.state = self.base.param_groups, self.base.state

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group to the base optimizer; it may bring its own ``rho`` and ``adaptive``."""
        if not hasattr(self, "base"):  # torch's own __init__
            super().add_param_group(param_group)
            return
        check_group({**self._settings, **param_group}, type(self).__name__)
        self.base.add_param_group(param_group)
        self._adopt()

    def state_dict(self) -> dict[str, Any]:
        """The base optimizer's state dict; refused between the two steps (E-W03)."""
        self._refuse_perturbed("state_dict")
        return self.base.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` gave, or the state of a plain base optimizer."""
        self._refuse_perturbed("load_state_dict")
        self.base.load_state_dict(state_dict)

    @torch.no_grad()
    def first_step(self) -> None:
        """Move the weights uphill by ``epsilon`` and clear the gradients.

        Call after the first backward pass (or several that accumulate); then do the same passes
        again and call `second_step`. Raises `InvalidArgument` when called twice (E-W03),
        `InvalidData` without any gradient (E-W04) or for a sparse one (E-W01).
        """
        self._refuse_perturbed("first_step")
        self._need_gradients("first_step")
        steps = ascent_steps(self.param_groups)
        kept = Kept.of([p for p, _ in steps], self._model)
        self._kept = kept
        try:
            for p, step in steps:
                p.add_(step)
        except BaseException:
            self.undo()
            raise
        self.zero_grad(set_to_none=True)

    @torch.no_grad()
    def second_step(self) -> None:
        """Put the weights and buffers back, then let the base optimizer step.

        The gradients are those of the perturbed weights; weight decay sees the true ones. Raises
        `InvalidArgument` without a `first_step` before (E-W03), `InvalidData` without a gradient
        (E-W04); the weights are put back in either case.
        """
        if self._kept is None:
            raise InvalidArgument(
                "second_step was called without first_step.",
                where=type(self).__name__,
                fix="call loss.backward(), first_step(), loss.backward() again, second_step().",
                code="E-W03",
            )
        self.undo()
        self._need_gradients("second_step")
        self.base.step()
        self._opt_called = True  # what a scheduler looks for: an update was made

    def undo(self) -> None:
        """Put weights and buffers back bit for bit and make no step; harmless at any time."""
        # Twice: an interrupt inside the first pass is followed by a whole one.
        if self._kept is None:
            return
        try:
            self._kept.put_back()
        finally:
            self._kept.put_back()
            self._kept = None

    @torch.no_grad()
    def step(self, closure: Closure | Sequence[Closure] | None = None) -> Any:
        """One update; returns what the closure returned at the true weights.

        ``closure`` computes the loss, calls ``backward()`` and returns the loss; it is called
        twice. Gradients are cleared before each call, so what was accumulated earlier is not
        used: accumulate inside the closure. A sequence of closures, one a micro-batch, makes an
        m-SAM step: each has its own step uphill, the gradients from there are added up (scale
        the losses as for accumulation) and a list of losses is returned.

        Whatever a closure raises, Ctrl-C too, the weights are as before the call. Raises
        `InvalidArgument` without a closure, as ``GradScaler.step`` calls it (E-W02), or between
        the two steps (E-W03).
        """
        if closure is None or not (callable(closure) or len(closure)):
            raise InvalidArgument(
                f"{type(self).__name__}.step needs a closure; got none.",
                why="a GradScaler or a loop that calls step() after one backward pass gives one "
                "gradient, and an update takes two.",
                fix="pass a closure, or call first_step() and second_step().",
                code="E-W02",
            )
        self._refuse_perturbed("step")
        if callable(closure):
            loss: Any = self._gradients_uphill(closure)
        else:
            loss = self._summed(closure)
        self.base.step()
        return loss

    def _gradients_uphill(self, closure: Closure) -> Any:
        """Leave the gradients at the perturbed weights; the weights are back afterwards."""
        self.zero_grad(set_to_none=True)
        try:
            try:
                with torch.enable_grad():
                    loss = closure()
                self.first_step()
                with torch.enable_grad():
                    closure()
            finally:
                self.undo()
        finally:  # for an interrupt on the way into the first one
            self.undo()
        self._need_gradients("step")
        return loss

    def _summed(self, closures: Sequence[Closure]) -> list[Any]:
        total: dict[Tensor, Tensor] = {}
        losses = []
        for closure in closures:
            losses.append(self._gradients_uphill(closure))
            for p in self._parameters():
                if p.grad is not None:
                    total[p] = total[p] + p.grad if p in total else p.grad
        for p in self._parameters():
            p.grad = total.get(p)
        return losses

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _need_gradients(self, call: str) -> None:
        if all(p.grad is None for p in self._parameters()):
            raise InvalidData(
                f"no parameter has a gradient at {call}.",
                where=type(self).__name__,
                fix="call loss.backward() before each of the two steps, and in the closure.",
                code="E-W04",
            )

    def _refuse_perturbed(self, call: str) -> None:
        if self._kept is not None:
            raise InvalidArgument(
                f"{call} was called between first_step and second_step.",
                where=type(self).__name__,
                why="the weights are those of the worst point nearby, not the network's.",
                fix="call second_step(), or undo() to give the step up.",
                code="E-W03",
            )


@final
class SAM(SharpnessAware):
    r"""Sharpness-aware minimization around any base optimizer.

    .. math:: w \leftarrow \operatorname{base}\bigl(w, \nabla L(w + \epsilon)\bigr), \qquad
              \epsilon = \rho \nabla L(w) / \|\nabla L(w)\|_2

    Parameters
    ----------
    base
        An optimizer of torch over the parameters; any whose ``step()`` needs no closure. A group
        may hold its own ``"rho"``; the norm is always that over all groups.
    model
        The network, whose buffers the second pass must not move: BatchNorm's running statistics
        see the first pass only. None where the parameters belong to no module.
    rho
        Radius of the ball, in the units of the weights (2-norm over all of them).

    Raises
    ------
    InvalidArgument
        For a ``rho`` that is negative or not finite (E-W05).
    InvalidType
        For a base that is no optimizer, or one that wants a closure itself, or a model that has
        none of its parameters (E-W06).

    Notes
    -----
    Costs two forward and two backward passes an update, and a copy of weights and buffers in
    memory. Dropout draws anew in the second pass unless the closure seeds it. With gradients
    that are not finite the perturbation is NaN and so is the update, as for any optimizer; the
    weights are put back. Neither sharded tensors nor whether the two passes see the same data are
    checked. Foret, Kleiner, Mobahi, Neyshabur (2021), arXiv:2010.01412.

    Examples
    --------
    >>> w = nn.Parameter(torch.tensor([2.0]))
    >>> optimizer = SAM(torch.optim.SGD([w], lr=0.1), None, rho=0.5)
    >>> def closure():
    ...     loss = 0.5 * (w**2).sum()
    ...     loss.backward()
    ...     return loss.detach()
    >>> float(optimizer.step(closure)), round(w.item(), 6)  # 2 - 0.1 * (2 + 0.5)
    (2.0, 1.75)
    """

    def __init__(self, base: object, model: nn.Module | None, *, rho: float | int = 0.05) -> None:
        super().__init__(base, model, {"rho": rho, "adaptive": False, "eta": 0.0})


@final
class ASAM(SharpnessAware):
    r"""Adaptive sharpness-aware minimization: SAM whose ball is measured in units of the weights.

    .. math:: \epsilon = \rho \, T_w^2 g / \|T_w g\|_2, \qquad T_w = \operatorname{diag}(|w| + \eta)

    With ``eta=0`` the perturbed network does not change when a layer is scaled up and the next
    one down. Parameters, costs and errors are those of `SAM`; ``eta`` is a size of weights below
    which they count as this large. Every parameter is scaled, biases too; the authors' code
    scales weights alone: put biases into a group with ``"adaptive": False`` for that. Kwon, Kim,
    Park, Choi (2021), arXiv:2102.11600.

    >>> w = nn.Parameter(torch.tensor([2.0]))
    >>> optimizer = ASAM(torch.optim.SGD([w], lr=0.1), None, rho=0.5, eta=0.0)
    >>> (0.5 * w**2).sum().backward()
    >>> optimizer.first_step()
    >>> w.item()  # 2 + 0.5 * 2 * 2 * 2 / (2 * 2)
    3.0
    >>> optimizer.undo()
    """

    def __init__(
        self,
        base: object,
        model: nn.Module | None,
        *,
        rho: float | int = 0.5,
        eta: float | int = 0.01,
    ) -> None:
        super().__init__(base, model, {"rho": rho, "adaptive": True, "eta": eta})


def _checked_base(base: object, model: nn.Module | None) -> Optimizer:
    refused = isinstance(base, SharpnessAware | torch.optim.LBFGS)
    if not isinstance(base, Optimizer) or refused:
        raise InvalidType(
            "base must be an optimizer of torch whose step() needs no closure; "
            f"got {base.__name__ if isinstance(base, type) else type(base).__name__}.",
            fix="pass an instance, such as torch.optim.SGD(model.parameters(), lr=0.1).",
            code="E-W06",
        )
    ours = {id(p) for group in base.param_groups for p in group["params"]}
    if model is not None and not any(id(p) in ours for p in model.parameters()):
        raise InvalidType(
            "model has none of the parameters of base.",
            why="the buffers of another network would be kept in its place.",
            fix="build base over model.parameters(), after model is on its device.",
            code="E-W06",
        )
    return base
