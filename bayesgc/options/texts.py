"""Numbers in the text of an option."""

from __future__ import annotations

from bayesgc.validate import InputError, positive_integer, real_in

_INFINITE = "inf"


def widths_in(width: object, name: str = "--width") -> tuple[int, ...]:
    """The numbers in a text such as ``20,10,5``."""
    parts = [part.strip() for part in str(width).split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise InputError(f"{name} is {width!r}; write whole numbers, each at least 1, as 5, or 20,10,5 for an mlp.")
    return tuple(map(int, parts))


def whole_in(name: str, value: int | str) -> int:
    """The whole number in a text such as ``5``, at least 1."""
    return positive_integer(name, int(value) if str(value).isascii() and str(value).lstrip("-").isdigit() else value)


def infinite_layers_in(width: object, name: str = "--width") -> int | None:
    """The number of hidden layers in a text such as ``inf,inf``; None where it says nothing of infinity."""
    parts = [part.strip() for part in str(width).split(",")]
    if _INFINITE not in parts:
        return None
    if set(parts) != {_INFINITE}:
        raise InputError(f"{name} is {width!r}; all hidden layers are infinitely wide, as inf,inf, or none is.")
    return len(parts)


def share_in(width: object) -> float | tuple[int, ...]:
    """The share in a text such as ``0.5``, or the four widths in one with commas."""
    return widths_in(width) if "," in str(width) else real_in("--width", str(width), 0, 100, open_low=True)


def sides_in(shape: str) -> tuple[int, ...]:
    """The sides in a text such as ``4x4x4``."""
    sides = shape.split("x")
    if len(sides) < 2 or not all(side.isascii() and side.isdigit() and int(side) for side in sides):
        raise InputError(f"--shape is {shape!r}; write two or more whole numbers, each at least 1, as 4x4x4.")
    return tuple(int(side) for side in sides)
