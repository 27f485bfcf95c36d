"""Several minima as a graph: the lowest path found between any two, and their spanning tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.connectivity import graph_results
from theodolite.connectivity.arguments import count, share
from theodolite.connectivity.band_checks import refuse_shared
from theodolite.connectivity.ends import passed, recomputed
from theodolite.connectivity.graph_paths import KINDS, QUANTITIES, Tried, Trying
from theodolite.connectivity.linear import pair_of
from theodolite.connectivity.pairs import labels_of, points_of
from theodolite.connectivity.segments import Advance
from theodolite.connectivity.spanning_trees import Edge, spanning_tree
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
    known: Mapping[Edge, Sequence[xr.Dataset]] | None = None,
    test: Objective | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    progress: Advance | None = None,
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
    known
        Paths that were measured before, by their pair ``(i, j)``, ``i < j``: results of `barrier`,
        `curve` and `elastic_band` from the i-th minimum to the j-th. They are taken as they are.
    test, level, resamples
        As for `barrier`.
    progress
        Called as ``progress("curve 1-2, step", done, of)``, minima counted from one.

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
        `enough` or `most_bands` out of range (E-A30); `known` paths of other pairs, objectives or
        statistics, or that do not end at the minima (E-S51); else as `barrier`, `curve` and
        `elastic_band`.
    UnsupportedModel
        For an objective shared by processes (E-A22).

    Notes
    -----
    Costs a `barrier` for each of the n (n - 1) / 2 pairs, and between n - 1 and all pairs a
    `curve` and an `elastic_band`, where lines are not good enough, and one pass a minimum where
    all paths are `known`. Holds all minima and three
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
    how = Trying(settings, align, enough, most_bands, shared, seed, progress)
    tried = Tried(objectives[""], list(given), how)
    _take(tried, known or {}, losses[""])
    for pair in combinations(range(len(ends)), 2):
        if pair not in tried.heights.get("line", {}):
            tried.try_path("line", pair)
    floors = np.maximum(losses[""][:, None], losses[""][None, :])
    for kind in kinds[1:]:
        tried.improve(kind, floors)
    heights = tried.lowest()
    np.fill_diagonal(heights, losses[""])
    tree = spanning_tree(heights)
    made = graph_results.matrices(tried, heights, tree, losses)
    made |= graph_results.edges(tried, heights, tree)
    made |= graph_results.minima(losses, heights, tree)
    return results.dataset(
        "minima_graph",
        made,
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


def _take(tried: Tried, known: Mapping[Edge, Sequence[xr.Dataset]], losses: np.ndarray) -> None:
    """Paths measured before, after a look at whose they are."""
    pairs = set(combinations(range(len(losses)), 2))
    for pair, paths in known.items():
        for path in paths:
            kind = QUANTITIES.get(str(path.attrs.get("quantity")))
            wrong = _stranger(tried.objective, path) if kind else "no path"
            if pair not in pairs:
                wrong = f"of none of the pairs of {len(losses)} minima"
            elif not wrong and not np.allclose(
                path["loss"].values[[0, -1]], losses[list(pair)], rtol=1e-3, equal_nan=True
            ):
                wrong = "between points whose losses are not those of the minima"
            if wrong or kind is None:
                raise InvalidArgument(
                    f"known must hold paths between the minima; that of {pair} is {wrong}.",
                    fix="pass results of barrier, curve or elastic_band from the i-th minimum to "
                    "the j-th by (i, j), i < j, with BatchNorm statistics recomputed.",
                    code="E-S51",
                )
            tried.keep(kind, pair, path)


def _stranger(objective: Objective, path: xr.Dataset) -> str:
    """Whose path it is, if not the objective's."""
    alike = path.attrs.get("fingerprint") == objective.fingerprint
    return "" if alike else "of another objective, or with other BatchNorm statistics"
