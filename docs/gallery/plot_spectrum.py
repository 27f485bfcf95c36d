"""
What a slice cannot see: the spectrum of the Hessian
====================================================

A random slice shows the mean curvature. The largest eigenvalues, which decide the largest stable
step, are seen by products with the Hessian.
"""

import matplotlib.pyplot as plt
import torch

import theodolite as td

digits = td.datasets.digits(flatten=True)
recipe = td.training.Recipe(
    lambda: td.models.mlp((64, 32, 10), activation="tanh"), digits, epochs=10
)
model = td.training.train(recipe).model
objective = td.Objective(model, torch.nn.CrossEntropyLoss(), digits.train, dtype=torch.float64)

# %%
# First ask whether second derivatives can be trusted for this network at all.

certificate = td.certify(objective)
print(certificate.attrs["verdict"])

# %%
# The Hessian as an operator: nothing is formed, a product costs about two gradients. Each
# eigenvalue comes with a residual that bounds its error.

hessian = td.hessian(objective)
pairs = td.eigenpairs(hessian, count=5)
for value, residual in zip(pairs.eigenvalue.values, pairs.residual.values, strict=True):
    print(f"{value:9.4f}  +- {residual:.1e}")

# %%
# All eigenvalues at once, as a quadrature rule: nodes and weights from two probes, each of 60
# products. The mean of the density must agree with the trace.

density = td.spectral_density(hessian, steps=60, probes=2)
mean = (density.node * density.weight).sum("step")
estimate = td.trace(hessian)
print(f"mean eigenvalue {float(mean.mean()):.5f} from the density")
print(f"mean eigenvalue {float(estimate.trace) / hessian.size:.5f} from the trace")

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
td.plots.plot_spectral_density(density, axes)
figure.savefig("spectrum.png", dpi=120)
