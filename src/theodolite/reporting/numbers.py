"""How a number with its error is written: two digits of the error decide the digits shown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

MINUS = "\N{MINUS SIGN}"
SMALL, LARGE = 1e-3, 1e6
"""Outside these magnitudes a number is written with an exponent."""
FINEST_PLACE = -5
"""Errors with digits beyond the fifth decimal are written with an exponent of their own."""
WITHOUT_ERROR = 3
"""Significant digits of a number nobody put an error on."""
MOST_DIGITS = 10
"""Significant digits of any number: a smaller error is written by itself."""


@dataclass(frozen=True)
class Number:
    """A value, its error (one standard error or a bound; ``None`` without one) and its unit."""

    value: float | int
    error: float | int | None = None
    exact: bool = False
    unit: str = ""


def text(number: Number) -> str:
    """The whole number as one string.

    >>> text(Number(12.412, 0.3)), text(Number(0.00031, 2e-5)), text(Number(77562, exact=True))
    ('12.4 ± 0.3', '3.1e-4 ± 0.2e-4', '77,562 exact')
    >>> text(Number(12.4123, 0.284, unit="%"))
    '12.41 ± 0.28 %'
    """
    value, error = parts(number)
    unit = f" {number.unit}" if number.unit else ""
    if error is not None:
        return f"{value} ± {error}{unit}"
    return f"{value}{unit} exact" if number.exact else f"{value}{unit}"


def parts(number: Number) -> tuple[str, str | None]:
    """The value and the error as they are written; ``None`` where there is no error to write.

    The error is rounded to two significant digits (a second digit that is zero is left out) and
    the value to the same place. A value too small for that place keeps one digit of its own: a
    number that is not zero is never written as zero.

    >>> parts(Number(0.004, 0.31)), parts(Number(12345.0, 120.0)), parts(Number(2 / 3, 1e-14))
    (('0.004', '0.31'), ('12,340', '120'), ('0.6666666667', '1e-14'))
    """
    value, error = number.value, number.error
    if not math.isfinite(value):
        return "not finite", None
    if number.exact or error is None or not math.isfinite(error):
        return _alone(value, number.exact), None
    if error <= 0:
        return _alone(value, exact=False), None
    place = error_place(error)
    if value and place < (finest := math.floor(math.log10(abs(value))) - MOST_DIGITS + 1):
        rounded = _rounded(value, finest)
        value_text = _written(rounded, finest, _shared_exponent(value, 0, finest))
        return value_text, _trimmed(_with_exponent(error, 2))
    exponent = _shared_exponent(value, error, place)
    shown = _rounded(value, place)
    if shown == 0 and value != 0:
        place_of_value = math.floor(math.log10(abs(value)))
        value_text = _written(_rounded(value, place_of_value), place_of_value, exponent)
    else:
        value_text = _written(shown, place, exponent)
    return value_text, _written(_rounded(error, place), place, exponent)


def error_place(error: float | int) -> int:
    """The power of ten of the last digit shown, decided by two digits of `error`.

    >>> error_place(0.28), error_place(0.3), error_place(0.0996), error_place(120.0)
    (-2, -1, -1, 1)
    """
    mantissa, exponent = f"{error:.1e}".split("e")
    return int(exponent) - (0 if mantissa.endswith(".0") else 1)


def _rounded(value: float | int, place: int) -> Decimal:
    return Decimal(repr(value)).quantize(Decimal(1).scaleb(place))


def _shared_exponent(value: float | int, error: float | int, place: int) -> int | None:
    """The exponent value and error are both written with, ``None`` for plain notation."""
    size = max(abs(_rounded(value, place)), _rounded(error, place))
    least = SMALL if place >= FINEST_PLACE else 100 * SMALL
    return None if Decimal(str(least)) <= size < Decimal(str(LARGE)) else size.adjusted()


def _written(value: Decimal, place: int, exponent: int | None) -> str:
    if value == 0:
        return "0"
    if exponent is None:
        if place < FINEST_PLACE and abs(value) < Decimal(str(SMALL)):
            return _signed(_trimmed(_with_exponent(float(value), 2)))
        return _signed(f"{value:,.{max(-place, 0)}f}")
    return _signed(f"{value.scaleb(-exponent):.{max(exponent - place, 0)}f}e{exponent}")


def _alone(value: float | int, exact: bool) -> str:
    if value == int(value) and (exact or abs(value) < LARGE) and abs(value) < 1e15:
        return _signed(f"{int(value):,}")
    digits = 6 if exact else WITHOUT_ERROR
    size = abs(float(f"{value:.{digits - 1}e}"))
    if SMALL <= size < LARGE:
        place = math.floor(math.log10(size)) - digits + 1
        plain = f"{_rounded(value, place):,.{max(-place, 0)}f}"
        return _signed(_trimmed(plain) if exact else plain)
    written = _with_exponent(value, digits)
    return _signed(_trimmed(written) if exact else written)


def _with_exponent(value: float | int, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _trimmed(written: str) -> str:
    """`written` without zeros that end its decimals."""
    mantissa, mark, exponent = written.partition("e")
    short = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{short}{mark}{exponent}"


def _signed(written: str) -> str:
    return written.replace("-", MINUS, 1) if written.startswith("-") else written
