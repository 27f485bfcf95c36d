"""How heavy the tails of samples are, and whether an alpha-stable law may be what made them."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float64
from scipy.stats import ks_2samp, norm
from torch import Tensor

from theodolite import results, seeds
from theodolite.errors import InvalidArgument, TheodoliteWarning
from theodolite.noise.arguments import count, number

FEWEST = 64
"""Samples below which no tail is seen."""

REFUSED = 0.05
"""At smaller p-values the stable law is refused."""

Samples = Float64[np.ndarray, " sample"]


def tail_index(
    samples: Any,
    *,
    hill_share: float = 0.05,
    simulations: int = 199,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    r"""The tail index of samples under an alpha-stable law, by Hill's method, and the law's fit.

    .. math:: \frac{1}{\hat\alpha} = \frac{1}{\log K_1} \left( \frac{1}{K_2} \sum_i \log |Y_i|
              - \frac1K \sum_i \log |X_i| \right), \qquad
              \frac{1}{\hat\alpha_H} = \frac1k \sum_{j \le k} \log \frac{|X|_{(j)}}{|X|_{(k + 1)}}

    with :math:`Y_i` sums of :math:`K_1` samples each, :math:`K = K_1 K_2`, and
    :math:`|X|_{(1)} \ge |X|_{(2)} \ge \dots`

    Parameters
    ----------
    samples
        Independent numbers of one symmetric law, shape ``(sample,)``, 64 or more: projections of
        gradients minus their mean.
    hill_share
        Share of the largest that Hill's estimator uses, ``k = hill_share * K``.
    simulations
        Samples drawn from the fitted stable law for the p-value.
    level
        Of the intervals.

    Returns
    -------
    xarray.Dataset
        ``stable_index`` (2 is a Gaussian; never above it) and ``hill_index``, each with ``_low``
        and ``_high``; ``p_value`` of the stable law and ``stable_refused`` (1 or 0).

    Notes
    -----
    The first estimator takes for granted that the law is alpha-stable. For any other law, such as
    products of Gaussians or Student's t, whose sums become Gaussian, it gives a number below 2
    that depends on :math:`K_1` and is no tail index. So the law is tested: under it, sums of
    :math:`K_1` over :math:`K_1^{1 / \alpha}` are distributed as single samples (two-sample
    Kolmogorov-Smirnov statistic on disjoint halves). The p-value is from `simulations` of the same
    test on stable samples with the index found. The interval is that of the inverse, whose
    variance is that of a stable variable's logarithm,
    :math:`\frac{\pi^2}{6} (\frac{1}{\alpha^2} + \frac12)`, over :math:`K_2 \log^2 K_1`. A
    warning says so where the law is refused; not being refused proves nothing in small samples.
    Hill's index supposes a power law beyond the threshold, has an error of
    :math:`\alpha / \sqrt k` and needs no stable law. Samples are permuted, and their median is
    taken off. Cost: no forward pass.

    Raises `InvalidArgument` for fewer samples, samples that are not finite or all zero (E-Y16), or
    arguments out of range (E-Y03, E-Y04).

    References
    ----------
    Simsekli, Sagun, Gurbuzbalaban (2019), arXiv:1901.06053; Mohammadi, Mohammadpour, Ogata
    (2015), Metrika 78. Hill (1975), Annals of Statistics 3. Panigrahi, Somani, Goyal, Netrapalli
    (2019), arXiv:1910.09626, and Xie, Sato, Sugiyama (2021), arXiv:2002.03495 (against the model).

    Examples
    --------
    >>> draws = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    >>> found = tail_index(draws)
    >>> round(float(found.stable_index), 1), int(found.stable_refused)
    (2.0, 0)
    """
    x = _checked(samples)
    share = number(hill_share, "hill_share", above=0, below=1)
    draws = count(simulations, "simulations", least=19)
    level = number(level, "level", above=0, below=1)
    generator = seeds.numpy_generator(seed, "tail_index")
    x = generator.permutation(x - np.median(x))
    inverse, gap = stable_fit(x)
    alpha = _capped(inverse)
    made = [stable_fit(stable_samples(alpha, len(x), generator)) for _ in range(draws)]
    p = (1 + sum(other >= gap for _, other in made)) / (draws + 1)
    z = float(norm.ppf((1 + level) / 2))
    wide = z * _inverse_error(alpha, len(x))
    k = max(2, round(share * len(x)))
    hill = hill_index(x, k)
    reach = z / math.sqrt(k)
    _tell(p, alpha)
    values = {
        "stable_index": (alpha, "index of an alpha-stable law"),
        "stable_index_low": (_capped(inverse + wide), "lower end of the stable index"),
        "stable_index_high": (_capped(inverse - wide), "upper end of the stable index"),
        "hill_index": (hill, "tail index by Hill's estimator"),
        "hill_index_low": (hill / (1 + reach), "lower end of Hill's index"),
        "hill_index_high": (
            hill / (1 - reach) if reach < 1 else math.inf,
            "upper end of Hill's index",
        ),
        "p_value": (p, "p-value of the alpha-stable law"),
        "stable_refused": (int(p < REFUSED), "whether the alpha-stable law is refused"),
    }
    return results.dataset(
        "tail_index",
        {name: ((), v, {"long_name": long_name}) for name, (v, long_name) in values.items()},
        samples=len(x),
        hill_order=k,
        simulations=draws,
        level=level,
        seed=seed,
    )


def stable_fit(x: Samples) -> tuple[float, float]:
    """1 over the stable index of samples in random order, and how far sums are from single samples.

    The index is from the samples compared, so the gap has no textbook law: simulated samples are
    treated in the same way.
    """
    each = round(math.sqrt(len(x)))  # as many sums as samples in one
    sums = x[: each * (len(x) // each)].reshape(-1, each).sum(1)
    inverse = (_mean_log(sums) - _mean_log(x)) / math.log(each)
    few = max(2, round(len(x) ** 0.25))
    half = len(x) // 2
    single = x[:half]
    joined = x[half : half + few * (half // few)].reshape(-1, few).sum(1)
    return inverse, float(ks_2samp(single, joined / few ** (1 / _capped(inverse))).statistic)


def _capped(inverse: float) -> float:
    """The index whose inverse this is, at most 2."""
    return min(2.0, 1 / inverse) if inverse > 0 else 2.0


def _inverse_error(alpha: float, samples: int) -> float:
    """The standard error of 1 over the index."""
    each = round(math.sqrt(samples))
    variance = math.pi**2 / 6 * (1 / alpha**2 + 0.5)
    return math.sqrt(variance / (samples // each)) / math.log(each)


def hill_index(x: Samples, k: int) -> float:
    """Hill's estimator from the k largest in size."""
    top = np.sort(np.abs(x))[::-1][: k + 1]
    if top[-1] == 0:
        return math.nan
    inverse = float(np.log(top[:-1] / top[-1]).mean())
    return 1 / inverse if inverse > 0 else math.inf


