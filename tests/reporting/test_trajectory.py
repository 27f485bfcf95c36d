"""The path of a training in a report.

Oracle: numbers put into the results by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests.plots.test_trajectory import path, plane

from theodolite.reporting import report, save_figures
from theodolite.reporting.contents import read_trees
from theodolite.reporting.explanations import EXPLANATIONS
from theodolite.reporting.sentences import plain_text
from theodolite.reporting.trajectory import trajectory_paths
from theodolite.reporting.trajectory_words import path_sentences, with_path

FACTS = {
    "principal_share": 0.951,
    "plane_share": 0.951,
    "center": "last",
    "checkpoints": 5,
    "checkpoints_available": 9,
    "null_walks": 200,
    "null_share": 0.9057,
    "null_share_error": 0.0004,
    "null_as_large": 0,
    "null_same_steps_share": 0.8,
    "null_same_steps_share_error": 0.01,
    "null_same_steps_as_large": 3,
    "null_reason": "",
}
LOSSES = ("loss", "loss_error", "shadow_loss", "shadow_loss_error", "status", "shadow_status")


def tree(**changes: object) -> xr.DataTree:
    """A survey of a path alone, its losses in a group of their own."""
    made = path(**{**FACTS, **changes})
    losses = made[list(LOSSES)].assign_attrs(quantity="trajectory_losses")
    return xr.DataTree.from_dict(
        {
            "trajectory": made.drop_vars(LOSSES),
            "trajectory_losses": losses,
            "trajectory_plane": plane().assign_attrs(role="trajectory", axes="principal"),
        }
    )


def words(made: xr.DataTree) -> list[str]:
    return [plain_text(s) for s in path_sentences(read_trees(made)[0])]


def test_the_sentences_say_what_was_measured_beside_the_random_walk() -> None:
    # Kills: the null of the other kind; the residual as a share of something else; the factor
    # taken where a shadow diverged (2 everywhere but there).
    first, second, third = words(tree())
    assert first == (
        "The first two principal axes explain 95.1 % of the path (of the checkpoints' squared "
        "distances from the last point); a random walk of the same length would explain "
        "90.57 ± 0.04 % (0 of 200 walks as much or more)."
    )
    assert "80 ± 1 % (3 of 200 walks)" in second
    assert "by up to 10 % of the distance" in third
    assert "a factor of up to 2, so heights in the picture are not the losses" in third


def test_other_axes_and_a_missing_null_are_told() -> None:
    given = words(tree(axes="given", plane_share=0.003))[0]
    assert given.startswith("The two directions drawn hold 0.300 % of the path; its first two")
    none = tree(null_walks=0, null_reason="the runs begin at different points")
    assert words(none)[0].endswith(
        "There is no random walk to compare with: the runs begin at different points."
    )


def test_the_plane_of_a_path_is_no_random_plane(tmp_path: object) -> None:
    # Kills: the path's plane counted among random planes, in the viewer and in headlines.
    (contents,) = read_trees(tree())
    assert contents.planes == ()
    assert contents.trajectory_plane is not None
    assert contents.trajectory is not None
    assert np.array_equal(contents.trajectory.loss, path().loss)


def test_a_stopped_survey_has_the_path_without_what_is_missing() -> None:
    made = tree()
    for gone in ("trajectory_losses", "trajectory_plane"):
        del made[gone]
        (found,) = trajectory_paths(read_trees(made))
        assert found.losses == ""
        assert "<svg" in found.picture
        assert found.rows[0][1:3] == ("none", "none")


def test_the_page_has_the_section_its_numbers_and_its_pictures(
    tmp_path: pytest.TempPathFactory,
) -> None:
    # Kills: a section without a way to it, without its table or its pitfall.
    page = report(tree(), tmp_path / "page.html").read_text()
    assert '<section class="section" id="path"' in page
    assert '<a href="#path">Path</a>' in page
    assert 'href="#pitfall-principal-axes"' in page
    assert 'id="pitfall-principal-axes"' in page
    assert re.search(r'data-cited="null_share" data-error="0.04\d*">90.57 ± 0.04 %', page)
    assert page.count("Loss at each checkpoint, and height of the surface below it") == 1
    assert "5 of 9 checkpoints; surface of 7 \N{MULTIPLICATION SIGN} 6 points" in page
    two = report({"one": tree(), "two": tree()}, tmp_path / "two.html").read_text()
    assert two.count('aria-label="Path of') == 2


def test_words_have_room_for_six() -> None:
    (contents,) = read_trees(tree())
    assert len(with_path([("a",)] * 5, contents)) == 6
    assert len(with_path([("a",)] * 6, contents)) == 6
    assert plain_text(with_path([], contents)[0]).startswith("The first two principal axes")


def test_the_pictures_are_saved_as_files(tmp_path: pytest.TempPathFactory) -> None:
    names = {p.stem for p in save_figures(tree(), tmp_path, form="svg")}
    assert {"trajectory", "trajectory_losses", "trajectory_distance"} <= names


def test_the_panel_says_what_it_shows_and_how_it_misleads(tmp_path: Path) -> None:
    # Kills: a panel without its explanation.
    text = report(tree(), tmp_path / "page.html").read_text("utf-8").replace("&#39;", "'")
    assert EXPLANATIONS["trajectory"].shows in text
    assert EXPLANATIONS["trajectory"].misleads in text


@pytest.mark.parametrize(
    ("peak", "words"), [(1e6, "log scale, clipped at 2,000"), (1900.0, "linear scale")]
)
def test_colors_end_ten_times_above_the_path(peak: float, words: str) -> None:
    # Kills: the surface's own top as the last color; the loss of a diverged shadow (1e9), or the
    # losses of the checkpoints alone (100, with shadows up to 200), as the path's highest.
    made = tree()
    slope = made["trajectory_plane"].to_dataset()
    slope["loss"][:] = np.geomspace(100, peak, slope["loss"].size).reshape(slope["loss"].shape)
    made["trajectory_plane"] = xr.DataTree(slope)
    (drawn,) = trajectory_paths(read_trees(made))
    labels = re.findall(r"loss, (\w+ scale[^<]*)<", drawn.picture)
    assert labels == [words]
