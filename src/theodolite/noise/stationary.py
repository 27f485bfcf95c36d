"""Where SGD comes to rest on a quadratic loss: the covariance of its parameters, exactly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float64
from scipy.linalg import solve_continuous_lyapunov, solve_discrete_lyapunov
from torch import Tensor

from theodolite import results
from theodolite.errors import InvalidArgument
from theodolite.noise.arguments import number
from theodolite.noise.temperatures import batch_noise_factor

Matrix = Float64[np.ndarray, "params params"]

ROUNDS = 10_000
"""Rounds of noise made by noise that are added up at most."""

FAR = 1e6
"""Noise that grows, and has made so many times itself, goes on without end."""

LARGEST = 1000
"""Parameters at most: everything is dense."""


def stationary_covariance(
    hessian: Any,
    covariance: Any,
    *,
    rate: float | int,
    batch_size: int = 1,
    momentum: float | int = 0.0,
    examples: int | None = None,
    example_hessians: Any = None,
) -> xr.Dataset:
    r"""The stationary covariance of the parameters under SGD on a quadratic loss, without limits.

    .. math:: v_{t+1} = m v_t + H (\theta_t - \theta^*) + \xi_t, \qquad
        \theta_{t+1} = \theta_t - \eta v_{t+1}, \qquad \operatorname{Cov} \xi_t = \frac1B C

    whose joint covariance Z of parameters and velocity solves :math:`Z = A Z A^\top + G
    \operatorname{Cov}(\xi) G^\top` with :math:`A = \begin{pmatrix} I - \eta H & -\eta m I \\ H &
    m I \end{pmatrix}`, :math:`G = (-\eta I, I)^\top`. Along a common eigenvector of H (value
    :math:`\lambda`) and C (value c) the variance is

    .. math:: S = \frac{\eta\, c}{B\, \lambda\, (1 - m)}
        \cdot \frac{1 + m}{2 (1 + m) - \eta \lambda}
        \;\to\; \frac{\eta}{2 B (1 - m)} \frac{c}{\lambda} \quad (\eta \lambda \to 0),

    the temperature :math:`\eta / (2 B (1 - m))` times :math:`C H^{-1}`.

    Parameters
    ----------
    hessian
        H, shape ``(params, params)``, symmetric and positive definite.
    covariance
        C, the covariance of the gradient of one example at the minimum (divisor N - 1), of the
        same shape, symmetric and positive semidefinite.
    rate, batch_size, momentum
        :math:`\eta`, B and m of ``torch.optim.SGD``.
    examples
        N, where batches are drawn without replacement from so many, anew at every step: the
        factor 1/B becomes 1/B - 1/N. By default with replacement, or from a stream.
    example_hessians
        Hessians of the examples' own losses, shape ``(example, params, params)``: noise then
        grows with the distance from the minimum, as in linear regression
        (:math:`H_i = x_i x_i^\top` for half the squared error), and Cov of the noise is
        :math:`\frac1B (C + \frac{1}{N - 1} \sum_i (H_i - H) S (H_i - H))`.

    Returns
    -------
    xarray.Dataset
        ``covariance(row, column)``, S; ``small_rate(row, column)``, the solution of
        :math:`H S + S H = \frac{\eta}{1 - m} \operatorname{Cov} \xi` with C alone;
        ``excess_loss`` :math:`\frac12 \operatorname{tr} H S` and ``small_rate_excess_loss``, which
        is `stationary_excess_loss`; ``growth``, by how much noise of one round makes noise in the
        next (0 without `example_hessians`; from 1 on there is no stationary state).

    Notes
    -----
    Dense: about :math:`100\,(2 \cdot \text{params})^3` operations, and with `example_hessians` that
    many for each of the ``log(tolerance) / log(growth)`` rounds. Not checked: that C and the
    Hessians belong together; that a loss is quadratic over the width of S. With replacement C
    has divisor N - 1 as well, so that both cases agree with the noise of `gradient_noise_scale`:
    for draws with replacement from N examples pass C times (N - 1) / N, and the same is done here
    to the part from `example_hessians`.

    Raises `InvalidArgument` for matrices of another kind (E-U49), a rate beyond the threshold of
    the update rule (E-U50), noise that grows by itself (E-U51).

    References
    ----------
    Mandt, Hoffman, Blei (2017), JMLR 18 (small rates). Liu, Ziyin, Ueda (2021), arXiv:2012.03636
    (any rate, momentum). Ziyin, Liu, Mori, Ueda (2022), arXiv:2102.05375 (regression).

    Examples
    --------
    >>> found = stationary_covariance([[2.0]], [[4.0]], rate=0.5)  # 0.5 * 4 / (2 (2 - 1))
    >>> float(found.covariance[0, 0]), float(found.small_rate[0, 0]), float(found.excess_loss)
    (1.0, 0.5, 1.0)
    """
    h, c = _symmetric(hessian, "hessian"), _symmetric(covariance, "covariance")
    if h.shape != c.shape:
        raise _refused(f"hessian and covariance must have one shape; got {h.shape} and {c.shape}")
    eta = number(rate, "rate", above=0)
    m = number(momentum, "momentum", above=-1e-300, below=1)
    lowest, largest = (float(v) for v in np.linalg.eigvalsh(h)[[0, -1]])
    if lowest <= 0:
        raise _refused(
            f"hessian must be positive definite; its smallest eigenvalue is {lowest:.3g}",
            why="along a flat direction nothing holds the parameters: their variance grows.",
        )
    if float(np.linalg.eigvalsh(c)[0]) < -1e-9 * max(float(np.trace(c)), 1e-300):
        raise _refused("covariance must have no negative eigenvalue")
    if eta * largest >= 2 + 2 * m:
        raise InvalidArgument(
            f"at rate {eta:g} the largest eigenvalue {largest:.4g} is not below the threshold "
            f"{(2 + 2 * m) / eta:.4g}: SGD diverges.",
            fix="pass a smaller rate.",
            code="E-U50",
        )
    factor = batch_noise_factor(batch_size, examples)
    own = None if example_hessians is None else _deviations(example_hessians, h, examples)
    found, growth = _solved(h, factor * c, factor, own, eta, m)
    small = solve_continuous_lyapunov(h, eta / (1 - m) * factor * c)
    words = "covariance of the parameters"
    axes = ("row", "column")
    return results.dataset(
        "stationary_covariance",
        {
            "covariance": (axes, found, {"long_name": words}),
            "small_rate": (axes, small, {"long_name": f"{words}, to first order in the rate"}),
            "excess_loss": ((), np.trace(h @ found) / 2, {"long_name": LOSS}),
            "small_rate_excess_loss": (
                (),
                np.trace(h @ small) / 2,
                {"long_name": f"{LOSS}, to first order in the rate"},
            ),
            "growth": ((), growth, {"long_name": "growth of noise by noise in a round"}),
        },
        rate=eta,
        momentum=m,
        batch_size=batch_size,
        examples=examples,
        batch_noise_factor=factor,
    )


LOSS = "mean loss above the minimum"


def _solved(
    h: Matrix, noise: Matrix, factor: float, own: np.ndarray | None, eta: float, m: float
) -> tuple[Matrix, float]:
    """The covariance, and by how much noise of one round makes noise in the next."""
    part = _held(h, noise, eta, m)
    if own is None or not own.any():
        return part, 0.0
    total, growth, first = part.copy(), 0.0, float(np.trace(part))
    for _ in range(ROUNDS):
        made = factor * np.einsum("nab,bc,ncd->ad", own, part, own, optimize=True)
        following = _held(h, made, eta, m)
        size = float(np.trace(part))
        if size == 0:
            return total, growth
        growth, part = float(np.trace(following)) / size, following
        total += part
        if growth < 1 and float(np.trace(part)) < 1e-13 * (1 - growth) * float(np.trace(total)):
            return total, growth
        if float(np.trace(total)) > FAR * first and growth >= 1:
            break
    raise InvalidArgument(
        f"there is no stationary state: noise makes {growth:.4g} times as much noise.",
        why="the farther parameters are from the minimum, the more gradients of batches differ.",
        fix="pass a smaller rate or a larger batch_size.",
        code="E-U51",
    )


def _held(h: Matrix, noise: Matrix, eta: float, m: float) -> Matrix:
    """The covariance of the parameters under additive noise of a covariance."""
    if m == 0:
        step = np.eye(len(h)) - eta * h
        plain: Matrix = solve_discrete_lyapunov(step, eta * eta * noise)
        return plain
    eye = np.eye(len(h))
    step = np.block([[eye - eta * h, -eta * m * eye], [h, m * eye]])
    enters = np.vstack([-eta * eye, eye])
    joint: np.ndarray = solve_discrete_lyapunov(step, enters @ noise @ enters.T)
    half: Matrix = joint[: len(h), : len(h)]
    even: Matrix = (half + half.T) / 2
    return even


def _deviations(given: Any, h: Matrix, examples: int | None) -> np.ndarray:
    """(H_i - H) over the root of N - 1, or of N where batches are drawn with replacement."""
    each = _array(given)
    if each.ndim != 3 or each.shape[1:] != h.shape or len(each) < 2:
        raise _refused(
            f"example_hessians must have shape (example, {len(h)}, {len(h)}) with two examples or "
            f"more; got {each.shape}"
        )
    if examples is not None and len(each) != examples:
        raise _refused(
            f"example_hessians must be those of all {examples} examples; got {len(each)}"
        )
    gap = float(np.abs(each.mean(0) - h).max())
    if gap > 1e-6 * float(np.abs(h).max()):
        raise _refused(f"the mean of example_hessians must be hessian; they differ by {gap:.3g}")
    divisor = len(each) if examples is None else len(each) - 1
    scaled: np.ndarray = (each - h) / math.sqrt(divisor)
    return scaled


def _symmetric(given: Any, name: str) -> Matrix:
    made = _array(given)
    if made.ndim != 2 or made.shape[0] != made.shape[1] or not 1 <= len(made) <= LARGEST:
        raise _refused(
            f"{name} must be a square matrix of at most {LARGEST} rows; got {made.shape}"
        )
    size = float(np.abs(made).max())
    if not math.isfinite(size) or float(np.abs(made - made.T).max()) > 1e-6 * size:
        raise _refused(f"{name} must be finite and symmetric")
    half: Matrix = (made + made.T) / 2
    return half


def _array(given: Any) -> np.ndarray:
    plain = given.detach().cpu().numpy() if isinstance(given, Tensor) else given
    return np.asarray(plain, dtype=np.float64)


def _refused(what: str, why: str = "") -> InvalidArgument:
    return InvalidArgument(f"{what}.", why=why, code="E-U49")
