"""Norms, layers, summary and warm starts of a survey's spectrum.

Oracle: the functions called directly, and the dense Hessian of a small network.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import theodolite as td
from theodolite.curvature import layer_table
from theodolite.errors import InvalidArgument, StorageError
from theodolite.surveys import load_run
from theodolite.surveys.measures import MEASURES
from theodolite.surveys.measures.settings import PRODUCT
from theodolite.surveys.measures.spectrum import groups
from theodolite.surveys.plan import resolved_settings

ASKED = {
    "steps": 12,
    "probes": 3,
    "norms": True,
    "per_layer": True,
    "layer_steps": 30,
    "layer_products": 40,
    "damping": 2.0,
    "norm_probes": 4,
}


def target_of(width: int = 4, *, moved: float = 0.0) -> td.Target:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, width), nn.Tanh(), nn.Linear(width, 3))
    with torch.no_grad():
        for p in model.parameters():
            p += moved * torch.randn_like(p)
    torch.manual_seed(1)
    x, y = torch.randn(24, 5), torch.randint(3, (24,))
    return td.Target(td.Objective(model, nn.CrossEntropyLoss(), (x, y)))


@pytest.fixture(scope="module")
def target() -> td.Target:
    return target_of()


@pytest.fixture(scope="module")
def tree(target: td.Target) -> xr.DataTree:
    return td.survey(target, measures=["spectrum"], settings={"spectrum": ASKED}, seed=3)


def test_the_summary_comes_with_every_spectrum(target, tree):
    # kills: the summary of some probes, a summary only where norms were asked for
    density = tree["spectrum"].to_dataset()
    found = td.spectral_summary(density)
    facts = json.loads(density.attrs["summary"])
    assert facts["outliers"]["value"] == pytest.approx(float(found.outliers))
    assert facts["negative_mass"]["high"] == pytest.approx(float(found.negative_mass_high))
    assert facts["effective_dimension"]["value"] == pytest.approx(
        float(td.effective_dimension(density, 2.0).effective_dimension)
    )
    plain = td.survey(target, measures=["spectrum"], settings={"spectrum": {"steps": 6}})
    assert list(plain.children) == ["start", "spectrum"]
    assert "outliers" in json.loads(plain["spectrum"].attrs["summary"])
    assert "damping" not in json.loads(plain["spectrum"].attrs["summary"])


class Spare(nn.Module):
    """A network with a layer and a scale that its loss does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.spare = nn.Linear(5, 3), nn.Linear(5, 2)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.used(x)
        return made


def test_a_layer_that_the_loss_does_not_use_curves_by_zero(target):
    # kills: a layer that fails for want of a graph, a used one taken for unused
    torch.manual_seed(0)
    data = target.objective.data.source
    whole = td.Target(td.Objective(Spare(), nn.CrossEntropyLoss(), data))
    small = {"spectrum": {**ASKED, "norms": False, "steps": 4, "probes": 1}}
    tree = td.survey(whole, measures=["spectrum"], settings=small)
    assert "failures" not in tree.attrs
    layers = tree["layers"].to_dataset()
    dense = td.hessian(whole.objective).dense()
    for name, exact in (("used", float(dense.diagonal().sum())), ("spare", 0.0), ("", 0.0)):
        at = layers.sel(layer=name)
        assert float(at["trace"]) == pytest.approx(exact, rel=1e-4), name
        if not exact:
            numbers = ("largest_eigenvalue", "smallest_eigenvalue", "largest_residual")
            assert [float(at[n]) for n in numbers] == [0, 0, 0]


def test_layers_are_the_dense_hessians_blocks(target, tree):
    # kills: blocks of other parameters, layers in another order, one seed for all layers
    dense = td.hessian(target.objective).dense().double().numpy()
    layers = tree["layers"].to_dataset()
    assert layers["layer"].values.tolist() == ["0", "2"]
    for row, entries in zip(
        layer_table(layers), target.objective.space.layers().values(), strict=True
    ):
        own = np.concatenate([np.arange(e.offset, e.stop) for e in entries])
        exact = np.linalg.eigvalsh(dense[np.ix_(own, own)])
        assert row["largest_eigenvalue"] == pytest.approx(exact[-1], abs=1e-3)
        assert row["smallest_eigenvalue"] == pytest.approx(exact[0], abs=2e-3)
        assert row["trace"] == pytest.approx(exact.sum(), abs=1e-4)
        assert row["share"] == pytest.approx(exact.sum() / np.trace(dense), abs=1e-4)
    assert layers.attrs["products"] == int(layers["products"].sum())


def test_norms_are_those_of_the_functions(target, tree):
    # kills: probes or seed not passed on, the diagonal of another matrix
    norm = td.frobenius_norm(target.objective, probes=4, seed=3)
    assert float(tree["frobenius_norm"]["frobenius_norm"]) == pytest.approx(
        float(norm.frobenius_norm), rel=1e-4
    )
    entries = td.diagonal(target.objective, probes=4, seed=3).diagonal.values
    found = tree["layer_diagonals"].to_dataset()
    np.testing.assert_allclose(
        found["mean"].values, [entries[:24].mean(), entries[24:].mean()], rtol=1e-4, atol=1e-6
    )
    assert float(found["largest"][1]) == pytest.approx(entries[24:].max(), rel=1e-4)


