"""Set-up that must come before anything imports the package, for tests and doctests alike."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
from importlib.util import find_spec

# The type checker draws from Python's generator while it checks; given one of its own, the tests
# can tell whether the package leaves the caller's alone.
_public, random.getrandbits = random.getrandbits, random.Random(0).getrandbits
import beartype  # noqa: F401

random.getrandbits = _public

import jaxtyping

# Shapes and types of every annotated function are checked while the tests run.
_hook = jaxtyping.install_import_hook("theodolite", "type_checker.checked")

import pytest
import torch

import theodolite as td

torch.set_num_threads(1)

CALLBACKS = {"lightning": "pytorch_lightning", "hugging_face": "transformers"}
collect_ignore = [  # modules that need an extra; tests/conftest.py says what was left out
    f"src/theodolite/integrations/{module}.py"
    for module, package in CALLBACKS.items()
    if find_spec(package) is None
]


@pytest.fixture(autouse=True)
def doctest_names(doctest_namespace: dict[str, object]) -> None:
    """What the examples in docstrings may use without importing it; the same seed for each."""
    torch.manual_seed(0)
    doctest_namespace.update(torch=torch, td=td)
