"""One verdict on the derivatives of an objective at one point."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Shaped
from torch import Tensor

from theodolite import results
from theodolite.certificates import first_order, second_order
from theodolite.certificates.check import Check
from theodolite.certificates.sample import Sample, engine_of, sampled
from theodolite.certificates.state import caller_state
from theodolite.engines.snapshot import preserved
from theodolite.errors import TheodoliteError
from theodolite.linalg.precision import without_autocast
from theodolite.objective import Objective
from theodolite.operators import hessian

NOTE = "measured on a few examples in random directions; a certificate is no proof elsewhere"


def certify(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    seed: int = 0,
) -> xr.Dataset:
    r"""Check that gradients and Hessian products are the derivatives of the loss, at one point.

    With `u` and `v` random, `g` the gradient and `H` the products by double backward, on up to
    32 examples in two unequal batches, in float64 where the model can:

    - two passes agree bit for bit;
    - :math:`g \cdot u` agrees with central differences of the loss, and no parameter with a
      gradient of zero moves the loss;
    - :math:`H v` agrees with central differences of gradients at some step, tensor by tensor;
    - :math:`u^\top H v = v^\top H u`;
    - :math:`L(\theta + h u) - L - h\,g \cdot u - \frac{h^2}{2} u^\top H u` falls as :math:`h^3`;
    - :math:`\operatorname{tr} V^\top H V` over random directions agrees with second differences
      of the loss;
    - the residual of a Lanczos pair agrees with one recomputed from gradients;
    - the product in the objective's own precision agrees with float64;
    - parameters, buffers, modes, generators and flags are as they were.

    Parameters
    ----------
    theta
        Where; default ``objective.start``.

    Returns
    -------
    xarray.Dataset
        ``figure``, ``bound`` and ``passed`` by ``check``; a check that could not be made has
        figure NaN. attrs: ``verdict`` ("certified"; "non-smooth": gradient and products are
        right, and the loss has kinks so near that a quadratic model does not hold;
        "uncertified"), ``reason`` in one sentence, ``engine`` and ``precision``.

    Notes
    -----
    About 150 forward passes over 32 examples. Bounds widen with the rounding that is measured
    inside the model, up to a cap. Where an operation has no second derivative, products by
    differences of gradients are certified. Not checked: other points, and examples beyond the
    sample.

    References
    ----------
    Griewank, Walther (2008), Evaluating Derivatives, SIAM.

    Examples
    --------
    >>> import torch, theodolite as td
    >>> x, y = torch.randn(8, 2), torch.randn(8, 1)
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh(), torch.nn.Linear(2, 1))
    >>> td.certify(td.Objective(model, torch.nn.MSELoss(), (x, y))).attrs["verdict"]
    'certified'
    """
    if theta is not None:
        objective.space.check(theta)
    place = objective.start if theta is None else theta
    point = place.detach().to(device=objective.device, copy=True)
    made, facts = preserved(
        (objective.model,), lambda: without_autocast(_examined)(objective, point, seed)
    )
    verdict, reason = _verdict(made)
    return _dataset(
        made,
        **objective.facts(),
        theta_norm=float(torch.linalg.norm(point.double())),
        seed=seed,
        verdict=verdict,
        reason=reason,
        note=NOTE,
        **facts,
    )


def _examined(objective: Objective, point: Tensor, seed: int) -> tuple[list[Check], dict[str, Any]]:
    before = caller_state(objective.model, point, objective.start)
    try:
        sample = sampled(objective, point, seed)
        engine = engine_of(sample)
        to_make = _checks(sample, engine)
    except TheodoliteError as error:
        return [_impossible("loss has derivatives", error)], {"engine": "none"}
    made = [_tried(name, check) for name, check in to_make.items()]
    after = caller_state(objective.model, point, objective.start)
    facts = {
        "engine": engine,
        "precision": str(sample.theta.dtype).removeprefix("torch."),
        "examples_checked": sample.native.examples,
        "rounding": sample.rounding,
    }
    return [*made, first_order.restored(before, after)], facts


def _checks(sample: Sample, engine: str) -> dict[str, Callable[[], Check]]:
    """Every check by the name it has if it cannot be made."""
    operator = sample.operator(sample.theta, engine)
    v = sample.random("vector")
    hu, hv = (sample.product(operator, w) for w in (sample.u, v))
    found = second_order.comparison(sample, engine, v, hv)
    kinked = found.outcome == "non-smooth"
    own_theta = sample.theta.to(sample.native.start.dtype)
    own = hessian(sample.native, own_theta, engine=engine, verify=False)
    return {
        "two passes": lambda: first_order.determinism(sample),
        "gradient": lambda: first_order.gradient(sample, hu),
        "zero gradients": lambda: first_order.stillness(sample, found.silent),
        "product": lambda: second_order.product(found),
        "symmetry": lambda: second_order.symmetry(sample, hu, v, hv, engine),
        "Taylor remainder": lambda: second_order.taylor(sample, hu, kinked=kinked),
        "trace": lambda: second_order.subspace(sample, operator, kinked=kinked),
        "residual": lambda: second_order.residual(sample, operator, kinked=kinked),
        "own precision": lambda: second_order.precision(sample, own.matvec, v, hv),
    }


def _tried(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except TheodoliteError as error:
        return _impossible(name, error)


def _impossible(name: str, error: TheodoliteError) -> Check:
    return Check(name, math.nan, 0.0, f"{error.what.rstrip('.')} [{error.code}]")


def _verdict(made: list[Check]) -> tuple[str, str]:
    failed = [c for c in made if not c.passed]
    if not failed:
        return "certified", ""
    wrong = [c for c in failed if not c.kinks]
    return ("uncertified", wrong[0].reason) if wrong else ("non-smooth", failed[0].reason)


def _dataset(made: list[Check], **attrs: Any) -> xr.Dataset:
    passed = np.array([c.passed for c in made], np.uint8)
    dims = ("check",)
    return results.dataset(
        "certificate",
        {
            "figure": (dims, [c.figure for c in made], {"long_name": "measured figure"}),
            "bound": (dims, [c.bound for c in made], {"long_name": "largest figure allowed"}),
            "passed": (dims, passed, {"long_name": "held"}),
        },
        {"check": [c.name for c in made]},
        **attrs,
    )
