"""
One network, two pictures: the scale trap
=========================================

Multiply the first layer of a ReLU network by 5 and divide the second one by 5. It is the same
function, but curvature along raw directions says otherwise.
"""

import copy

import matplotlib.pyplot as plt
import torch

import theodolite as td

digits = td.datasets.digits(flatten=True)
recipe = td.training.Recipe(lambda: td.models.mlp((64, 32, 10)), digits, epochs=10)
network = td.training.train(recipe).model

scaled = copy.deepcopy(network)
first, second = (module for module in scaled if isinstance(module, torch.nn.Linear))
with torch.no_grad():
    first.weight *= 5
    first.bias *= 5
    second.weight /= 5

# %%
# Same losses at every example, another largest eigenvalue.

objectives = {
    name: td.Objective(model, torch.nn.CrossEntropyLoss(), digits.train, dtype=torch.float64)
    for name, model in (("as trained", network), ("rescaled", scaled))
}
for name, objective in objectives.items():
    largest = td.eigenpairs(td.hessian(objective), count=1).eigenvalue.values[0]
    print(f"{name}: loss {float(objective.value()):.6f}, largest eigenvalue {largest:.3f}")

# %%
# Along a raw random direction the two look different; along a filter-normalized one they are the
# same curve.

styles = {"as trained": "C0-", "rescaled": "C1--"}
figure, pair = plt.subplots(1, 2, figsize=(8, 3.5), sharey=True, layout="constrained")
for axes, normalize, span in ((pair[0], None, 0.2), (pair[1], "filter", 1.0)):
    for name, objective in objectives.items():
        direction = td.random_directions(objective, count=1, normalize=normalize, seed=0)[0]
        line = td.line(objective, direction, span=(-span, span), steps=21)
        axes.plot(line.alpha, line.loss, styles[name], label=name)
    axes.set(title=f"normalize={normalize!r}", xlabel="alpha", yscale="log")
pair[0].set_ylabel("training loss")
pair[0].legend()
figure.savefig("scale.png", dpi=120)
