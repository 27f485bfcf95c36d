"""A monitored training of two processes under DistributedDataParallel.

Oracle: the same training without a monitor; the folder.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
import torch, theodolite as td
import torch.distributed as dist
from torch import nn

rank, watch, folder = int(sys.argv[1]), sys.argv[2] == "yes", sys.argv[3]
torch.set_num_threads(1)
store = dist.FileStore(f"{folder}/store-{sys.argv[2]}", 2)
dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
wrapped = nn.parallel.DistributedDataParallel(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
x, y = torch.randn(32, 4), torch.randint(2, (32,))
if watch:
    objective = td.Objective(wrapped, nn.CrossEntropyLoss(), (x, y))
    monitor = td.Monitor(objective, every=2, budget=None, folder=f"{folder}/run")
for step in range(6):
    mine = slice(16 * rank, 16 * rank + 16)
    optimizer.zero_grad()
    nn.functional.cross_entropy(wrapped(x[mine]), y[mine]).backward()
    optimizer.step()
    if watch:
        monitor.step(optimizer)
print(rank, [float(p.double().sum()).hex() for p in model.parameters()])
if watch:
    print("rows", rank, monitor.history().sizes["time"], monitor.history().attrs["failures"])
dist.destroy_process_group()
"""


def printed(folder: Path, watch: str) -> list[str]:
    """What two processes print."""
    commands = [[sys.executable, "-c", SCRIPT, str(r), watch, str(folder)] for r in (0, 1)]
    started = [subprocess.Popen(c, stdout=subprocess.PIPE, text=True) for c in commands]
    return sorted(line for p in started for line in p.communicate(timeout=100)[0].splitlines())


def test_rank_zero_measures_and_the_training_is_the_same(tmp_path: Path) -> None:
    # Kills: every rank measuring and writing; a gradient hook of the wrapper called.
    plain, watched = printed(tmp_path, "no"), printed(tmp_path, "yes")
    assert plain == watched[:2]
    assert watched[2:] == ["rows 0 3 {}", "rows 1 0 {}"]
    assert len((tmp_path / "run" / "monitor.jsonl").read_text().splitlines()) == 4
