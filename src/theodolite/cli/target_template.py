"""A target: what Theodolite measures. It runs as it is; replace the parts marked 1 to 4.

theodolite survey target_template.py:build            everything, with a report
theodolite survey target_template.py:build --dry-run  what it would cost
theodolite plane target_template.py:build -a width=64 one family; -a reaches build()
"""

from __future__ import annotations

import torch

import theodolite as td


def build(width: int = 32, epochs: int = 30) -> td.Target:
    """What the command line calls: returns the objective to survey."""
    torch.manual_seed(0)

    # 1. Your data: (inputs, targets), a Dataset, a DataLoader, or any list of batches.
    data = td.datasets.digits(flatten=True)
    train, test = data.train, data.test

    # 2. Your model.
    model = torch.nn.Sequential(
        torch.nn.Linear(64, width), torch.nn.Tanh(), torch.nn.Linear(width, 10)
    )

    # 3. Your weights: load them here, or give them on the command line with --checkpoint.
    #    model.load_state_dict(torch.load("model.pt", weights_only=True))
    loss = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss(model(train[0]), train[1]).backward()
        optimizer.step()

    # 4. What is surveyed: the training loss, and the same loss on held-out data.
    return td.Target(
        td.Objective(model, loss, train),
        test=td.Objective(model, loss, test),
        name="digits",
    )
