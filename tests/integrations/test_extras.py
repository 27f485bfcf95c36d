"""A callback whose package is not installed says how to install it."""

from __future__ import annotations

import subprocess
import sys

import pytest

CASES = {
    "lightning": (["pytorch_lightning", "lightning"], "theodolite[lightning]"),
    "hugging_face": (["transformers"], "theodolite[hf]"),
}


@pytest.mark.parametrize("module", CASES)
def test_a_missing_extra_is_named(module: str) -> None:
    # Kills: a bare ImportError; an import of the extra at the top of the package.
    missing, extra = CASES[module]
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({missing!r}))\n"
        f"import theodolite.integrations.{module}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert f'Fix: pip install "{extra}"' in done.stderr
