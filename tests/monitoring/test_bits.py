"""A monitored training is the same training, bit for bit.

Oracle: the training without a monitor, hashed after every step.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.monitoring import trainings
from torch import nn

import theodolite as td
from theodolite.monitoring import MEASURES, Measure, Moment
from theodolite.results import FAILED, OK

MAKE: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "momentum": lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9),
    "Adam": lambda m: torch.optim.AdamW(m.parameters(), lr=0.01),
}


FEW = ["loss", "path", "threshold"]


def watched(**how: Any) -> Callable[[nn.Module], td.Monitor]:
    return lambda model: trainings.monitored(model, **how)


@pytest.mark.parametrize("name", MAKE)
def test_every_state_of_training_is_the_same(name: str) -> None:
    # Kills: one forward pass outside the guard; a generator drawn from; eval() left behind; the
    # running statistics of BatchNorm updated; gradients dropped; the optimizer touched.
    plain, _ = trainings.trained(MAKE[name], None)
    seen, monitor = trainings.trained(MAKE[name], watched())
    assert monitor is not None
    history = monitor.history()
    assert history["time"].values.tolist() == [4, 8, 12]
    assert bool((history["status"] == OK).all()), history.attrs["failures"]
    assert seen == plain


def test_measuring_every_step_with_accumulated_gradients() -> None:
    # Kills: gradients of an unfinished accumulation dropped by a measurement.
    plain, _ = trainings.trained(MAKE["Adam"], None, accumulate=2)
    seen, monitor = trainings.trained(MAKE["Adam"], watched(every=1, measures=FEW), accumulate=2)
    assert monitor is not None
    assert monitor.steps == len(plain) == 6
    assert monitor.history().sizes["time"] == 6
    assert seen == plain


def test_mixed_precision_with_a_skipped_step() -> None:
    # Kills: autocast left on for a measure, or off for the training; a skipped step's angle.
    plain, _ = trainings.trained(MAKE["momentum"], None, scaler=True)
    seen, monitor = trainings.trained(MAKE["momentum"], watched(every=1, measures=FEW), scaler=True)
    assert seen == plain
    assert monitor is not None
    history = monitor.history()
    assert history.attrs["failures"] == "{}"
    assert history["step_length"].sel(time=7) == 0
    assert history["step_angle"].isnull().values.tolist()[:9] == [
        *(True, True, False, False, False, False, True, True, False)
    ]
    assert "did not move" in history.attrs["notes"]


def compiled(model: nn.Module) -> nn.Module:
    return torch.compile(model, backend="aot_eager")  # type: ignore[return-value]


def test_a_compiled_model() -> None:
    # Kills: a compiled graph asked for second derivatives, or compiled anew after a measurement.
    torch._dynamo.reset()
    plain, _ = trainings.trained(MAKE["momentum"], None, wrap=compiled)
    torch._dynamo.reset()
    with pytest.warns(td.errors.TheodoliteWarning, match="compiled"):
        seen, monitor = trainings.trained(MAKE["momentum"], watched(), wrap=compiled)
    assert monitor is not None
    assert monitor.history().attrs["failures"] == "{}"
    assert seen == plain


class Odd(Exception):
    """Of no class that anybody would think of."""


def spoiled(moment: Moment) -> dict[str, float]:
    """Touches everything it can reach, then fails."""
    model = moment.objective.model
    model.train()
    model(torch.randn(5, 6))
    model.zero_grad()
    torch.manual_seed(3)
    torch.set_grad_enabled(False)
    raise Odd("on purpose")


def test_a_measure_that_fails_is_nan_with_its_reason_and_disturbs_nothing() -> None:
    # Kills: failures that end the training; a reason not kept; other measures lost with it.
    spoiler = Measure("spoiled", {"spoil": "nothing"}, spoiled)
    text = Measure("text", {"text": "no number"}, lambda moment: {"text": "seven"})
    plain, _ = trainings.trained(MAKE["momentum"], None)
    how = watched(measures=[spoiler, text, *MEASURES.values()])
    seen, monitor = trainings.trained(MAKE["momentum"], how)
    assert seen == plain
    assert monitor is not None
    history = monitor.history()
    marks = history["status"].sel(time=4)
    assert int(marks.sel(measure="spoiled")) == FAILED
    assert int(marks.sel(measure="loss")) == OK
    reasons = json.loads(history.attrs["failures"])["4"]
    assert reasons["spoiled"] == "Odd: on purpose"
    assert reasons["text"].startswith("ValueError")
    assert bool(history["loss"].notnull().all())


def interrupting(moment: Moment) -> dict[str, float]:
    moment.objective.model.train()
    torch.rand(3)
    signal.raise_signal(signal.SIGINT)
    return {"never": 1.0}


def test_an_interrupt_passes_through_and_leaves_everything() -> None:
    # Kills: Ctrl-C taken for a failed measure; a state left behind by it.
    model = trainings.Net().train()
    optimizer = MAKE["momentum"](model)
    nn.functional.cross_entropy(model(trainings.data()[0]), trainings.data()[1]).backward()
    optimizer.step()
    monitor = trainings.monitored(model, measures=["loss", Measure("interrupt", {}, interrupting)])
    before = trainings.state(model, optimizer)
    with pytest.raises(KeyboardInterrupt):
        monitor.measure(optimizer)
    assert trainings.state(model, optimizer) == before
    assert monitor.history().sizes["time"] == 0
    assert monitor.share > 0
