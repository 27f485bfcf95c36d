"""Spectrum, eigenvalues, history, certificate. Oracle: the data handed in."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from tests.plots.test_density import density
from tests.reporting.spectra import certificate, eigenvalues, spectrum, training

from theodolite import plots
from theodolite.errors import InvalidArgument
from theodolite.plots import palette


def test_the_spectrum_is_the_mean_over_probes(ax: Axes) -> None:
    # Kills: drawing one probe, or the sum.
    result = spectrum("bowl")
    plots.plot_spectral_density(result, ax, scale="linear")
    (curve,) = plots.smooth_together([result])
    floor = plots.density_floor(curve)
    np.testing.assert_allclose(
        ax.lines[0].get_ydata(), np.maximum(curve["density"].mean("probe"), floor)
    )


def test_the_band_spans_the_probes(ax: Axes) -> None:
    # Kills: a band around the mean that no probe reaches.
    result = spectrum("bowl")
    plots.plot_spectral_density(result, ax, scale="linear")
    (curve,) = plots.smooth_together([result])
    assert ax.collections[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(
        float(curve["density"].max())
    )


def test_only_what_lies_below_zero_is_shaded(ax: Axes) -> None:
    # Kills: where=value > 0.
    plots.plot_spectral_density(density([[-1.0, 1.0]], [[0.4, 0.6]]), ax)
    shade = next(c for c in ax.collections if to_hex(c.get_facecolor()[0]) == palette.NEGATIVE)
    assert shade.get_paths()[0].vertices[:, 0].max() <= 0
    assert "40 % of the weight lies below zero" in ax.get_title()
    assert "one probe: no error bar" in ax.get_title()


def test_the_kernel_is_stated_and_the_wide_axis_used_where_needed(ax: Axes) -> None:
    plots.plot_spectral_density(spectrum("chaos"), ax)
    assert ax.get_xscale() == "asinh"
    assert ax.get_xlabel() == "eigenvalue (kernel of 0.1 decades)"


def test_eigenvalues_are_marked_and_the_largest_named(ax: Axes) -> None:
    plots.plot_spectral_density(spectrum("bowl"), ax, eigenvalues=eigenvalues("bowl"), named=2)
    marks = next(x for x in ax.lines if x.get_label() == "eigenvalues")
    assert marks.get_xdata().tolist() == eigenvalues("bowl")["eigenvalue"].values.tolist()
    assert [t.get_text() for t in ax.texts] == ["1: 42", "2: 25.6"]


def test_the_bar_of_an_eigenvalue_is_its_residual(ax: Axes) -> None:
    # Kills: half a residual, or its square.
    pairs = eigenvalues("chaos")
    plots.plot_eigenvalues(pairs, ax)
    up, down = (c for c in ax.containers)
    segments = [s for c in (up, down) for s in c[2][0].get_segments()]
    half = [(s[1, 1] - s[0, 1]) / 2 for s in segments]
    np.testing.assert_allclose(half, pairs["residual"].values)
    assert [c.get_label() for c in (up, down)] == ["not negative (8)", "negative (2)"]
    assert up[0].get_marker() != down[0].get_marker()


def test_train_is_solid_and_test_dashed(ax: Axes) -> None:
    history = training("bowl")
    plots.plot_training(history, ax, label="A")
    assert [x.get_label() for x in ax.lines] == ["A: train", "A: test"]
    assert [x.get_linestyle() for x in ax.lines] == ["-", "--"]
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), history["test_loss"].values)
    assert "no error bar" in ax.get_title()


def test_a_recorded_error_becomes_a_band(ax: Axes) -> None:
    history = training("bowl")
    history["loss_error"] = 0.1 + 0 * history["loss"]
    plots.plot_training(history, ax)
    edges = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert edges.max() == pytest.approx(float(history["loss"].max()) + 0.2)


def test_every_check_is_a_row(ax: Axes) -> None:
    plots.plot_certificate(certificate("uncertified"), ax)
    assert ax.get_title(loc="left").startswith("uncertified: the product differs")
    rows = plots.certificate_rows(certificate("uncertified"))
    assert [r[3] for r in rows] == ["yes", "yes", "NO", "yes", "yes"]
    assert rows[2][:3] == ["product agrees with central differences", "0.19", "0.0001"]


@pytest.mark.parametrize(
    "plot", [plots.plot_spectral_density, plots.plot_eigenvalues, plots.plot_certificate]
)
def test_another_quantity_is_refused(plot: object, ax: Axes) -> None:
    with pytest.raises(InvalidArgument, match="this plot draws a result of quantity"):
        plot(training("bowl"), ax)  # type: ignore[operator]


def test_plots_and_reports_never_import_torch() -> None:
    # Kills: any import that drags torch in; a report is rebuilt where torch is not installed.
    code = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch':\n"
        "            raise ImportError('torch is blocked')\n"
        "sys.meta_path.insert(0, Block())\n"
        "import theodolite.plots, theodolite.reporting\n"
        "assert 'torch' not in sys.modules\n"
        "print('clean')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("clean\n", 0), done.stderr
