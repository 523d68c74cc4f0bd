"""Tiny validators shared by every room. A message gives the value received and what is allowed."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class InputError(ValueError):
    """A value from outside that cannot be used: an option, a file, a plug-in. The command line exits with 2 on it."""


def positive_integer(name: str, value: Any) -> int:
    """``value`` as an int of at least 1."""
    return integer_in(name, value, 1)


def integer_in(name: str, value: Any, low: int, high: int | None = None) -> int:
    """``value`` as an int in ``[low, high]``; ``high=None`` leaves the upper end open."""
    whole = not isinstance(value, bool) and hasattr(value, "__index__")
    if not whole or int(value) < low or (high is not None and int(value) > high):
        allowed = f"at least {low}" if high is None else f"from {low} to {high}"
        raise InputError(f"{name} is {value!r}; it must be a whole number {allowed}.")
    return int(value)


def real_in(name: str, value: Any, low: float, high: float = math.inf, *, open_low: bool = False) -> float:
    """``value`` as a finite float in ``[low, high]``, or ``(low, high]`` with ``open_low``."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    inside = low < number <= high if open_low else low <= number <= high
    if not (math.isfinite(number) and inside):
        bound = f"greater than {low:g}" if open_low else f"at least {low:g}"
        bounds = [] if low == -math.inf else [bound]
        bounds += [] if high == math.inf else [f"at most {high:g}"]
        allowed = f" {' and '.join(bounds)}" if bounds else ""
        raise InputError(f"{name} is {value!r}; it must be a finite number{allowed}.")
    return number


def real_or_share(name: str, value: Any, *, open_low: bool = False) -> tuple[float, bool]:
    """``value`` as a float from 0 on, or the share that a percentage such as ``"5%"`` is; and whether it is a share."""
    if isinstance(value, str) and value.strip().endswith("%"):
        return real_in(name, value.strip().removesuffix("%"), 0, open_low=True) / 100, True
    return real_in(name, value, 0, open_low=open_low), False


def one_of(name: str, value: Any, allowed: Iterable[str]) -> str:
    """``value`` when it is one of the ``allowed`` names."""
    names = list(allowed)
    if value not in names:
        near = nearest(value, names)
        meant = "" if near is None else f" Did you mean {near!r}?"
        raise InputError(f"{name} is {value!r}; choose one of {', '.join(names)}.{meant}")
    return str(value)


def nearest(value: Any, names: Iterable[str]) -> str | None:
    """The name that somebody may have meant who wrote ``value``; None where none is near.

    A name that differs in its number alone, as fig2 for fig12, is another one of a row and not meant.
    """
    row = _NUMBER.sub("#", str(value))
    others = [name for name in names if "#" not in row or _NUMBER.sub("#", name) != row]
    return next(iter(difflib.get_close_matches(str(value), others, 1)), None)


_NUMBER = re.compile(r"\d+$")


def real_array(name: str, value: Any) -> np.ndarray:
    """``value`` as a float64 array of finite real numbers whose squares, and sums of them, are numbers too.

    The largest may be from 1e-75 to 1e75 in size, or all of them 0.
    """
    import numpy as np  # looking at saved results needs no numpy here

    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} is of type {array.dtype}; it must hold real numbers.")
    numbers = array.astype(np.float64)
    bad = np.argwhere(~np.isfinite(numbers))
    if len(bad):
        place = ", ".join(str(int(axis)) for axis in bad[0])
        raise InputError(f"{name}[{place}] is {array[tuple(bad[0])]}; every entry must be a finite number.")
    check_range(name, float(np.abs(numbers).max(initial=0.0)), 1e-75, 1e75)
    return numbers


def check_range(name: str, largest: float, low: float, high: float, hint: str = "") -> None:
    """Refuse numbers the ``largest`` of which is neither 0 nor in ``[low, high]`` in size."""
    if largest and not low <= largest <= high:
        raise InputError(
            f"the largest entry of {name} is {largest:.3g} in size; it must be from {low:g} to {high:g}, or all 0: "
            f"change the units{hint}."
        )


def check_opens(file: Path) -> None:
    """Refuse a file that cannot be read: missing ones, folders and permissions, alike for every kind of file."""
    try:
        file.open("rb").close()
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}.") from error
