"""The tests' own type checker: what it keeps from one definition to the next, and what not."""

from __future__ import annotations

from typing import Any

import jaxtyping
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from type_checker import checked


def made(annotation: Any, factor: int) -> Any:
    def inner(x: annotation) -> annotation:
        return factor * x

    inner.__annotations__ = {"x": annotation, "return": annotation}
    return jaxtyping.jaxtyped(inner, typechecker=checked)


def test_functions_made_anew_are_checked_and_do_their_own() -> None:
    # kills: the first function called for every later one of its name; annotations not compared
    for factor in (2, 3):
        assert made(int, factor)(5) == 5 * factor
        with pytest.raises(jaxtyping.TypeCheckError):
            made(int, factor)("a")
    assert made(str, 2)("a") == "aa"
    pairs = made(Float[Tensor, "n n"], 2)
    assert torch.equal(pairs(torch.ones(2, 2)), 2 * torch.ones(2, 2))
    with pytest.raises(jaxtyping.TypeCheckError):
        pairs(torch.ones(2, 3))
