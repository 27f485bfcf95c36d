"""Several minima as a graph: the lowest path found between any two, and their spanning tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.connectivity.arguments import count, share
from theodolite.connectivity.band_checks import refuse_shared
from theodolite.connectivity.ends import passed, recomputed
from theodolite.connectivity.graph_paths import KINDS, Tried, Trying
from theodolite.connectivity.linear import pair_of
from theodolite.connectivity.pairs import BOTH, labels_of, points_of
from theodolite.connectivity.spanning_trees import Edge, saddles, spanning_tree
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective


def minima_graph(
    objective: Objective,
    thetas: Iterable[Any],
    *,
    names: Sequence[str] | None = None,
    paths: Sequence[str] = KINDS,
    align: Any = None,
    enough: float = 0.01,
    most_bands: int | None = None,
    curve_settings: Mapping[str, Any] | None = None,
    band_settings: Mapping[str, Any] | None = None,
    test: Objective | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    r"""The lowest saddle found between any two of several minima, by their spanning tree.

    .. math:: s_{ij} = \min_{\text{ways } i \to j}\; \max_{(k, l) \text{ on the way}} h_{kl},
        \qquad h_{kl} = \max_t L(\theta_{kl}(t))

    Every pair is joined by the straight line. A curve, and then an elastic band, is tried only
    where it can still lower the minimum spanning tree of the heights: from the tree's highest edge
    down, that edge is taken away, and the pair tried is the edge itself or, once that was done,
    the one with the lowest path so far among those that join the two parts again, until no pair is
    left whose ends lie below the edge (Draxler et al.).

    Parameters
    ----------
    thetas
        Two or more minima, each a flat tensor or a state dict.
    names
        What to call them; by default their numbers.
    paths
        Which kinds are tried: ``"line"`` always, ``"curve"``, ``"band"``.
    align
        Passed on to `barrier` and `curve`: each second point permuted to fit the first. Bands
        begin on the curves, with their ends, so with ``"band"`` it needs ``"curve"``.
    enough
        A path is good where its excess over the higher end is at most this share of the straight
        line's: nothing better is looked for.
    most_bands
        Elastic bands at most; by default as many as can help.
    curve_settings, band_settings
        Settings of `curve` and `elastic_band`.
    test, level, resamples
        As for `barrier`.

    Returns
    -------
    xarray.Dataset
        With dimensions ``(first, second)``, symmetric: ``height``, the largest loss on the lowest
        path of the pair, on the diagonal the loss of the minimum; ``saddle``, the minimax above;
        ``kind`` of that lowest path (1 line, 2 curve, 3 band, 0 on the diagonal); ``tree`` (1 for
        the tree's edges); ``line_height``, ``curve_height``, ``band_height`` (NaN: not tried);
        ``saddle_excess`` of the lowest path with ``_low`` and ``_high``; ``distance``;
        ``test_height``, on the same path; ``status`` (2 diverged: no path is finite).
        ``minimum_loss(first)`` (and ``test_``). By ``edge``, lowest first: ``edge_first``,
        ``edge_second``, ``edge_height``, ``edge_kind``. ``mean_minimum_loss`` and
        ``mean_edge_height`` with ``_spread`` (standard deviations), as Draxler reports.

    Raises
    ------
    InvalidArgument
        For fewer than two points or names that are not theirs (E-A05), kinds there are not, or an
        `enough` or `most_bands` out of range (E-A30); else as `barrier`, `curve`, `elastic_band`.
    UnsupportedModel
        For an objective shared by processes (E-A22).

    Notes
    -----
    Costs a `barrier` for each of the n (n - 1) / 2 pairs, and between n - 1 and all pairs a
    `curve` and an `elastic_band`, where lines are not good enough. Holds all minima and three
    vectors for every curve. With BatchNorm layers all paths are measured with recomputed
    statistics. Heights are upper bounds: an edge that no path was found for may be lower. That
    makes the tree's heights high rather than low, and the more so the fewer pairs were tried.
    Saddles are those of an ultrametric: of any three pairs among three points, the two highest
    are equal.

    References
    ----------
    Draxler, Veschgini, Salmhofer, Hamprecht (2018), arXiv:1803.00885.

    Examples
    --------
    >>> class Wells(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.zeros(1))
    ...     def forward(self, x):
    ...         return x * torch.sin(torch.pi * self.w)  # zero at whole numbers, 1 between
    >>> wells = Objective(Wells(), torch.nn.MSELoss(), (torch.ones(2, 1), torch.zeros(2, 1)))
    >>> minima = torch.tensor([[0.0], [1.0], [2.0]])
    >>> found = minima_graph(wells, minima, paths=["line"])
    >>> found.saddle.values.round(3).tolist()
    [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    kinds = _kinds(paths, align)
    check_search(enough, most_bands)
    count(resamples, "resamples", least=1)
    share(level, "level")
    refuse_shared(objective, "a graph of minima")
    objectives = {p: recomputed(o) for p, o in pair_of(objective, test).items()}
    given = list(thetas) if hasattr(thetas, "__iter__") and not hasattr(thetas, "keys") else thetas
    ends = points_of(objectives[""], given)
    names = labels_of(names, len(ends))
    losses = {
        p: np.array([passed(o, end.theta, {}).loss() for end in ends])
        for p, o in objectives.items()
    }
    shared = {"level": level, "resamples": resamples, "test": objectives.get("test_")}
    settings = {"curve": curve_settings or {}, "band": band_settings or {}}
    how = Trying(settings, align, enough, most_bands, shared, seed)
    tried = Tried(objectives[""], list(given), how)
    for i in range(len(ends)):
        for j in range(i + 1, len(ends)):
            tried.try_path("line", (i, j))
    floors = np.maximum(losses[""][:, None], losses[""][None, :])
    for kind in kinds[1:]:
        tried.improve(kind, floors)
    heights = tried.lowest()
    np.fill_diagonal(heights, losses[""])
    tree = spanning_tree(heights)
    matrices = _matrices(tried, heights, tree, losses)
    return results.dataset(
        "minima_graph",
        matrices | _edges(tried, heights, tree) | _minima(losses, heights, tree),
        {"first": names, "second": names},
        **objectives[""].facts(),
        paths=list(kinds),
        align="none" if align is None else align if isinstance(align, str) else "given",
        enough=float(enough),
        most_bands=most_bands,
        lines=len(tried.heights.get("line", {})),
        curves=len(tried.heights.get("curve", {})),
        bands=len(tried.heights.get("band", {})),
        level=float(level),
        resamples=resamples,
        seed=seed,
        passes=tried.passes + len(ends) * len(objectives),
        gradients=tried.gradients,
        **({} if test is None else {"test_fingerprint": test.fingerprint}),
    )


def _kinds(paths: Any, align: Any) -> list[str]:
    """The kinds asked for, from the cheapest."""
    asked = [paths] if isinstance(paths, str) else list(paths)
    if set(asked) - set(KINDS):
        raise InvalidArgument(
            f"paths must be some of {', '.join(map(repr, KINDS))}; got {asked}.", code="E-A30"
        )
    kinds = [kind for kind in KINDS if kind == "line" or kind in asked]
    if align is not None and "band" in kinds and "curve" not in kinds:
        raise InvalidArgument(
            "paths with align must have a curve before a band.",
            why="a band begins on the curve, whose end was permuted.",
            fix='pass paths=("line", "curve", "band").',
            code="E-A30",
        )
    return kinds


def check_search(enough: Any, most_bands: Any) -> None:
    """Raise for bounds of the search out of range."""
    number = isinstance(enough, int | float | np.number) and not isinstance(enough, bool)
    if not number or not 0 <= enough < 1:
        raise InvalidArgument(
            f"enough must be 0 or more and below 1; got {enough!r}.", code="E-A30"
        )
    if most_bands is not None:
        count(most_bands, "most_bands", least=0)


def _matrices(
    tried: Tried, heights: np.ndarray, tree: list[Edge], losses: dict[str, np.ndarray]
) -> dict[str, results.Variable]:
    """Everything there is a number of for each pair."""
    shown = np.where(np.isfinite(heights), heights, np.nan)
    between = saddles(heights, tree)
    made: dict[str, results.Variable] = {
        "height": (BOTH, shown, {"long_name": "largest loss on the lowest path"}),
        "saddle": (
            BOTH,
            np.where(np.isfinite(between), between, np.nan),
            {"long_name": "lowest saddle between two minima"},
        ),
        "tree": (BOTH, _filled(heights, dict.fromkeys(tree, 1), 0), {"long_name": "1 in the tree"}),
    }
    best = tried.best()
    codes = {pair: KINDS.index(kind) + 1 for pair, (kind, _) in best.items()}
    told = "kind of the lowest path: 1 line, 2 curve, 3 band"
    made["kind"] = (BOTH, _filled(heights, codes, 0), {"long_name": told})
    for kind in KINDS:
        values = tried.matrix(kind)
        made[f"{kind}_height"] = (BOTH, values, {"long_name": f"largest loss on the {kind}"})
    words = "largest loss on the lowest path minus the larger of the ends"
    for k, (end, word) in enumerate((("", ""), ("_low", "lower"), ("_high", "upper"))):
        values = _filled(heights, {p: h.excess[k] for p, (_, h) in best.items()}, 0.0)
        long_name = f"{word} end of the {words}" if word else words
        made[f"saddle_excess{end}"] = (BOTH, values, {"long_name": long_name})
    distances = _filled(heights, tried.distances, 0.0)
    made["distance"] = (BOTH, distances, {"long_name": "distance"})
    if "test_" in losses:
        values = _filled(heights, {p: h.test_loss for p, (_, h) in best.items()}, 0.0)
        np.fill_diagonal(values, losses["test_"])
        made["test_height"] = (BOTH, values, {"long_name": "largest test loss on that path"})
    ok = np.where(np.isfinite(heights), results.OK, results.DIVERGED)
    made["status"] = results.status_variable(BOTH, ok)
    return made


def _filled(
    like: np.ndarray, values: Mapping[Edge, float | int], diagonal: float | int
) -> np.ndarray:
    """A symmetric matrix of the numbers of pairs."""
    made = np.full(like.shape, diagonal)
    for (i, j), value in values.items():
        made[i, j] = made[j, i] = value
    return made


def _edges(tried: Tried, heights: np.ndarray, tree: list[Edge]) -> dict[str, results.Variable]:
    best = tried.best()
    kinds = [KINDS.index(best[edge][0]) + 1 for edge in tree]
    return {
        "edge_first": (("edge",), [i for i, _ in tree], {"long_name": "first end of an edge"}),
        "edge_second": (("edge",), [j for _, j in tree], {"long_name": "second end of an edge"}),
        "edge_height": (
            ("edge",),
            [heights[e] if np.isfinite(heights[e]) else np.nan for e in tree],
            {"long_name": "largest loss on an edge of the tree"},
        ),
        "edge_kind": (("edge",), kinds, {"long_name": "kind of path: 1 line, 2 curve, 3 band"}),
    }


def _minima(
    losses: dict[str, np.ndarray], heights: np.ndarray, tree: list[Edge]
) -> dict[str, results.Variable]:
    """The minima's losses, and means over minima and edges with their spread."""
    made: dict[str, results.Variable] = {}
    for prefix, values in losses.items():
        split = "test " if prefix else ""
        name = f"{prefix}minimum_loss"
        made[name] = (("first",), values, {"long_name": f"{split}loss of the minima"})
    edges = np.array([heights[edge] for edge in tree])
    for name, values, words in (
        ("minimum_loss", losses[""], "loss of the minima"),
        ("edge_height", edges, "largest loss of the tree's edges"),
    ):
        finite = bool(np.isfinite(values).all())
        mean = values.mean() if finite else np.nan
        spread = values.std(ddof=1) if finite and len(values) > 1 else np.nan
        made[f"mean_{name}"] = ((), mean, {"long_name": f"mean {words}"})
        told = f"standard deviation of the {words}"
        made[f"{name}_spread"] = ((), spread, {"long_name": told})
    return made
