"""How strong the noise of SGD is at a step size and a batch size, by the formulas in use."""

from __future__ import annotations

from theodolite.noise.arguments import count, number


def batch_noise_factor(batch_size: int, examples: int | None = None) -> float:
    r"""What the covariance of one example's gradient is multiplied by in a batch's.

    .. math:: \operatorname{Cov} g_B = \frac1B \left( 1 - \frac BN \right) \Sigma

    without replacement from N examples, with the unbiased :math:`\Sigma` (divisor N - 1); 1 / B
    where `examples` is None (with replacement, or a stream). Without the correction noise is
    overstated twofold at half the data. Raises `InvalidArgument` (E-Y04).

    References: Cochran (1977), Sampling Techniques, section 2.

    >>> batch_noise_factor(4, 8), batch_noise_factor(8, 8), batch_noise_factor(4)
    (0.125, 0.0, 0.25)
    """
    size = count(batch_size, "batch_size")
    if examples is None:
        return 1 / size
    return 1 / size - 1 / count(examples, "examples", least=size)


def smith_le_noise_scale(
    step: float | int,
    batch_size: int,
    examples: int,
    *,
    momentum: float | int = 0.0,
    approximate: bool = False,
) -> float:
    r"""The noise scale of SGD by Smith and Le.

    .. math:: g = \frac{\eta}{1 - m} \left( \frac NB - 1 \right)
              \approx \frac{\eta N}{B (1 - m)} \quad \text{for } B \ll N

    the right side with ``approximate=True``. It scales the random force of the stochastic
    differential equation of SGD and has the units of the step size; full batches have none. The
    loss enters as a sum over examples there, which is where N comes from. Not checked: that
    steps are small enough for the equation. Raises `InvalidArgument` (E-Y03, E-Y04).

    References: Smith, Le (2018), arXiv:1710.06451; with momentum Smith, Kindermans, Ying, Le
    (2018), arXiv:1711.00489.

    >>> smith_le_noise_scale(0.5, 8, 64), smith_le_noise_scale(0.5, 8, 64, approximate=True)
    (3.5, 4.0)
    >>> smith_le_noise_scale(0.5, 8, 64, momentum=0.5)
    7.0
    """
    eta = _effective(step, momentum)
    size = count(batch_size, "batch_size", most=count(examples, "examples"))
    return eta * (examples / size - (0 if approximate else 1))


def step_to_batch_ratio(
    step: float | int, batch_size: int, *, momentum: float | int = 0.0
) -> float:
    r"""The ratio of step size to batch size, the temperature of SGD.

    .. math:: T = \frac{\eta}{B}, \qquad \text{with momentum } \frac{\eta}{B (1 - m)}

    Runs with equal ratios see equal noise as long as B is far below the number of examples and
    steps are far below 2 over the largest curvature; the ratio knows nothing of the loss. Raises
    `InvalidArgument` (E-Y03, E-Y04).

    References: Jastrzebski, Kenton, Arpit et al. (2017), arXiv:1711.04623.

    >>> step_to_batch_ratio(0.5, 8), step_to_batch_ratio(0.5, 8, momentum=0.5)
    (0.0625, 0.125)
    """
    return _effective(step, momentum) / count(batch_size, "batch_size")


def stationary_excess_loss(
    step: float | int,
    batch_size: int,
    covariance_trace: float | int,
    *,
    examples: int | None = None,
    momentum: float | int = 0.0,
) -> float:
    r"""How far above its minimum SGD holds a quadratic loss, for small steps.

    .. math:: \mathbb E [L - L^*] = \frac{\eta}{4 (1 - m)} \,
              \frac1B \left( 1 - \frac BN \right) \operatorname{tr} \Sigma

    The stationary covariance S of the parameters solves
    :math:`H S + S H = \eta \operatorname{Cov} g_B`, so that tr(HS) needs no eigenvalue, whatever
    H and Sigma are. To first order in the step: at :math:`\eta \lambda` of a direction it is too
    small by the factor :math:`1 - \eta \lambda / 2`. `covariance_trace` is that of one example
    (`gradient_noise_scale`). Not checked: that the loss is quadratic within reach, and the noise
    constant there. Raises `InvalidArgument` (E-Y03, E-Y04).

    References: Jastrzebski et al. (2017), arXiv:1711.04623 (for Sigma = H); Mandt, Hoffman, Blei
    (2017), JMLR 18.

    >>> stationary_excess_loss(0.5, 8, 16.0)
    0.25
    """
    spread = number(covariance_trace, "covariance_trace", above=-1e-300)
    return _effective(step, momentum) / 4 * batch_noise_factor(batch_size, examples) * spread


def _effective(step: float | int, momentum: float | int) -> float:
    eta = number(step, "step", above=0)
    return eta / (1 - number(momentum, "momentum", above=-1e-300, below=1))
