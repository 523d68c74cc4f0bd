"""Numbers as people read them: a value with as many digits as its error allows."""

from __future__ import annotations

import math
from collections.abc import Iterable

_LARGE = 1e6
"""From here on numbers are written in powers of ten."""
NORMAL_95 = 1.96
"""Standard errors on either side of an estimate that make a normal 95 % interval; numbers further apart differ."""


def rounded(value: float | None, digits: int = 3) -> str:
    """``value`` to ``digits`` significant digits, ``-`` when there is none: ``0.0407``, ``3.9e-08``, ``1.2e+07``."""
    if value is None or not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if 1e-4 <= 10.0**exponent < _LARGE:
        return f"{value:.{max(digits - 1 - exponent, 0)}f}"
    return f"{value:.{min(digits, 2) - 1}e}"


_BEYOND_COUNTS = -34
"""Log probabilities below this are so small that one in so many is written as a power of ten."""
LEAST_CHANCE = 1e-6
"""No test of so many draws as a run has tells smaller probabilities apart."""


def chance_in_words(p_value: float) -> str:
    """The p-value of a test: ``0.037``, ``< 1e-6``."""
    return "< 1e-6" if p_value < LEAST_CHANCE else rounded(p_value, 2)


def decimals(value: float, places: int) -> str:
    """``value`` to so many places after the point, as columns have it; a large one as `rounded` has it."""
    return f"{value:.{places}f}" if abs(value) < _LARGE else rounded(value, 2)


def with_error(value: float | None, error: float | None, digits: int = 2) -> str:
    """``value ± error`` (one standard error), the error to ``digits`` significant digits and the value to its place.

    ``± ?`` when the error is not known, no error when it is zero.
    """
    if value is None:
        return rounded(value)
    if error is None or not math.isfinite(error):
        return f"{rounded(value)} ± ?"
    if error == 0:
        return rounded(value)
    if max(abs(value), error) >= _LARGE:
        return _large_with_error(value, error, digits)
    place = digits - 1 - math.floor(math.log10(float(f"{error:.{digits - 1}e}")))
    if abs(value) < 1e-4 and (value or error < 1e-4):
        return f"{value:.1e} ± {error:.0e}"
    if error >= abs(value) * 1e-7:
        return f"{value:.{max(place, 0)}f} ± {error:.{max(place, 0)}f}"
    return rounded(value)


def _large_with_error(value: float, error: float, digits: int) -> str:
    """``(1.23 ± 0.04)e+30``; apart, where one is nothing beside the other."""
    if error < abs(value) * 1e-7:
        return rounded(value)
    if abs(value) < error * 1e-4:
        return f"{rounded(value)} ± {rounded(error, digits)}"
    exponent = math.floor(math.log10(max(abs(value), error)))
    scale = 10.0**exponent
    return f"({with_error(value / scale, error / scale, digits)})e{exponent:+03d}"


def quartiles(low: float | None, high: float | None) -> str:
    """``[25 %, 75 %]`` of a spread."""
    return f"[{rounded(low, 2)}, {rounded(high, 2)}]"


def count_word(count: int) -> str:
    """A small number in words: ``two``, ``12``."""
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[count] if count < len(words) else str(count)


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 100 * 3600 else f"{decimals(seconds / 86400, 0)} days"


def in_sentences(parts: Iterable[str]) -> str:
    """Each part as a sentence, one after the other."""
    return " ".join(f"{each[0].upper()}{each[1:]}." for each in parts)


def one_in(log_probability: float) -> str:
    """How many draws it takes to see one success, to two digits: ``740 000`` or ``10^19.3``."""
    if log_probability < _BEYOND_COUNTS:
        return f"10^{-log_probability / math.log(10):.1f}"
    count = math.exp(-log_probability)
    if count < 10:
        return f"{count:.1f}"
    place = 1 - math.floor(math.log10(count))
    return f"{round(count, place):,.0f}".replace(",", " ")


def one_in_print(log_probability: float) -> str:
    """The same as pictures and pages set it: ``740 000`` or ``2·10¹⁹``."""
    if log_probability >= _BEYOND_COUNTS:
        return one_in(log_probability)
    power, rest = divmod(-log_probability / math.log(10), 1)
    digit = round(10**rest)
    power, digit = (power + 1, 1) if digit == 10 else (power, digit)
    return f"{digit}·10{f'{power:.0f}'.translate(_RAISED)}"


_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
