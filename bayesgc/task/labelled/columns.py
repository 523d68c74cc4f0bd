"""Labelled examples from a table of named columns, of which one is the target and the others are features.

Faults are reported without the file's name, which :func:`bayesgc.task.files.load` adds.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped

from bayesgc.task.array.cells import Notation
from bayesgc.task.array.heading import AS_TARGET
from bayesgc.task.array.sheets import Line, check_names, check_widths, place_of
from bayesgc.task.labelled.choice import Examples
from bayesgc.validate import InputError

MOST_CATEGORIES = 20
"""Different texts of a column that are encoded; a column with more of them is most likely a name."""
Description = dict[str, int | float | str]


def examples_in(lines: list[Line], notation: Notation, target: str) -> tuple[Examples, Description]:
    """The examples in a table, whose first line names its columns, and what these are.

    A column of numbers is a feature. A column of text is one feature for each of its categories, in alphabetic order:
    1 where it is the cell's own, else 0. There must be a number or a category in every cell. The target is the label
    where it holds text or whole numbers, else the number to predict.

    Raises:
        InputError: with the line and the column, and what is allowed there.
    """
    check_widths(lines, "the header")
    names, rows = lines[0].cells, lines[1:]
    check_names(names, first=1)
    place = place_of(target, names, AS_TARGET)
    if not rows:
        raise InputError("has a header and no rows; a table needs at least one row.")
    if len(names) == 1:
        raise InputError(f"has no column beside the target {target!r}; it needs at least one feature.")
    _check_complete(names, rows, notation)
    columns = {name: [line.cells[i] for line in rows] for i, name in enumerate(names) if i != place}
    found = {name: _features(name, names.index(name), cells, rows, notation) for name, cells in columns.items()}
    inputs = np.concatenate([values for values, _ in found.values()], axis=1)
    encoded = {name: categories for name, (_, categories) in found.items() if categories}
    labels = _labels([line.cells[place] for line in rows], notation)
    return Examples(inputs, labels), {"target": target} | _said(encoded)


def _said(encoded: dict[str, list[str]]) -> Description:
    """The columns of text, with their categories."""
    said = "; ".join(f"{name}: {', '.join(categories)}" for name, categories in encoded.items())
    return {"categories": said} if said else {}


def _check_complete(names: list[str], rows: list[Line], notation: Notation) -> None:
    for line in rows:
        for name, cell in zip(names, line.cells, strict=True):
            if notation.is_unobserved(cell):
                raise InputError(
                    f"line {line.number}, column {name!r} is missing; fill it in, or leave out the line, or "
                    "with `drop` the column."
                )


def _features(
    name: str, place: int, cells: list[str], rows: list[Line], notation: Notation
) -> tuple[Float[np.ndarray, "example feature"], list[str]]:
    """The features that a column stands for, and its categories where it is text."""
    texts = [line for line in rows if notation.is_text(line.cells[place])]
    if not texts:
        return np.array([[notation.number(cell)] for cell in cells]), []
    first = texts[0]
    if notation.is_dressed(first.cells[place]) or len(texts) < len(rows):
        also = "" if len(texts) == len(rows) else ", though that column holds numbers too"
        raise InputError(
            f"line {first.number}, column {name!r} holds {first.cells[place]!r}, which is no plain number{also}; write "
            f"numbers as {notation.example}, and categories as text throughout."
        )
    categories = sorted(set(cells))
    if len(categories) > MOST_CATEGORIES:
        raise InputError(
            f"column {name!r} holds {len(categories)} different texts; at most {MOST_CATEGORIES} can be categories: "
            "leave the column out, with `drop`."
        )
    return np.array([[float(cell == each) for each in categories] for cell in cells]), categories


def _labels(cells: list[str], notation: Notation) -> Shaped[np.ndarray, " example"]:
    """Numbers where all cells are, else text."""
    if any(notation.is_text(cell) for cell in cells):
        return np.array(cells, dtype=np.str_)
    return np.array([notation.number(cell) for cell in cells])
