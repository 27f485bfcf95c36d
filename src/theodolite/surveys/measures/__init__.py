"""What a survey can measure, by name, in the order in which it is measured."""

from __future__ import annotations

from collections.abc import Mapping

from theodolite.surveys.measures.averaging import AVERAGING
from theodolite.surveys.measures.certificate import CERTIFICATE
from theodolite.surveys.measures.connectivity import CONNECTIVITY
from theodolite.surveys.measures.convexity import CONVEXITY
from theodolite.surveys.measures.eigenvalues import EIGENVALUES
from theodolite.surveys.measures.lines import LINES
from theodolite.surveys.measures.noise import NOISE
from theodolite.surveys.measures.planes import PLANES
from theodolite.surveys.measures.saddles import SADDLES
from theodolite.surveys.measures.sharpness import SHARPNESS
from theodolite.surveys.measures.spectrum import SPECTRUM
from theodolite.surveys.measures.start import background
from theodolite.surveys.measures.trace import TRACE
from theodolite.surveys.measures.trajectory import TRAJECTORY
from theodolite.surveys.measures.volumes import VOLUMES
from theodolite.surveys.plan import Measure

MEASURES: Mapping[str, Measure] = {
    m.name: m
    for m in (
        CERTIFICATE,
        PLANES,
        LINES,
        TRAJECTORY,
        CONNECTIVITY,
        AVERAGING,
        SPECTRUM,
        EIGENVALUES,
        CONVEXITY,
        TRACE,
        SHARPNESS,
        NOISE,
        SADDLES,
        VOLUMES,
    )
}

__all__ = ["MEASURES", "background"]
