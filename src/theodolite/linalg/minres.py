"""The system ``A x = b`` of a symmetric operator in the least-squares sense, singular or not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.linalg.lanczos import BREAKDOWN
from theodolite.linalg.operator import Operator
from theodolite.linalg.products import inner, norm, product, working_dtype
from theodolite.linalg.symmetry import require_symmetry

SINGULAR = 1e-8
"""At most this share of the operator's norm may be left of a residual that counts as null."""

ROUNDINGS = 100.0
"""No tolerance is taken as smaller than this many roundings."""

Outcome = Literal["solved", "least squares", "early", "stopped"]


@dataclass(frozen=True, eq=False)
class MinimumResidual:
    r"""``solution`` x and ``residual`` :math:`b - A x`, the latter by its recurrence.

    ``outcome``: "solved" (the residual is small), "least squares" (it is a null vector: no x does
    better, and the solution is the shortest that does as well), "early" (asked for by `early`)
    or "stopped" (at ``max_products``). ``curvature`` is the lowest Rayleigh quotient of the
    residuals met, an upper bound of the smallest eigenvalue, and ``direction`` the unit vector
    that has it; NaN and zero where there was no product.
    """

    solution: Float[Tensor, " size"]
    residual: Float[Tensor, " size"]
    residual_norm: float
    outcome: Outcome
    curvature: float
    direction: Float[Tensor, " size"]
    products: int


@dataclass(frozen=True, eq=False)
class _State:
    """After ``products`` steps: the iterate, the last two Lanczos and search vectors, and the
    rotation to come; ``size`` bounds the operator's norm from below, ``first`` is ``|A b|``."""

    x: Tensor
    r: Tensor
    v: Tensor
    v_before: Tensor
    d: Tensor
    d_before: Tensor
    phi: float
    lowest: float
    direction: Tensor
    beta: float = 0.0
    cosine: float = -1.0
    sine: float = 0.0
    delta: float = 0.0
    epsilon: float = 0.0
    size: float = 0.0
    scale: float = 0.0
    first: float = math.nan
    products: int = 0


@dataclass(frozen=True, eq=False)
class _Column:
    """What one product adds to the tridiagonal matrix, after the rotations so far."""

    rest: Tensor
    beta: float
    gamma: float
    delta: float
    next_delta: float

    @property
    def normal(self) -> float:
        """``|A r| / |r|`` of the residual before this step."""
        return math.hypot(self.gamma, self.next_delta)


def minimum_residual(
    operator: Operator,
    right: Float[Tensor, " size"],
    *,
    tolerance: float = 1e-8,
    early: float = 0.0,
    operator_norm: float = 0.0,
    max_products: int | None = None,
) -> MinimumResidual:
    r"""Solve a symmetric system, indefinite and singular ones included, by MINRES.

    .. math:: x_k = \arg\min_{x \in \mathcal K_k(A, b)} \|b - A x\|, \qquad
        x_k \to A^+ b

    Parameters
    ----------
    operator
        A symmetric operator. Neighbors in the recurrence are compared: see
        `theodolite.linalg.symmetry`.
    right
        `b`, shape ``(size,)``.
    tolerance
        "solved" at :math:`\|r\| \le` `tolerance` :math:`\|b\|`. "least squares" where
        :math:`\|A r\| \le \min(` `tolerance` :math:`, 10^{-8}) \, \|A\| \|r\|`, or where it is
        below the second and no longer falls. Eigenvalues below 1e-8 of the largest count as
        zero. Below 100 roundings it counts as that.
    early
        Stop as soon as :math:`\|A r\| \le` `early` :math:`\|A b\|`: for inexact Newton steps.
    operator_norm
        The norm of `A` where it is known; else it is that of what the Krylov space sees, which
        is rounding for a `b` in the kernel.
    max_products
        By default ``4 * size``.

    Returns
    -------
    MinimumResidual
        For a system without a solution, the shortest least-squares one: the MINRES iterate has a
        part along the null vector `r`, and :math:`x - (r^\top x / r^\top r) \, r` has none.

    Notes
    -----
    One product a step, a dozen vectors of memory. There is no reorthogonalization: on badly
    conditioned systems it takes more steps than there are eigenvalues. A least-squares solution
    is off by at most :math:`\|A r\| (\lambda^{-2} + \|x\| / \lambda \|r\|)` with
    :math:`\lambda` the smallest size of an eigenvalue that is not zero; :math:`\|A r\|` gets to
    about :math:`10^{-9} \|A\| \|r\|` before rounding takes over. :math:`\|r_k\|` never grows. The
    iterate that stopped at ``max_products`` has the smallest residual of its Krylov space, not
    minimum length.
    By Liu and Roosta, the residuals show a negative quotient at the first step at which the
    Krylov space contains any such direction: ``curvature < 0`` proves that there is one, and
    ``curvature > 0`` says that there is none in the space seen. In the operator's dtype
    (float32 for half precision), inner products in float64.

    Raises `InvalidArgument` for a wrong shape (E-K21), a vector that is not finite (E-K22),
    numbers out of range (E-K23) or an operator that is not symmetric; `NotFinite`.

    References
    ----------
    Paige, Saunders (1975), SIAM J. Numer. Anal. 12.
    Choi, Paige, Saunders (2011), SIAM J. Sci. Comput. 33 (the recurrences, singular systems).
    Liu, Roosta (2022), SIAM J. Optim. 32 (negative curvature).
    Liu, Milzarek, Roosta (2023), arXiv:2309.17096 (the shortest solution).

    Examples
    --------
    >>> a = Operator.from_matrix(torch.diag(torch.tensor([2.0, -4.0, 0.0]).double()))
    >>> found = minimum_residual(a, torch.tensor([2.0, 4.0, 1.0]).double())
    >>> found.solution[:2].round(decimals=6).tolist(), found.outcome
    ([1.0, -1.0], 'least squares')
    """
    most = 4 * operator.size if max_products is None else max_products
    _require(operator, right, (tolerance, early), operator_norm, most)
    state = _begun(right.detach().to(operator.device, working_dtype(operator)), operator_norm)
    goal, length = max(tolerance, _least(state.x)), state.phi
    null, normal = None, SINGULAR
    while not _solved(state, goal, length) and state.products < most:
        column, state = _multiplied(operator, state)
        share = column.normal / state.size if state.size else 0.0
        if null is not None and share >= normal:
            break  # rounding: the step before this one was singular
        if share <= SINGULAR:
            null, normal = state, share
        if share <= min(goal, SINGULAR):
            break
        if column.normal * state.phi <= early * state.first and state.products > 1:
            return _result(state, "early", state.products)
        state = _advanced(state, column)
    if null is not None:
        return _result(_lifted(null), "least squares", state.products)
    solved = _solved(state, goal, length)
    return _result(state, "solved" if solved else "stopped", state.products)


