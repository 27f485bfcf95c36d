"""Tiny configurations of Hugging Face's models.

Oracle: the function itself in float64, and groups counted by hand.
"""

from __future__ import annotations

import re
import warnings
from functools import cache
from pathlib import Path

import pytest
from tests.symmetry.pretrained_designs import DESIGNS

import theodolite as td
from theodolite.errors import InvalidArgument, InvalidType

pytestmark = pytest.mark.filterwarnings("ignore")  # of transformers

PAGE = Path(__file__).parents[2] / "docs" / "symmetry.md"


@cache
def discovered(name: str) -> td.Symmetries:
    design = DESIGNS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return td.symmetries(design.model(), design.inputs, outputs=design.outputs)


@cache
def rows() -> dict[str, tuple[int, float]]:
    """Groups and coverage in per cent by family, as the page has them."""
    found = re.findall(r"^\| ([\w-]+) \| `\w+` \| (\d+) \| ([\d.]+) % \|", PAGE.read_text(), re.M)
    return {name: (int(groups), float(share)) for name, groups, share in found}


@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_the_groups_of_a_pretrained_design(name: str) -> None:
    # Kills: fused qkv by Conv1D, norms that go through float32, masks made in place; a picked
    # entry of which only the shape is used (BART); and, by the control, a proof that moves nothing.
    found = discovered(name)
    assert sorted(g.size for g in found.groups) == sorted(DESIGNS[name].sizes)
    assert found.verify(seed=1) <= 1e-9
    assert found.coverage > 0.99
    assert not found.unknown
    assert rows()[name] == (len(found.groups), round(100 * found.coverage, 1))  # of the docs
    assert not any("changed" in f.reason for f in found.frozen)
    drawn, trial = found.random(1), found._proof.trial(1)
    for group in found.groups:
        moved = trial.moved(found, {group.name: drawn[group.name]})
        still = found._proof.aliases({group.members[0][0]})
        assert trial.changed({n: t for n, t in moved.items() if n not in still}) > 1e-8, group.name


def test_the_table_of_the_page_has_every_design() -> None:
    assert list(rows()) == list(DESIGNS)


def test_hidden_states_among_the_outputs_stay_in_order() -> None:
    # Kills: outputs that are ignored; a model that keeps what picks them.
    design = DESIGNS["T5"]
    model = design.model()
    whole = td.symmetries(model, design.inputs)
    assert any(f.reason == "an output of the model" and f.size == 8 for f in whole.frozen)
    assert 8 not in {g.size for g in whole.groups}
    assert 8 in {g.size for g in discovered("T5").groups}
    assert not model._forward_hooks


def test_outputs_that_are_not_there_are_refused() -> None:
    design = DESIGNS["ViT"]
    with pytest.raises(InvalidArgument, match="ImageClassifierOutput") as caught:
        td.symmetries(design.model(), design.inputs, outputs=lambda made: made.hidden)
    assert caught.value.code == "E-A65"
    with pytest.raises(InvalidType, match="got str") as refused:
        td.symmetries(design.model(), design.inputs, outputs="logits")  # type: ignore[arg-type]
    assert refused.value.code == "E-A64"
