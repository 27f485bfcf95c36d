"""
A loss surface, and how much of it to believe
=============================================

Train a small network on real digits, cut a plane through its loss, and look at several lines
before believing the plane.
"""

import matplotlib.pyplot as plt
import torch

import theodolite as td

# %%
# A network, its loss and its data become one function of a flat vector. ``objective.start`` is
# where the network stands; the network itself is never touched.

digits = td.datasets.digits(flatten=True)
recipe = td.training.Recipe(lambda: td.models.mlp((64, 32, 10)), digits, epochs=10)
model = td.training.train(recipe).model
objective = td.Objective(model, torch.nn.CrossEntropyLoss(), digits.train)
print(objective.metrics())

# %%
# A plane over two random directions. Filter normalization is the default: a coordinate of 1
# means that every filter has been moved by 100 % of its own norm.

directions = td.random_directions(objective, seed=0)
plane = td.plane(objective, directions, steps=(21, 21))
figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
td.plots.plot_plane(plane, axes)
figure.savefig("plane.png", dpi=120)

# %%
# The same cut along other directions. The spread between them is the honest error bar of
# anything read off a single picture.

rises = []
for seed in range(6):
    direction = td.random_directions(objective, count=1, seed=seed)[0]
    loss = td.line(objective, direction, span=(-0.5, 0.5), steps=11).loss
    rises.append(float((loss[0] + loss[-1]) / 2 - loss[5]))
print("rise at alpha = 0.5:", ", ".join(f"{rise:.3f}" for rise in rises))