def _begun(right: Tensor, operator_norm: float) -> _State:
    zero, length = torch.zeros_like(right), norm(right)
    unit = right / (length or 1.0)
    return _State(zero, right, unit, zero, zero, zero, length, math.nan, zero, size=operator_norm)


def _least(vector: Tensor) -> float:
    return ROUNDINGS * float(torch.finfo(vector.dtype).eps)


def _solved(state: _State, goal: float, length: float) -> bool:
    """A residual below the tolerance, or below what rounding leaves of ``A x``."""
    return state.phi <= max(goal * length, _least(state.x) * state.size * norm(state.x))


def _multiplied(operator: Operator, state: _State) -> tuple[_Column, _State]:
    """The next product and what it says about the residual so far."""
    image = product(operator, state.v, step=state.products + 1)
    scale = max(state.scale, norm(image))
    gap = abs(inner(state.v_before, image) - state.beta)
    require_symmetry(operator, gap, scale, state.products + 1)
    alpha = inner(state.v, image)
    rest = image - state.beta * state.v_before - alpha * state.v
    beta = norm(rest)
    size = max(state.size, math.hypot(state.beta, alpha, beta))
    if beta <= BREAKDOWN * float(torch.finfo(image.dtype).eps) * size:
        beta = 0.0  # what is left is rounding: the Krylov space is exhausted
    column = _Column(
        rest,
        beta,
        gamma=state.sine * state.delta - state.cosine * alpha,
        delta=state.cosine * state.delta + state.sine * alpha,
        next_delta=-state.cosine * beta,
    )
    quotient = -state.cosine * column.gamma  # r'Ar / r'r
    seen = replace(state, products=state.products + 1, size=size, scale=scale)
    if math.isnan(state.first):
        seen = replace(seen, first=column.normal * state.phi)
    if not quotient >= state.lowest:
        seen = replace(seen, lowest=quotient, direction=state.r / state.phi)
    return column, seen


def _advanced(state: _State, column: _Column) -> _State:
    """Rotate the new column and take the step that it allows."""
    radius = math.hypot(column.gamma, column.beta)
    cosine, sine = column.gamma / radius, column.beta / radius
    search = (state.v - column.delta * state.d - state.epsilon * state.d_before) / radius
    following = column.rest / column.beta if column.beta else torch.zeros_like(state.v)
    return replace(
        state,
        x=state.x + cosine * state.phi * search,
        r=sine**2 * state.r - sine * cosine * state.phi * following,
        v=following,
        v_before=state.v,
        d=search,
        d_before=state.d,
        phi=sine * state.phi,
        beta=column.beta,
        cosine=cosine,
        sine=sine,
        delta=column.next_delta,
        epsilon=state.sine * column.beta,
    )


def _lifted(state: _State) -> _State:
    """Without the part along the residual, which is a null vector."""
    share = inner(state.r, state.x) / state.phi**2
    return replace(state, x=state.x - share * state.r)


def _result(state: _State, outcome: Outcome, products: int) -> MinimumResidual:
    return MinimumResidual(
        state.x, state.r, state.phi, outcome, state.lowest, state.direction, products
    )


def _require(
    operator: Operator,
    right: Tensor,
    shares: tuple[float, float],
    operator_norm: float,
    max_products: int,
) -> None:
    if right.shape != (operator.size,):
        raise InvalidArgument(
            f"right must have shape ({operator.size},); got {tuple(right.shape)}.", code="E-K21"
        )
    if not bool(right.isfinite().all()):
        raise InvalidArgument("right must be finite; it holds NaN or infinity.", code="E-K22")
    fits = all(0 <= share < 1 for share in shares) and 0 <= operator_norm < math.inf
    if not fits or max_products < 1:
        raise InvalidArgument(
            "tolerance and early must be at least 0 and below 1, operator_norm at least 0 and "
            f"max_products at least 1; got {shares[0]}, {shares[1]}, {operator_norm} and "
            f"{max_products}.",
            code="E-K23",
        )
