"""What a worker process builds, holds and refuses.

Oracle: counts of what was built, written to a file by the target itself; numbers by hand.
"""

from __future__ import annotations

import os
import pickle
import time

import pytest
import torch
from torch import nn

import theodolite as td
from theodolite.errors import (
    InvalidArgument,
    InvalidType,
    NotDeterministic,
    RunMismatch,
    TheodoliteError,
)
from theodolite.surveys import workers
from theodolite.surveys.rebuilding import name_of, rebuilt
from theodolite.surveys.surveying import configured, identified
from theodolite.surveys.target import Target
from theodolite.surveys.units import late

MINE = """
import time
from pathlib import Path
import torch
import theodolite as td

def build(drift: bool = False):
    generator = torch.Generator().manual_seed(time.time_ns() % 2**40 if drift else 0)
    with Path(__file__).with_suffix(".calls").open("a") as calls:
        calls.write("built ")
    x, y = (torch.randn(8, k, generator=generator) for k in (3, 2))
    torch.manual_seed(0)
    return td.Objective(torch.nn.Linear(3, 2), torch.nn.MSELoss(), (x, y))
"""


@pytest.fixture
def errand(tmp_path, monkeypatch):
    """An errand for a target in a file; this process plays the worker and forgets it afterwards."""
    (tmp_path / "farm_target.py").write_text(MINE)
    monkeypatch.setattr(workers, "_KEPT", {})
    monkeypatch.setenv(workers.INSIDE, "")
    monkeypatch.setattr(workers, "leave_with", lambda parent: None)

    def made(**arguments):
        name = f"{tmp_path / 'farm_target.py'}:build"
        settings = {"lines": {"steps": 3, "count": 2}}
        configuration = configured(
            measures=["lines"], settings=settings, target=name, arguments=arguments
        )
        same = identified(rebuilt(configuration), configuration)
        return workers.errand_of(configuration, same, 1)

    return made


def test_a_worker_builds_the_target_once_and_holds_one_group(errand, tmp_path):
    # kills: a model for every unit; directions of all groups held at once
    one = errand()
    for group in ("start", "line_0", "line_1"):
        assert workers.compute(one, group, 0).result is not None
        assert set(workers._KEPT) == {"name", "target", "groups", "open", "group"}
    assert workers._KEPT["group"] == "line_1"
    assert (tmp_path / "farm_target.calls").read_text() == "built built "  # here, and by the worker
    assert os.environ[workers.INSIDE] == "1"
    with pytest.raises(RunMismatch, match="E-N07"):
        workers.refuse_inside()


def test_a_target_that_comes_out_different_in_a_worker_is_refused(errand):
    # kills: rows of two different networks mixed into one plane
    one = errand(drift=True)
    workers._KEPT.clear()
    with pytest.raises(NotDeterministic, match=r"training objective .*E-N06"):
        workers.compute(one, "line_0", 0)


class Odd(Exception):
    """An error that cannot be made anew from its text, as unpickling does."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def test_what_no_pipe_can_carry_is_raised_as_an_error_of_ours(errand, monkeypatch):
    # kills: an answer the parent cannot read, taken for a worker that died
    def odd(name: str, earlier: object) -> None:
        raise Odd(1, 2)

    monkeypatch.setattr(workers, "open_group", odd)
    with pytest.raises(TheodoliteError, match=r"a worker failed: Odd: 1 and 2.*E-S23") as caught:
        workers.compute(errand(), "line_0", 0)
    assert "test_workers.py" in caught.value.where
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_worker_leaves_the_number_of_threads_as_it_was(errand):
    before = torch.get_num_threads()
    with workers.threads(before + 1) as used:
        assert (used, torch.get_num_threads()) == (before + 1, before + 1)
        workers.compute(errand(), "line_0", 0)
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def objective() -> td.Objective:
    return td.Objective(nn.Linear(3, 2), nn.MSELoss(), (torch.randn(8, 3), torch.randn(8, 2)))


def test_a_target_made_in_python_is_not_silently_computed_by_one_process():
    # kills: n_jobs ignored where a model has no name
    with pytest.raises(InvalidArgument, match=r"n_jobs=2 needs a target.*E-N09") as caught:
        td.survey(objective(), n_jobs=2)
    assert "file.py:function" in caught.value.fix
    with pytest.raises(InvalidArgument, match="E-N08"):
        td.survey(lambda: objective(), n_jobs=2)
    with pytest.raises(InvalidType, match="E-S10"):
        td.survey(nn.Linear(1, 1))  # type: ignore[arg-type]


def factory() -> Target:
    torch.manual_seed(0)
    return Target(objective(), name="made")


def test_a_factory_is_found_by_its_name_and_gives_what_its_target_gives(tmp_path):
    (tmp_path / "named.py").write_text(MINE)
    name = f"{tmp_path / 'named.py'}:build"
    assert name_of(name) == name
    assert name_of(factory) == f"{factory.__module__}:factory"
    tree = td.survey(name, measures=["lines"], settings={"lines": {"steps": 3, "count": 1}})
    assert tree.attrs["target"] == name
    with pytest.raises(InvalidArgument, match="E-N08"):
        name_of(lambda: None)


class Maker:
    def build(self):
        return factory()

    @classmethod
    def made(cls):
        return factory()


def shadowed() -> Target:
    return factory()


first = shadowed


def shadowed() -> Target:
    raise LookupError("the second of that name")


def test_a_name_that_leads_to_another_function_is_refused():
    # kills: another function called in silence; a method without its object
    with pytest.raises(InvalidArgument, match="E-N08") as caught:
        name_of(first)
    assert "leads to something else" in caught.value.why
    with pytest.raises(InvalidArgument, match="E-N08"):
        name_of(Maker().build)
    assert name_of(Maker.made) == f"{__name__}:Maker.made"
    assert name_of(shadowed) == f"{__name__}:shadowed"


def test_the_deadline_counts_the_length_of_units():
    # kills: units begun that end long after the time budget
    assert not late(None, 100.0)
    assert late(time.monotonic() + 1.0, 2.0)
    assert not late(time.monotonic() + 10.0, 2.0)