def test_the_plan_counts_what_was_asked_for(target):
    # kills: layers or norms without cost, a unit for each probe of a layer
    plain = resolved_settings(MEASURES["spectrum"], "quick")
    asked = resolved_settings(MEASURES["spectrum"], "quick", ASKED)
    assert [g.name for g in groups(target, plain, 0)] == ["spectrum"]
    found = {g.name: g for g in groups(target, asked, 0)}
    assert list(found) == ["spectrum", "frobenius_norm", "layer_diagonals", "layers"]
    assert found["frobenius_norm"].passes == PRODUCT * 8
    assert (found["layers"].units, found["layers"].along) == (2, "layer")
    assert found["layers"].passes == PRODUCT * (24 * 2 + 40 + 40)
    for preset, there in (("quick", False), ("standard", False), ("thorough", True)):
        settings = resolved_settings(MEASURES["spectrum"], preset)
        assert (settings["per_layer"], settings["norms"]) == (there, there)


def test_settings_outside_what_they_allow_are_refused(target):
    for changes in (
        {"per_layer": 1},
        {"norms": "yes"},
        {"norms": True, "damping": -1.0},
        {"norms": True, "norm_probes": 1},
        {"per_layer": True, "layer_products": 8},
    ):
        with pytest.raises(InvalidArgument, match="must"):
            td.survey(target, measures=["spectrum"], settings={"spectrum": changes})
    for value in (-1, 1.5, True):
        with pytest.raises(InvalidArgument, match="keep_vectors"):
            td.survey(
                target,
                measures=["eigenvalues"],
                settings={"eigenvalues": {"keep_vectors": value}},
            )


def eigenvalues(target: td.Target, out: Path | None = None, **changes: object) -> xr.Dataset:
    settings = {"eigenvalues": {"count": 5, "tolerance": 1e-3, **changes}}
    tree = td.survey(target, measures=["eigenvalues"], settings=settings, out=out)
    return tree["eigenvalues"].to_dataset()


def test_eigenvectors_are_kept_in_float32_while_they_are_small(target, tmp_path):
    # kills: vectors of another order than the values, kept although too many
    cold = eigenvalues(target, tmp_path / "cold")
    kept = load_run(tmp_path / "cold")["eigenvalues"].to_dataset()
    assert kept["vector"].dtype == np.float32
    dense = td.hessian(target.objective).dense().double().numpy()
    images = kept["vector"].values.astype(float) @ dense
    off = np.linalg.norm(
        images - kept["eigenvalue"].values[:, None] * kept["vector"].values, axis=1
    )
    assert (off <= cold["residual"].values + 1e-5).all()
    assert "vector" not in eigenvalues(target, keep_vectors=5 * 39 - 1)
    assert "vector" in eigenvalues(target, keep_vectors=5 * 39)


def test_a_warm_start_reaches_the_same_pairs_with_fewer_products(target, tmp_path):
    # kills: vectors read and not used, the products of the warm run named as the cold ones
    cold = eigenvalues(target, tmp_path / "cold")
    near = target_of(moved=1e-4)
    warm = eigenvalues(near, tmp_path / "warm", warm_start=str(tmp_path / "cold"))
    alone = eigenvalues(near)
    slack = warm["residual"].values + alone["residual"].values
    assert (np.abs(warm["eigenvalue"].values - alone["eigenvalue"].values) <= slack + 1e-6).all()
    assert warm.attrs["products"] < alone.attrs["products"]
    assert warm.attrs["cold_products"] == cold.attrs["products"]
    assert (warm.attrs["cold_count"], warm.attrs["warm_vectors"]) == (5, 5)
    again = eigenvalues(near, warm_start=str(tmp_path / "warm"))
    assert again.attrs["cold_products"] == cold.attrs["products"]


def test_a_start_that_does_not_fit_is_refused_before_any_work(target, tmp_path):
    # kills: vectors of another space cut or padded, a run without vectors passing for one
    eigenvalues(target, tmp_path / "cold")
    with pytest.raises(InvalidArgument, match=r"0\.weight: \(4, 5\) there, \(6, 5\) here") as other:
        eigenvalues(target_of(6), warm_start=str(tmp_path / "cold"))
    assert other.value.code == "E-D41"
    eigenvalues(target, tmp_path / "none", keep_vectors=0)
    td.survey(target, measures=["lines"], settings={"lines": {"steps": 3}}, out=tmp_path / "lines")
    for name in ("none", "lines"):
        with pytest.raises(InvalidArgument, match="no eigenvectors") as lost:
            eigenvalues(target, warm_start=str(tmp_path / name))
        assert lost.value.code == "E-D40"
    with pytest.raises(StorageError):
        eigenvalues(target, warm_start=str(tmp_path / "absent"))


def test_kept_vectors_do_not_swell_a_csv(target, tmp_path):
    # kills: a row for every parameter beside five eigenvalues
    eigenvalues(target, tmp_path / "cold")
    files = td.export(tmp_path / "cold", tmp_path / "csv", to="csv", what="eigenvalues")
    assert [f.name for f in files] == ["eigenvalues.csv"]
    rows = [r for r in files[0].read_text().splitlines() if not r.startswith("#")]
    assert len(rows) == 6


def test_more_steps_than_eigenvalues_are_said(target):
    # kills: numbers cut in silence; a word about the numbers of a preset
    size = target.objective.space.size
    asked = {"spectrum": {"steps": size + 2, "probes": 1}}
    with pytest.warns(td.errors.TheodoliteWarning, match=f"steps of spectrum asks for {size + 2}"):
        tree = td.survey(target, measures=["spectrum"], settings=asked)
    assert tree["spectrum"].sizes["step"] <= size
    usual = {"spectrum": {"steps": 100, "probes": 1}}
    assert size < 100
    td.survey(target, measures=["spectrum"], settings=usual)
