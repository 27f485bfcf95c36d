"""Spectral density of a trained network at equal error: products and CPU time.

python -m benchmarks.curvature_density [--repeats N]

The perceptron of ``benchmarks.curvature_solvers``. The error is the Wasserstein distance between
a library's nodes with their weights and the dense spectrum in float64, over the width of that
spectrum. All use the same method, stochastic Lanczos quadrature, so that equal products should
give equal errors, and the time is what differs; medians over seeds of 4 probes of 40 steps.
Smoothing, which each does in its own way for its pictures, is left out.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from scipy.stats import wasserstein_distance

import theodolite as td
from benchmarks.curvature_solvers import objective, tables
from benchmarks.peers import Problem

STEPS, PROBES = 40, 4

Rule = tuple[np.ndarray, np.ndarray]
"""Nodes and weights."""

Solver = Callable[[Problem, int], Rule]
"""``solver(problem, seed)``: all nodes of all probes."""


def ours(problem: Problem, seed: int) -> Rule:
    operator = td.hessian(objective(problem))
    found = td.spectral_density(operator, steps=STEPS, probes=PROBES, seed=seed)
    return found.node.values.ravel(), found.weight.values.ravel()


def pyhessian(problem: Problem, seed: int) -> Rule:
    from pyhessian import hessian

    made = hessian(problem.model, problem.loss, data=problem.batches[0], cuda=False)
    nodes, weights = made.density(iter=STEPS, n_v=PROBES)
    return np.ravel(nodes).astype(np.float64), np.ravel(weights).astype(np.float64)


def curvlinops(problem: Problem, seed: int) -> Rule:
    from curvlinops import HessianLinearOperator
    from curvlinops.papyan2020traces.spectrum import fast_lanczos

    params = list(problem.model.parameters())
    made = HessianLinearOperator(
        problem.model, problem.loss, params, problem.batches, check_deterministic=False
    )
    rules = [fast_lanczos(made, STEPS) for _ in range(PROBES)]
    nodes = torch.cat([values for values, _ in rules]).double().numpy()
    return nodes, torch.cat([vectors[0] for _, vectors in rules]).double().numpy() ** 2


def eigenthings(problem: Problem, seed: int) -> Rule:
    from hessian_eigenthings import algorithms
    from hessian_eigenthings.loss_fns import standard
    from hessian_eigenthings.operators import HessianOperator

    made = HessianOperator(problem.model, problem.batches, standard.supervised_loss(problem.loss))
    found = algorithms.spectral_density(made, num_runs=PROBES, lanczos_steps=STEPS, seed=seed)
    nodes, weights = found.raw_eigenvalues.ravel(), found.raw_weights.ravel()
    return nodes.double().numpy(), weights.double().numpy()


SOLVERS: Mapping[str, Solver] = {
    "theodolite": ours,
    "PyHessian": pyhessian,
    "curvlinops": curvlinops,
    "hessian-eigenthings": eigenthings,
}


def distance(rule: Rule, values: np.ndarray) -> float:
    """Wasserstein distance to the spectrum, relative to its width."""
    nodes, weights = rule
    weights = np.clip(weights, 0, None)
    gap = wasserstein_distance(nodes, values, u_weights=weights / weights.sum())
    return float(gap / (values.max() - values.min()))


def told(name: str, solver: Solver, problem: Problem, values: np.ndarray, repeats: int) -> None:
    """One line: seconds and error, medians over turns."""
    errors, times = [], []
    for seed in range(repeats):
        torch.manual_seed(seed)
        began = time.process_time()
        try:
            rule = solver(problem, seed)
        except (RuntimeError, AttributeError, TypeError) as error:
            print(f"  {name:22s} fails: {type(error).__name__}: {str(error)[:60]} ...", flush=True)
            return
        times.append(time.process_time() - began)
        errors.append(distance(rule, values))
    print(
        f"  {name:22s} {statistics.median(times):6.3f} s  error {statistics.median(errors):.1e} "
        f"({min(errors):.1e} to {max(errors):.1e})",
        flush=True,
    )


def show(activation: str, problem: Problem, values: np.ndarray, repeats: int) -> None:
    """The table of one network."""
    print(f"{activation} perceptron, {len(values):,} parameters, {PROBES * STEPS} products:")
    for name, solver in SOLVERS.items():
        told(name, solver, problem, values, repeats)


if __name__ == "__main__":
    tables(9, show)
