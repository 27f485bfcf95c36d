"""Run every script of docs/gallery and keep what it writes.

python scripts/run_gallery.py build/gallery
"""

from __future__ import annotations

import argparse
import contextlib
import os
import runpy
import time
from pathlib import Path

GALLERY = Path(__file__).resolve().parents[1] / "docs" / "gallery"


def scripts() -> list[Path]:
    """The gallery, by listing its folder."""
    return sorted(GALLERY.glob("*.py"))


def main() -> None:
    """Run each script in a folder of its own."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder", type=Path, help="where pictures and pages go")
    folder = options.parse_args().folder.resolve()
    os.environ["MPLBACKEND"] = "Agg"
    for script in scripts():
        place = folder / script.stem
        place.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        with contextlib.chdir(place):
            runpy.run_path(str(script), run_name="__main__")
        print(f"{script.name}: {time.perf_counter() - began:.1f} s, in {place}")


if __name__ == "__main__":
    main()
