"""The first line of a table, and the columns that are asked for by the names in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bayesgc.task.array.sheets import Reading, first_line, place_of
from bayesgc.validate import InputError

AS_TARGET = ": choose one as target"


@dataclass(frozen=True)
class Triplets:
    """The names of the columns that hold the row, the column and the value of a cell."""

    rows: str
    cols: str
    values: str

    @classmethod
    def asked(cls, rows: str | None, cols: str | None, values: str | None) -> Triplets | None:
        """The three together, or none.

        Raises:
            InputError: for one or two of them, or the same name twice.
        """
        given = {"rows": rows, "cols": cols, "values": values}
        if all(name is None for name in given.values()):
            return None
        if lacking := [name for name, column in given.items() if column is None]:
            raise InputError(
                f"`rows`, `cols` and `values` go together, the columns of a long table with one cell a line; "
                f"`{lacking[0]}` is missing."
            )
        if len(set(given.values())) < len(given):
            raise InputError("`rows`, `cols` and `values` name the same column twice; each is a column of its own.")
        return cls(*(str(name).strip() for name in given.values()))


def check_heading(file: Path, reading: Reading, target: str | None, triplets: Triplets | None) -> None:
    """Refuse names that no column of a table has, before it is read whole, and without torch.

    What else is wrong with the file is told when it is read.

    Raises:
        InputError: naming the file, the column and those that there are.
    """
    asked = [*reading.columns, *reading.drop, *([] if triplets is None else vars(triplets).values())]
    if reading.header is False or not (asked or target):
        return
    try:
        names = first_line(file, reading)
    except InputError:
        return
    try:
        for name in asked:
            place_of(name, names)
        if target is not None:
            place_of(target, names, AS_TARGET)
    except InputError as fault:
        raise InputError(f"{file}: {fault}") from None
