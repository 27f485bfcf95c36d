"""
Your own model, your own loss, one page
=======================================

A regression network with a loss of its own, read from a ``DataLoader``, measured and written as
one page that opens anywhere.
"""

import torch
import xarray as xr
from torch.utils.data import DataLoader, TensorDataset

import theodolite as td

generator = torch.Generator().manual_seed(0)
x = torch.rand(400, 2, generator=generator, dtype=torch.float64)
y = torch.sin(6 * x[:, :1]) * x[:, 1:]

torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Linear(2, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)
).double()


def absolute_or_square(outputs, targets):
    """One loss an example: the mean is taken by the objective, and nowhere else."""
    return torch.nn.functional.huber_loss(outputs, targets, reduction="none").mean(dim=1)


optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for _ in range(300):
    optimizer.zero_grad()
    absolute_or_square(model(x), y).mean().backward()
    optimizer.step()

# %%
# Batches may be uneven; the objective weighs every example the same.

loader = DataLoader(TensorDataset(x, y), batch_size=150)
objective = td.Objective(model, absolute_or_square, loader)
print(objective)

# %%
# Results are xarray Datasets, and a survey is a tree of them. The page needs nothing else.

directions = td.random_directions(objective, seed=0)
survey = xr.DataTree.from_dict(
    {
        "plane_0": td.plane(objective, directions, steps=(15, 15)),
        "spectrum": td.spectral_density(td.hessian(objective), steps=40),
        "eigenvalues": td.eigenpairs(td.hessian(objective), count=5),
        "certificate": td.certify(objective),
    }
)
td.report(survey, "own_loss.html")
