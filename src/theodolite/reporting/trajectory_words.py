"""What a report says about the path of a training, in computed sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from theodolite.reporting.contents import Contents
from theodolite.reporting.numbers import Number
from theodolite.reporting.sentences import Cited, Sentence
from theodolite.reporting.words import MOST
from theodolite.results import OK

CLOSE = 1.1
"""Up to this factor heights on the plane may be taken for losses of the training."""


def with_path(words: Sequence[Sentence], contents: Contents) -> tuple[Sentence, ...]:
    """The words of a survey and, where there is room, the first sentence on its path."""
    return (*words, *path_sentences(contents)[:1])[:MOST]


def path_sentences(contents: Contents) -> tuple[Sentence, ...]:
    """What the axes explain beside a random walk, and how far the picture is from the path."""
    path = contents.trajectory
    if path is None:
        return ()
    return tuple(s for s in (_explained(path), _same_steps(path), _off_plane(path)) if s)


def _explained(path: xr.Dataset) -> Sentence:
    facts = path.attrs
    share = Cited("path_share", Number(100 * float(facts["principal_share"]), unit="%"))
    since = "the last point" if facts["center"] == "last" else "their mean"
    head: Sentence = (
        "The first two principal axes explain ",
        share,
        f" of the path (of the checkpoints' squared distances from {since})",
    )
    if facts["axes"] != "principal":
        plane = Cited("plane_share", Number(100 * float(facts["plane_share"]), unit="%"))
        head = (
            "The two directions drawn hold ",
            plane,
            " of the path; its first two principal axes would explain ",
            share,
        )
    if not facts.get("null_walks"):
        reason = str(facts.get("null_reason") or "none was drawn")
        return (*head, f". There is no random walk to compare with: {reason}.")
    null = Number(
        100 * float(facts["null_share"]), 100 * float(facts["null_share_error"]), unit="%"
    )
    walks, large = int(facts["null_walks"]), int(facts["null_as_large"])
    return (
        *head,
        "; a random walk of the same length would explain ",
        Cited("null_share", null),
        f" ({large:,} of {walks:,} walks as much or more).",
    )


def _same_steps(path: xr.Dataset) -> Sentence | None:
    facts = path.attrs
    if "null_same_steps_share" not in facts:
        return None
    share, error = (100 * float(facts[f"null_same_steps_share{k}"]) for k in ("", "_error"))
    return (
        "With the path's own step lengths, in random directions, it would be ",
        Cited("null_same_steps_share", Number(share, error, unit="%")),
        f" ({int(facts['null_same_steps_as_large']):,} of {int(facts['null_walks']):,} walks).",
    )


def _off_plane(path: xr.Dataset) -> Sentence | None:
    """The farthest checkpoint from the plane, and the largest factor between loss and height."""
    far, covered = (float(path[k].max()) for k in ("residual", "distance_from_start"))
    if not covered > 0:
        return None
    head = (
        "The path leaves the plane drawn by up to ",
        Cited("residual", Number(100 * far / covered, unit="%")),
        " of the distance it covers",
    )
    gap = _widest_gap(path)
    if gap is None:
        return (*head, ".")
    tail = ", so heights in the picture are not the losses of the training."
    return (
        *head,
        "; between a checkpoint's loss and the height of the surface below it lies a factor of up "
        "to ",
        Cited("height_factor", Number(gap)),
        tail if gap > CLOSE else ".",
    )


def _widest_gap(path: xr.Dataset) -> float | None:
    if not {"loss", "shadow_loss", "status", "shadow_status"} <= set(path):
        return None
    good = (path["status"].values == OK) & (path["shadow_status"].values == OK)
    true, shadow = (path[k].values[good] for k in ("loss", "shadow_loss"))
    positive = (true > 0) & (shadow > 0)
    if not positive.any():
        return None
    return float(np.exp(np.abs(np.log(true[positive] / shadow[positive])).max()))
