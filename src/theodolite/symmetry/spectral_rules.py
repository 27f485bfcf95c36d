"""Rules of Fourier transforms: places along the dimensions transformed are fixed, others free."""

from __future__ import annotations

from theodolite.symmetry.axes import freeze
from theodolite.symmetry.propagation import Axes, Call, Trace, fixed, rule

KINDS = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")


@rule(
    *(f"fft_{kind}{rank}" for kind in KINDS for rank in ("", "2", "n")),
    *("_fft_r2c", "_fft_c2r", "_fft_c2c", "fft_fftshift", "fft_ifftshift"),
)
def transformed(trace: Trace, call: Call) -> Axes:
    """Every frequency is a sum over all places, weighted by their order."""
    axes = call.first
    given = call["dim"]
    if given is None and call["s"] is not None:
        given = range(-len(call["s"]), 0)
    wanted = range(len(axes)) if given is None else given if not isinstance(given, int) else [given]
    dims = {int(d) % len(axes) for d in wanted}
    for d in dims:
        freeze(axes[d], call.reason)
    return tuple(fixed(call.shape[d], call.reason) if d in dims else a for d, a in enumerate(axes))


@rule("view_as_real", "view_as_real_copy", keeps_families=True)
def parts(trace: Trace, call: Call) -> Axes:
    """Real and imaginary parts, in this order."""
    return (*call.first, fixed(2, "real and imaginary parts"))


@rule("view_as_complex", "view_as_complex_copy", keeps_families=True)
def joined(trace: Trace, call: Call) -> Axes:
    freeze(call.first[-1], "real and imaginary parts")
    return call.first[:-1]
