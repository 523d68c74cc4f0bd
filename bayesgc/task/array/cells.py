"""What the text of one cell of a table stands for: a number, a missing value, or text."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

# As cells are compared in lower case, NA, NaN, N/A, NULL and None are among them.
_UNOBSERVED = frozenset({"", "na", "nan", "n/a", "#n/a", "#na", "<na>", "null", "none", "?", "-"})
# 1,234 and 1.234,5 and 0,5 and 12 % and $3: numbers to a reader, text to a computer.
_DRESSED = re.compile(r"[+-]?[$€£¥]?\s?(\d{1,3}([.,'’_\s]\d{3})+([.,]\d+)?|\d+([.,]\d+)?)(\s?[%‰$€£¥])?")
_WITH_COMMA, _WITH_POINT = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?"), re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


@dataclass(frozen=True)
class Notation:
    """How numbers and missing values are written: the sign before decimals, and markers beside the usual ones."""

    decimal: str = "."
    missing: frozenset[str] = field(default_factory=frozenset)

    @property
    def example(self) -> str:
        """A number, plainly written."""
        return f"1234{self.decimal}5"

    def number(self, cell: str) -> float:
        """The number in a cell, NaN where it is unobserved.

        Raises:
            ValueError: where it is neither.
        """
        if self.is_unobserved(cell):
            return math.nan
        number = self._plain(cell)
        if not math.isfinite(number) or "_" in cell:  # Python reads 1_000 as a thousand; in a table it is a slip.
            raise ValueError(cell)
        return number

    def is_unobserved(self, cell: str) -> bool:
        """Whether a cell stands for a missing value; markers that are numbers stand for every way to write them."""
        if cell.lower() in _UNOBSERVED or cell in self.missing:
            return True
        return bool(self._numbers) and self._value(cell) in self._numbers

    def is_text(self, cell: str) -> bool:
        """Whether a cell is neither a finite number nor missing."""
        try:
            self.number(cell)
        except ValueError:
            return True
        return False

    def is_dressed(self, cell: str) -> bool:
        """Whether text is a number written with separators, another decimal sign, a currency or a percent sign."""
        return self.is_text(cell) and _DRESSED.fullmatch(cell) is not None

    def _plain(self, cell: str) -> float:
        if self.decimal == ".":
            return float(cell)
        if "." in cell:
            raise ValueError(cell)
        return float(cell.replace(self.decimal, "."))

    def _value(self, cell: str) -> float | None:
        try:
            return self._plain(cell)
        except ValueError:
            return None

    @property
    def _numbers(self) -> frozenset[float]:
        # Markers from Python are numbers with a point, whatever stands before decimals in the file.
        found = (self._value(each) for marker in self.missing for each in (marker, marker.replace(".", self.decimal)))
        return frozenset(value for value in found if value is not None)


def decimal_sign(cells: Sequence[str]) -> str:
    """The sign before decimals that all the cells agree on: a comma where none has a point and one cannot be 1,234."""
    with_comma = [cell for cell in cells if _WITH_COMMA.fullmatch(cell)]
    if any(_WITH_POINT.fullmatch(cell) for cell in cells) or all(_THOUSANDS.fullmatch(cell) for cell in with_comma):
        return "."
    return ","
