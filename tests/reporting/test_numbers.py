"""How numbers are written. Oracles: the rule by hand, and reading the text back."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theodolite.reporting.numbers import Number, error_place, parts, text

M = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "error", "written"),
    [
        (12.4, 0.3, "12.4 ± 0.3"),
        (12.43, 0.3, "12.4 ± 0.3"),
        (12.4123, 0.284, "12.41 ± 0.28"),
        (3.1e-4, 2e-5, "3.1e-4 ± 0.2e-4"),
        (0.31, 0.02, "0.31 ± 0.02"),
        (99.96, 0.12, "99.96 ± 0.12"),
        (-0.5, 0.0996, f"{M}0.5 ± 0.1"),  # the error rounds up to the next decade
        (12345.0, 120.0, "12,340 ± 120"),
        (1234567.0, 1200.0, "1.2346e6 ± 0.0012e6"),
        (999999.6, 12.0, "1.000000e6 ± 0.000012e6"),  # the value rounds up to the next decade
        (9.996e-4, 1.2e-5, "1.000e-3 ± 0.012e-3"),
        (2.0, 3.0, "2 ± 3"),
        (0.004, 0.31, "0.004 ± 0.31"),  # never 0.00
        (-1e-5, 0.31, f"{M}0.00001 ± 0.31"),
        (0.0, 0.31, "0 ± 0.31"),
        (42.123456789, 3.14e-6, "42.1234568 ± 3.1e-6"),
        (4e-4, 9e-4, "4e-4 ± 9e-4"),
        (2e12, 3e10, "2.00e12 ± 0.03e12"),
        (1.5, 0.0, "1.50"),
        (0.3812, 0.0, "0.381"),
    ],
)
def test_two_digits_of_the_error_decide(value: float, error: float, written: str) -> None:
    # Kills: one or three digits of the error, digits of the value kept, truncation.
    assert text(Number(value, error)) == written


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (Number(77562, exact=True), "77,562 exact"),
        (Number(12.5, exact=True), "12.5 exact"),
        (Number(3.1e-4, exact=True), "3.1e-4 exact"),
        (Number(12, 0.5, exact=True), "12 exact"),
        (Number(94.5, 0.5, unit="%"), "94.5 ± 0.5 %"),
        (Number(3, exact=True, unit="planes"), "3 planes exact"),
        (Number(0.123456), "0.123"),
        (Number(272474.0), "272,474"),
        (Number(1e-7), "1.00e-7"),
        (Number(math.nan, 1.0), "not finite"),
        (Number(math.inf), "not finite"),
        (Number(5.0, math.nan), "5"),
    ],
)
def test_numbers_without_an_error_bar(number: Number, written: str) -> None:
    assert text(number) == written


@pytest.mark.parametrize(("error", "place"), [(0.28, -2), (0.3, -1), (0.0996, -1), (120.0, 1)])
def test_the_place_of_the_last_digit(error: float, place: int) -> None:
    assert error_place(error) == place


def read(written: str) -> float:
    """A written number as a float."""
    return float(written.replace(M, "-").replace(",", ""))


sizes = st.floats(min_value=1e-12, max_value=1e12)


@given(value=sizes, sign=st.sampled_from([-1, 1]), error=sizes)
def test_what_is_written_is_the_number_to_within_half_a_digit(
    value: float, sign: int, error: float
) -> None:
    # Kills: a shared exponent applied to one of the two, a rounding that carries and is lost.
    shown, bar = parts(Number(sign * value, error))
    assert bar is not None
    unit = 10.0 ** error_place(error)
    assert abs(read(bar) - error) <= 0.5001 * unit
    assert abs(read(shown) - sign * value) <= max(0.5001 * unit, 1e-9 * value)


@given(value=sizes, error=sizes)
def test_nothing_but_zero_is_written_as_zero(value: float, error: float) -> None:
    shown, bar = parts(Number(value, error))
    assert bar is not None
    assert read(shown) > 0
    assert read(bar) > 0


@given(error=sizes)
def test_zero_is_written_without_decimals(error: float) -> None:
    # Kills: "0.00 ± 0.31".
    assert parts(Number(0.0, error))[0] == "0"


@given(value=sizes, error=sizes)
def test_an_error_has_at_most_two_digits(value: float, error: float) -> None:
    _, bar = parts(Number(value, error))
    assert bar is not None
    digits = re.sub(r"e-?\d+$", "", bar).replace(",", "").replace(".", "").strip("0")
    assert 1 <= len(digits) <= 2


def test_no_number_has_more_digits_than_a_computation() -> None:
    # Kills: nineteen digits of a float64 because its error is tiny.
    assert parts(Number(3.480336867748922e30, 5.4e15)) == ("3.480336868e30", "5.4e15")
    assert parts(Number(-2 / 3, 1e-14)) == ("\N{MINUS SIGN}0.6666666667", "1e-14")
