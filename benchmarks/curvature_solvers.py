"""Top ten eigenvalues and the trace of a trained network: products, CPU time and error reached.

python -m benchmarks.curvature_solvers [--repeats N]

A perceptron on the shipped handwritten digits, one batch and one thread. The truth is the dense
spectrum in float64. Every library counts its own products and works by its own method and
stopping rule; the errors are measured against the truth, not taken from the library.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

import theodolite as td
from benchmarks.peers import Problem, curvlinops
from theodolite import models, training


@dataclass(eq=False)
class Counted:
    """A product that counts itself."""

    product: Callable[[Tensor], Tensor]
    count: int = field(default=0)

    def __call__(self, v: Tensor) -> Tensor:
        self.count += 1
        return self.product(v)


@dataclass(frozen=True)
class Made:
    """What a library gave: a number or several, and the products it took."""

    values: np.ndarray
    products: float


def trained(activation: str) -> Problem:
    data = td.datasets.digits()
    recipe = training.Recipe(
        lambda: models.mlp((64, 32, 16, 10), activation=activation), data, epochs=30
    )
    model = training.train(recipe).model.eval()
    return Problem(model, nn.CrossEntropyLoss(), [data.train])


def spectrum(problem: Problem) -> np.ndarray:
    """All eigenvalues, descending, in float64."""
    made = td.Objective(problem.model, problem.loss, problem.batches, dtype=torch.float64)
    return np.asarray(torch.linalg.eigvalsh(td.hessian(made, engine="kept").dense()).flip(0))


def objective(problem: Problem) -> td.Objective:
    return td.Objective(problem.model, problem.loss, problem.batches)


def ours_top(problem: Problem) -> Made:
    found = td.eigenpairs(td.hessian(objective(problem)), count=10, tolerance=1e-4)
    return Made(found.eigenvalue.values, found.attrs["products"])


def pyhessian_top(problem: Problem) -> Made:
    """Power iteration with deflation; products are its iterations."""
    from pyhessian import hessian, utils

    made = hessian(problem.model, problem.loss, data=problem.batches[0], cuda=False)
    counted = Counted(utils.hessian_vector_product)
    inside: Any = import_module("pyhessian.hessian")  # the package has a class of that name

    def count(gradients: object, params: object, v: object) -> object:
        counted.count += 1
        return utils.hessian_vector_product(gradients, params, v)

    inside.hessian_vector_product = count
    try:
        values = made.eigenvalues(maxIter=1000, tol=1e-4, top_n=10)[0]
    finally:
        inside.hessian_vector_product = utils.hessian_vector_product
    return Made(np.sort(np.asarray(values, dtype=np.float64))[::-1], counted.count)


def curvlinops_top(problem: Problem) -> Made:
    """It has no solver of its own: SciPy's, as its documentation does."""
    product = Counted(curvlinops("Hessian")(problem, False))
    size = sum(p.numel() for p in problem.model.parameters())

    def through(x: np.ndarray) -> np.ndarray:
        v = torch.from_numpy(np.asarray(x, dtype=np.float32).reshape(-1))
        return product(v).detach().numpy()

    linear = LinearOperator((size, size), matvec=through, dtype=np.float32)
    values = eigsh(linear, k=10, which="LA", tol=1e-4, return_eigenvectors=False)
    return Made(np.sort(values.astype(np.float64))[::-1], product.count)


def eigenthings_top(problem: Problem) -> Made:
    from hessian_eigenthings import algorithms
    from hessian_eigenthings.loss_fns import standard
    from hessian_eigenthings.operators import HessianOperator

    made = HessianOperator(problem.model, problem.batches, standard.supervised_loss(problem.loss))
    found = algorithms.lanczos(made, k=10, max_iter=50, which="LA", seed=0)
    return Made(np.sort(found.eigenvalues.double().numpy())[::-1], found.iterations)


def ours_trace(problem: Problem) -> Made:
    found = td.trace(objective(problem), tolerance=0.01)
    return Made(np.array([float(found.trace)]), found.attrs.get("passes", 0) / 6)


def ours_trace_products(problem: Problem) -> Made:
    found = td.trace(td.hessian(objective(problem)), tolerance=0.01, max_products=4000)
    return Made(np.array([float(found.trace)]), found.attrs["products"])


def pyhessian_trace(problem: Problem) -> Made:
    from pyhessian import hessian

    made = hessian(problem.model, problem.loss, data=problem.batches[0], cuda=False)
    samples = made.trace(maxIter=4000, tol=1e-3)
    return Made(np.array([float(np.mean(samples))]), len(samples))


def curvlinops_trace(problem: Problem) -> Made:
    from curvlinops import HessianLinearOperator, hutchpp_trace

    params = list(problem.model.parameters())
    made = HessianLinearOperator(
        problem.model, problem.loss, params, problem.batches, check_deterministic=False
    )
    return Made(np.array([float(hutchpp_trace(made, num_matvecs=300))]), 300)


def eigenthings_trace(problem: Problem) -> Made:
    from hessian_eigenthings import algorithms
    from hessian_eigenthings.loss_fns import standard
    from hessian_eigenthings.operators import HessianOperator

    made = HessianOperator(problem.model, problem.batches, standard.supervised_loss(problem.loss))
    found = algorithms.trace(made, num_matvecs=300, seed=0)
    return Made(np.array([found.estimate]), 300)


Solver = Callable[[Problem], Made]
TOP: Mapping[str, Solver] = {
    "theodolite": ours_top,
    "PyHessian": pyhessian_top,
    "curvlinops + eigsh": curvlinops_top,
    "hessian-eigenthings": eigenthings_top,
}
TRACE: Mapping[str, Solver] = {
    "theodolite": ours_trace,
    "theodolite, products": ours_trace_products,
    "PyHessian": pyhessian_trace,
    "curvlinops Hutch++": curvlinops_trace,
    "hessian-eigenthings Hutch++": eigenthings_trace,
}


def told(name: str, solver: Solver, problem: Problem, truth: np.ndarray, repeats: int) -> None:
    """One line: products, seconds and the largest relative error, medians over turns."""
    products, times, errors = [], [], []
    for turn in range(repeats):
        torch.manual_seed(turn)
        began = time.process_time()
        made = solver(problem)
        times.append(time.process_time() - began)
        products.append(made.products)
        errors.append(float(np.abs(made.values / truth - 1).max()))
    print(
        f"  {name:28s} {statistics.median(products):7.0f} products  "
        f"{statistics.median(times):7.2f} s  error {statistics.median(errors):.1e} "
        f"(at most {max(errors):.1e})",
        flush=True,
    )


def tables(repeats: int, show: Callable[[str, Problem, np.ndarray, int], None]) -> None:
    """`show(activation, problem, dense spectrum, repeats)` for both trained perceptrons."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=repeats)
    settings = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(f"one thread, CPU time, torch {torch.__version__}, {platform.machine()}")
    for activation in ("relu", "tanh"):
        problem = trained(activation)
        show(activation, problem, spectrum(problem), settings.repeats)


def show(activation: str, problem: Problem, values: np.ndarray, repeats: int) -> None:
    """Both tables of one network."""
    print(f"{activation} perceptron on digits, {len(values):,} parameters: ten largest")
    for name, solver in TOP.items():
        told(name, solver, problem, values[:10], repeats)
    print(f"{activation}: trace, {values.sum():.3f}")
    for name, solver in TRACE.items():
        told(name, solver, problem, values.sum()[None], repeats)


if __name__ == "__main__":
    tables(5, show)