def stable_samples(alpha: float, samples: int, generator: np.random.Generator) -> Samples:
    """Symmetric alpha-stable numbers by the method of Chambers, Mallows and Stuck (1976)."""
    v = generator.uniform(-math.pi / 2, math.pi / 2, samples)
    w = generator.exponential(size=samples)
    made: np.ndarray = (
        np.sin(alpha * v)
        / np.cos(v) ** (1 / alpha)
        * (np.cos((1 - alpha) * v) / w) ** ((1 - alpha) / alpha)
    )
    return made


def _mean_log(x: Samples) -> float:
    sizes = np.abs(x)
    return float(np.log(sizes[sizes > 0]).mean())


def _checked(samples: Any) -> Samples:
    given = samples.detach().cpu().numpy() if isinstance(samples, Tensor) else samples
    x = np.asarray(given, dtype=np.float64)
    if x.ndim != 1 or len(x) < FEWEST or not np.isfinite(x).all():
        raise InvalidArgument(
            f"samples must be {FEWEST} finite numbers or more, shape (sample,); "
            f"got shape {x.shape}{'' if np.isfinite(x).all() else ' with NaN or infinity'}.",
            code="E-Y16",
        )
    if (x != np.median(x)).mean() < 0.5:
        raise InvalidArgument(
            "more than half of the samples are the same number; they have no tail.", code="E-Y16"
        )
    return x


def _tell(p: float, alpha: float) -> None:
    if p < REFUSED:
        warnings.warn(
            f"the samples are not alpha-stable (p = {p:.3g}), so the stable index {alpha:.3g} is "
            "no tail index; look at hill_index. [E-Y17]",
            TheodoliteWarning,
            stacklevel=3,
        )
