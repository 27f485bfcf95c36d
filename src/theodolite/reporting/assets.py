"""The page's own style, script and 3-D library, joined, packed and hashed."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
from importlib import resources

FOLDER = "static"


def joined(kind: str) -> str:
    """All files of `kind` ("css" or "js") in the order of their names."""
    folder = resources.files("theodolite.reporting") / FOLDER / kind
    files = sorted((f for f in folder.iterdir() if f.name.endswith(kind)), key=lambda f: f.name)
    return "\n".join(f.read_text(encoding="utf-8").rstrip("\n") for f in files) + "\n"


def csp_hash(script: str) -> str:
    """The source expression that lets a policy allow exactly this inline script."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def plotly_source() -> str:
    """The script shipped inside the plotly package."""
    file = resources.files("plotly") / "package_data" / "plotly.min.js"
    return file.read_bytes().decode("utf-8")


@functools.cache
def packed_plotly() -> tuple[str, str]:
    """(gzip in base64, its hash for the policy); the same bytes every time."""
    source = plotly_source()
    packed = gzip.compress(source.encode("utf-8"), compresslevel=9, mtime=0)
    return base64.b64encode(packed).decode("ascii"), csp_hash(source)


def content_policy(*hashes: str) -> str:
    """Nothing from anywhere, no request to anywhere, and only the scripts with these hashes.

    Style attributes are allowed because drawings carry their own; images only from the page.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(hashes)}",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
