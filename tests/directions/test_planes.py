"""Many random planes.

Oracle: `random_directions` with the seeds that a survey makes.
"""

from __future__ import annotations

import pytest
import torch

import theodolite as td
from theodolite.errors import InvalidArgument
from theodolite.seeds import child_seed

from .networks import DTYPES, NAMES, objective


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_each_plane_has_the_directions_of_its_own_seed(name, dtype):
    # kills: one seed for all planes, seed + k, another name of the stream
    made = objective(name, dtype)
    for k, directions in enumerate(td.random_planes(made, count=3, normalize="layer", seed=7)):
        own = child_seed(7, "plane", k)
        assert torch.equal(directions, td.random_directions(made, normalize="layer", seed=own))
        assert directions.dtype == dtype


def test_a_survey_draws_the_same_planes():
    # kills: planes of Python users that differ from those of a survey
    made = objective(NAMES[1])
    settings = {"planes": {"count": 2, "steps": [3, 3]}}
    tree = td.survey(td.Target(made), measures=["planes"], settings=settings, seed=5)
    for k, directions in enumerate(td.random_planes(made, count=2, seed=5)):
        loss = td.plane(made, directions, steps=(3, 3)).loss
        assert loss.values.tolist() == tree[f"plane_{k}"]["loss"].values.tolist()


def test_theta_says_whose_norms_count():
    made = objective(NAMES[1])
    first, second = (next(td.random_planes(made, theta=t)) for t in (made.start, 2 * made.start))
    torch.testing.assert_close(second, 2 * first)


@pytest.mark.parametrize(
    ("settings", "message"), [({"count": 0}, "at least 1; got 0"), ({"normalize": "x"}, "got 'x'")]
)
def test_refusals_come_before_the_first_plane(settings, message):
    with pytest.raises(InvalidArgument, match=message):
        td.random_planes(objective(NAMES[1]), **settings)
